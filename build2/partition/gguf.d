build2/partition/gguf.o: partition/gguf.c partition/gguf_parse.h \
 partition/gguf.h base/error.h base/hash.h
partition/gguf_parse.h:
partition/gguf.h:
base/error.h:
base/hash.h:
