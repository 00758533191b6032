build2/worker/answer.o: worker/answer.c worker/answer.h transport/wire.h \
 base/diary.h base/hash.h transport/frame.h base/error.h \
 partition/weights.h partition/blocks.h partition/config.h \
 partition/gguf.h worker/kernels/kernels.h partition/memory.h \
 partition/panels.h partition/vision_memory.h partition/vision_weights.h \
 partition/vision_config.h worker/sampler.h worker/worker.h \
 transport/transport.h
worker/answer.h:
transport/wire.h:
base/diary.h:
base/hash.h:
transport/frame.h:
base/error.h:
partition/weights.h:
partition/blocks.h:
partition/config.h:
partition/gguf.h:
worker/kernels/kernels.h:
partition/memory.h:
partition/panels.h:
partition/vision_memory.h:
partition/vision_weights.h:
partition/vision_config.h:
worker/sampler.h:
worker/worker.h:
transport/transport.h:
