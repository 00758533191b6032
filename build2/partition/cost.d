build2/partition/cost.o: partition/cost.c partition/cost.h \
 partition/plan.h partition/memory.h partition/weights.h \
 partition/blocks.h partition/config.h base/error.h partition/gguf.h \
 base/hash.h partition/panels.h
partition/cost.h:
partition/plan.h:
partition/memory.h:
partition/weights.h:
partition/blocks.h:
partition/config.h:
base/error.h:
partition/gguf.h:
base/hash.h:
partition/panels.h:
