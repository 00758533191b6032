build2/tests/unit/head_test.o: tests/unit/head_test.c tests/check.h \
 base/error.h tests/unit/toy.h base/half.h worker/answer.h \
 transport/wire.h base/diary.h base/hash.h transport/frame.h \
 worker/stage.h partition/memory.h partition/weights.h partition/blocks.h \
 partition/config.h partition/gguf.h worker/kernels/kernels.h \
 partition/panels.h partition/vision_memory.h partition/vision_weights.h \
 partition/vision_config.h worker/worker.h transport/transport.h
tests/check.h:
base/error.h:
tests/unit/toy.h:
base/half.h:
worker/answer.h:
transport/wire.h:
base/diary.h:
base/hash.h:
transport/frame.h:
worker/stage.h:
partition/memory.h:
partition/weights.h:
partition/blocks.h:
partition/config.h:
partition/gguf.h:
worker/kernels/kernels.h:
partition/panels.h:
partition/vision_memory.h:
partition/vision_weights.h:
partition/vision_config.h:
worker/worker.h:
transport/transport.h:
