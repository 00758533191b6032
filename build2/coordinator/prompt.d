build2/coordinator/prompt.o: coordinator/prompt.c coordinator/prompt.h \
 coordinator/tokenizer.h base/error.h coordinator/utf8.h partition/gguf.h \
 base/hash.h
coordinator/prompt.h:
coordinator/tokenizer.h:
base/error.h:
coordinator/utf8.h:
partition/gguf.h:
base/hash.h:
