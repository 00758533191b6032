build2/worker/source.o: worker/source.c worker/source.h \
 partition/weights.h partition/blocks.h partition/config.h base/error.h \
 partition/gguf.h base/hash.h base/log.h partition/plan.h \
 partition/memory.h partition/slice.h
worker/source.h:
partition/weights.h:
partition/blocks.h:
partition/config.h:
base/error.h:
partition/gguf.h:
base/hash.h:
base/log.h:
partition/plan.h:
partition/memory.h:
partition/slice.h:
