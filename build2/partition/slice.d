build2/partition/slice.o: partition/slice.c partition/slice.h \
 partition/weights.h partition/blocks.h partition/config.h base/error.h \
 partition/gguf.h base/hash.h partition/gguf_copy.h \
 partition/gguf_write.h
partition/slice.h:
partition/weights.h:
partition/blocks.h:
partition/config.h:
base/error.h:
partition/gguf.h:
base/hash.h:
partition/gguf_copy.h:
partition/gguf_write.h:
