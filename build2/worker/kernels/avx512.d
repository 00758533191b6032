build2/worker/kernels/avx512.o: worker/kernels/avx512.c \
 worker/kernels/inside.h worker/kernels/kernels.h base/error.h \
 partition/memory.h partition/weights.h partition/blocks.h \
 partition/config.h partition/gguf.h base/hash.h partition/panels.h \
 partition/vision_memory.h partition/vision_weights.h \
 partition/vision_config.h base/half.h worker/kernels/rows.inc \
 worker/kernels/attend.inc worker/kernels/matmul.inc \
 worker/kernels/vision_ops.inc worker/kernels/vision_short.inc
worker/kernels/inside.h:
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
base/half.h:
worker/kernels/rows.inc:
worker/kernels/attend.inc:
worker/kernels/matmul.inc:
worker/kernels/vision_ops.inc:
worker/kernels/vision_short.inc:
