build2/partition/plan_table.o: partition/plan_table.c base/log.h \
 partition/cost.h partition/plan.h partition/memory.h partition/weights.h \
 partition/blocks.h partition/config.h base/error.h partition/gguf.h \
 base/hash.h
base/log.h:
partition/cost.h:
partition/plan.h:
partition/memory.h:
partition/weights.h:
partition/blocks.h:
partition/config.h:
base/error.h:
partition/gguf.h:
base/hash.h:
