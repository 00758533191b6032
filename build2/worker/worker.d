build2/worker/worker.o: worker/worker.c worker/worker.h base/error.h \
 transport/transport.h transport/frame.h transport/wire.h base/diary.h \
 base/hash.h base/clock.h base/log.h base/threads.h base/version.h \
 partition/deliver.h partition/vision_weights.h partition/blocks.h \
 partition/vision_config.h partition/gguf.h partition/weights.h \
 partition/config.h worker/loop.h worker/see.h worker/vision.h \
 partition/vision_memory.h worker/kernels/kernels.h partition/memory.h \
 partition/panels.h worker/stage.h worker/source.h
worker/worker.h:
base/error.h:
transport/transport.h:
transport/frame.h:
transport/wire.h:
base/diary.h:
base/hash.h:
base/clock.h:
base/log.h:
base/threads.h:
base/version.h:
partition/deliver.h:
partition/vision_weights.h:
partition/blocks.h:
partition/vision_config.h:
partition/gguf.h:
partition/weights.h:
partition/config.h:
worker/loop.h:
worker/see.h:
worker/vision.h:
partition/vision_memory.h:
worker/kernels/kernels.h:
partition/memory.h:
partition/panels.h:
worker/stage.h:
worker/source.h:
