build2/partition/tokens.o: partition/tokens.c partition/tokens.h \
 partition/gguf.h base/error.h base/hash.h partition/gguf_write.h \
 partition/gguf_parse.h
partition/tokens.h:
partition/gguf.h:
base/error.h:
base/hash.h:
partition/gguf_write.h:
partition/gguf_parse.h:
