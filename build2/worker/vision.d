build2/worker/vision.o: worker/vision.c worker/vision.h \
 partition/vision_memory.h partition/vision_weights.h base/hash.h \
 partition/blocks.h partition/vision_config.h base/error.h \
 partition/gguf.h worker/kernels/kernels.h partition/memory.h \
 partition/weights.h partition/config.h partition/panels.h \
 worker/region.h worker/vision_attention.h worker/vision_shard.h \
 partition/quantize.h
worker/vision.h:
partition/vision_memory.h:
partition/vision_weights.h:
base/hash.h:
partition/blocks.h:
partition/vision_config.h:
base/error.h:
partition/gguf.h:
worker/kernels/kernels.h:
partition/memory.h:
partition/weights.h:
partition/config.h:
partition/panels.h:
worker/region.h:
worker/vision_attention.h:
worker/vision_shard.h:
partition/quantize.h:
