build2/worker/limits.o: worker/limits.c worker/worker.h base/error.h \
 transport/transport.h transport/frame.h transport/wire.h base/diary.h \
 base/hash.h base/clock.h worker/kernels/kernels.h partition/memory.h \
 partition/weights.h partition/blocks.h partition/config.h \
 partition/gguf.h partition/panels.h partition/vision_memory.h \
 partition/vision_weights.h partition/vision_config.h \
 worker/kernels/peak.h worker/region.h
worker/worker.h:
base/error.h:
transport/transport.h:
transport/frame.h:
transport/wire.h:
base/diary.h:
base/hash.h:
base/clock.h:
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
worker/kernels/peak.h:
worker/region.h:
