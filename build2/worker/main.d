build2/worker/main.o: worker/main.c base/error.h base/log.h \
 base/threads.h base/version.h partition/plan.h partition/memory.h \
 partition/weights.h partition/blocks.h partition/config.h \
 partition/gguf.h base/hash.h transport/transport.h transport/frame.h \
 worker/worker.h transport/wire.h base/diary.h
base/error.h:
base/log.h:
base/threads.h:
base/version.h:
partition/plan.h:
partition/memory.h:
partition/weights.h:
partition/blocks.h:
partition/config.h:
partition/gguf.h:
base/hash.h:
transport/transport.h:
transport/frame.h:
worker/worker.h:
transport/wire.h:
base/diary.h:
