build2/partition/search.o: partition/search.c partition/search.h \
 partition/items.h partition/plan.h partition/memory.h \
 partition/weights.h partition/blocks.h partition/config.h base/error.h \
 partition/gguf.h base/hash.h partition/cost.h
partition/search.h:
partition/items.h:
partition/plan.h:
partition/memory.h:
partition/weights.h:
partition/blocks.h:
partition/config.h:
base/error.h:
partition/gguf.h:
base/hash.h:
partition/cost.h:
