build2/partition/cluster.o: partition/cluster.c partition/cluster.h \
 partition/plan.h partition/memory.h partition/weights.h \
 partition/blocks.h partition/config.h base/error.h partition/gguf.h \
 base/hash.h
partition/cluster.h:
partition/plan.h:
partition/memory.h:
partition/weights.h:
partition/blocks.h:
partition/config.h:
base/error.h:
partition/gguf.h:
base/hash.h:
