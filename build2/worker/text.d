build2/worker/text.o: worker/text.c worker/text.h base/barrier.h \
 worker/kv.h partition/memory.h partition/weights.h partition/blocks.h \
 partition/config.h base/error.h partition/gguf.h base/hash.h \
 worker/shard.h worker/kernels/kernels.h partition/panels.h \
 partition/vision_memory.h partition/vision_weights.h \
 partition/vision_config.h worker/attention.h
worker/text.h:
base/barrier.h:
worker/kv.h:
partition/memory.h:
partition/weights.h:
partition/blocks.h:
partition/config.h:
base/error.h:
partition/gguf.h:
base/hash.h:
worker/shard.h:
worker/kernels/kernels.h:
partition/panels.h:
partition/vision_memory.h:
partition/vision_weights.h:
partition/vision_config.h:
worker/attention.h:
