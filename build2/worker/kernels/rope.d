build2/worker/kernels/rope.o: worker/kernels/rope.c \
 worker/kernels/kernels.h base/error.h partition/memory.h \
 partition/weights.h partition/blocks.h partition/config.h \
 partition/gguf.h base/hash.h partition/panels.h \
 partition/vision_memory.h partition/vision_weights.h \
 partition/vision_config.h
worker/kernels/kernels.h:
base/error.h:
partition/memory.h:
partition/weights.h:
partition/blocks.h:
partition/config.h:
partition/gguf.h:
base/hash.h:
partition/panels.h:
partition/vision_memory.h:
partition/vision_weights.h:
partition/vision_config.h:
