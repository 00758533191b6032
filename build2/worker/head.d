build2/worker/head.o: worker/head.c worker/head.h worker/sequences.h \
 partition/memory.h partition/weights.h partition/blocks.h \
 partition/config.h base/error.h partition/gguf.h base/hash.h \
 transport/wire.h base/diary.h transport/frame.h worker/stage.h \
 worker/kernels/kernels.h partition/panels.h partition/vision_memory.h \
 partition/vision_weights.h partition/vision_config.h worker/text.h \
 base/barrier.h worker/kv.h worker/shard.h worker/answer.h \
 worker/sampler.h
worker/head.h:
worker/sequences.h:
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
worker/stage.h:
worker/kernels/kernels.h:
partition/panels.h:
partition/vision_memory.h:
partition/vision_weights.h:
partition/vision_config.h:
worker/text.h:
base/barrier.h:
worker/kv.h:
worker/shard.h:
worker/answer.h:
worker/sampler.h:
