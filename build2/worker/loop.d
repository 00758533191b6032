build2/worker/loop.o: worker/loop.c worker/loop.h transport/transport.h \
 base/error.h transport/frame.h worker/see.h transport/wire.h \
 base/diary.h base/hash.h worker/vision.h partition/vision_memory.h \
 partition/vision_weights.h partition/blocks.h partition/vision_config.h \
 partition/gguf.h worker/kernels/kernels.h partition/memory.h \
 partition/weights.h partition/config.h partition/panels.h worker/stage.h \
 base/clock.h base/log.h base/threads.h worker/turns.h
worker/loop.h:
transport/transport.h:
base/error.h:
transport/frame.h:
worker/see.h:
transport/wire.h:
base/diary.h:
base/hash.h:
worker/vision.h:
partition/vision_memory.h:
partition/vision_weights.h:
partition/blocks.h:
partition/vision_config.h:
partition/gguf.h:
worker/kernels/kernels.h:
partition/memory.h:
partition/weights.h:
partition/config.h:
partition/panels.h:
worker/stage.h:
base/clock.h:
base/log.h:
base/threads.h:
worker/turns.h:
