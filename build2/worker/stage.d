build2/worker/stage.o: worker/stage.c worker/stage.h partition/memory.h \
 partition/weights.h partition/blocks.h partition/config.h base/error.h \
 partition/gguf.h base/hash.h transport/wire.h base/diary.h \
 transport/frame.h worker/kernels/kernels.h partition/panels.h \
 partition/vision_memory.h partition/vision_weights.h \
 partition/vision_config.h worker/head.h worker/sequences.h worker/text.h \
 base/barrier.h worker/kv.h worker/shard.h worker/region.h
worker/stage.h:
partition/memory.h:
partition/weights.h:
partition/blocks.h:
partition/config.h:
base/error.h:
partition/gguf.h:
base/hash.h:
transport/wire.h:
base/diary.h:
transport/frame.h:
worker/kernels/kernels.h:
partition/panels.h:
partition/vision_memory.h:
partition/vision_weights.h:
partition/vision_config.h:
worker/head.h:
worker/sequences.h:
worker/text.h:
base/barrier.h:
worker/kv.h:
worker/shard.h:
worker/region.h:
