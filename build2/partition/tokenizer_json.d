build2/partition/tokenizer_json.o: partition/tokenizer_json.c \
 partition/json.h base/error.h partition/mapped.h partition/tokens.h \
 partition/gguf.h base/hash.h partition/gguf_write.h
partition/json.h:
base/error.h:
partition/mapped.h:
partition/tokens.h:
partition/gguf.h:
base/hash.h:
partition/gguf_write.h:
