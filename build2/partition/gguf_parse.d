build2/partition/gguf_parse.o: partition/gguf_parse.c \
 partition/gguf_parse.h partition/gguf.h base/error.h base/hash.h \
 base/checked.h partition/blocks.h
partition/gguf_parse.h:
partition/gguf.h:
base/error.h:
base/hash.h:
base/checked.h:
partition/blocks.h:
