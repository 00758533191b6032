build2/partition/plan.o: partition/plan.c partition/plan.h \
 partition/memory.h partition/weights.h partition/blocks.h \
 partition/config.h base/error.h partition/gguf.h base/hash.h \
 base/checked.h base/half.h base/log.h partition/items.h
partition/plan.h:
partition/memory.h:
partition/weights.h:
partition/blocks.h:
partition/config.h:
base/error.h:
partition/gguf.h:
base/hash.h:
base/checked.h:
base/half.h:
base/log.h:
partition/items.h:
