build2/worker/sequences.o: worker/sequences.c worker/sequences.h \
 partition/memory.h partition/weights.h partition/blocks.h \
 partition/config.h base/error.h partition/gguf.h base/hash.h \
 transport/wire.h base/diary.h transport/frame.h
worker/sequences.h:
partition/memory.h:
partition/weights.h:
partition/blocks.h:
partition/config.h:
base/error.h:
partition/gguf.h:
base/hash.h:
transport/wire.h:
base/diary.h:
transport/frame.h:
