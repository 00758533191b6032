build2/partition/gguf_copy.o: partition/gguf_copy.c partition/gguf_copy.h \
 partition/gguf.h base/error.h base/hash.h partition/gguf_write.h \
 partition/gguf_parse.h
partition/gguf_copy.h:
partition/gguf.h:
base/error.h:
base/hash.h:
partition/gguf_write.h:
partition/gguf_parse.h:
