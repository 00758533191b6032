build2/partition/tokenizer_model.o: partition/tokenizer_model.c \
 partition/mapped.h base/error.h partition/tokens.h partition/gguf.h \
 base/hash.h partition/gguf_write.h partition/gguf_parse.h
partition/mapped.h:
base/error.h:
partition/tokens.h:
partition/gguf.h:
base/hash.h:
partition/gguf_write.h:
partition/gguf_parse.h:
