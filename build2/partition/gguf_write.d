build2/partition/gguf_write.o: partition/gguf_write.c \
 partition/gguf_write.h base/error.h base/checked.h base/half.h \
 base/log.h partition/blocks.h partition/gguf.h base/hash.h
partition/gguf_write.h:
base/error.h:
base/checked.h:
base/half.h:
base/log.h:
partition/blocks.h:
partition/gguf.h:
base/hash.h:
