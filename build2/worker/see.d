build2/worker/see.o: worker/see.c worker/see.h transport/wire.h \
 base/diary.h base/hash.h transport/frame.h base/error.h worker/vision.h \
 partition/vision_memory.h partition/vision_weights.h partition/blocks.h \
 partition/vision_config.h partition/gguf.h worker/kernels/kernels.h \
 partition/memory.h partition/weights.h partition/config.h \
 partition/panels.h
worker/see.h:
transport/wire.h:
base/diary.h:
base/hash.h:
transport/frame.h:
base/error.h:
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
