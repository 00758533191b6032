build2/coordinator/capacity.o: coordinator/capacity.c \
 coordinator/capacity.h coordinator/options.h base/error.h \
 transport/wire.h base/diary.h base/hash.h transport/frame.h \
 partition/memory.h partition/weights.h partition/blocks.h \
 partition/config.h partition/gguf.h
coordinator/capacity.h:
coordinator/options.h:
base/error.h:
transport/wire.h:
base/diary.h:
base/hash.h:
transport/frame.h:
partition/memory.h:
partition/weights.h:
partition/blocks.h:
partition/config.h:
partition/gguf.h:
