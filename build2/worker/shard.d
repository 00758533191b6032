build2/worker/shard.o: worker/shard.c worker/shard.h \
 worker/kernels/kernels.h base/error.h partition/memory.h \
 partition/weights.h partition/blocks.h partition/config.h \
 partition/gguf.h base/hash.h partition/panels.h \
 partition/vision_memory.h partition/vision_weights.h \
 partition/vision_config.h base/checked.h
worker/shard.h:
worker/kernels/kernels.h:
base/error.h:
partition/memory.h:
partition/weights.h:
partition/blocks.h:
partition/config.h:
partition/gguf.h:
base/hash.h:
partition/panels.h:
partition/vision_memory.h:
partition/vision_weights.h:
partition/vision_config.h:
base/checked.h:
