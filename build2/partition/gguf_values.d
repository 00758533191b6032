build2/partition/gguf_values.o: partition/gguf_values.c \
 partition/gguf_parse.h partition/gguf.h base/error.h base/hash.h \
 base/half.h
partition/gguf_parse.h:
partition/gguf.h:
base/error.h:
base/hash.h:
base/half.h:
