build2/worker/vision_attention.o: worker/vision_attention.c \
 worker/vision_attention.h partition/vision_memory.h \
 partition/vision_weights.h base/hash.h partition/blocks.h \
 partition/vision_config.h base/error.h partition/gguf.h \
 worker/kernels/kernels.h partition/memory.h partition/weights.h \
 partition/config.h partition/panels.h base/checked.h
worker/vision_attention.h:
partition/vision_memory.h:
partition/vision_weights.h:
base/hash.h:
partition/blocks.h:
partition/vision_config.h:
base/error.h:
partition/gguf.h:
worker/kernels/kernels.h:
partition/memory.h:
partition/weights.h:
partition/config.h:
partition/panels.h:
base/checked.h:
