build2/worker/sampler.o: worker/sampler.c worker/sampler.h \
 transport/wire.h base/diary.h base/hash.h transport/frame.h base/error.h \
 worker/kernels/kernels.h partition/memory.h partition/weights.h \
 partition/blocks.h partition/config.h partition/gguf.h \
 partition/panels.h partition/vision_memory.h partition/vision_weights.h \
 partition/vision_config.h
worker/sampler.h:
transport/wire.h:
base/diary.h:
base/hash.h:
transport/frame.h:
base/error.h:
worker/kernels/kernels.h:
partition/memory.h:
partition/weights.h:
partition/blocks.h:
partition/config.h:
partition/gguf.h:
partition/panels.h:
partition/vision_memory.h:
partition/vision_weights.h:
partition/vision_config.h:
