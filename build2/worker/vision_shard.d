build2/worker/vision_shard.o: worker/vision_shard.c worker/vision_shard.h \
 partition/quantize.h partition/blocks.h partition/vision_memory.h \
 partition/vision_weights.h base/hash.h partition/vision_config.h \
 base/error.h partition/gguf.h worker/kernels/kernels.h \
 partition/memory.h partition/weights.h partition/config.h \
 partition/panels.h
worker/vision_shard.h:
partition/quantize.h:
partition/blocks.h:
partition/vision_memory.h:
partition/vision_weights.h:
base/hash.h:
partition/vision_config.h:
base/error.h:
partition/gguf.h:
worker/kernels/kernels.h:
partition/memory.h:
partition/weights.h:
partition/config.h:
partition/panels.h:
