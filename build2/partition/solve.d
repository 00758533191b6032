build2/partition/solve.o: partition/solve.c partition/cost.h \
 partition/plan.h partition/memory.h partition/weights.h \
 partition/blocks.h partition/config.h base/error.h partition/gguf.h \
 base/hash.h partition/search.h partition/items.h
partition/cost.h:
partition/plan.h:
partition/memory.h:
partition/weights.h:
partition/blocks.h:
partition/config.h:
base/error.h:
partition/gguf.h:
base/hash.h:
partition/search.h:
partition/items.h:
