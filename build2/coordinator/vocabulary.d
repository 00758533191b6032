build2/coordinator/vocabulary.o: coordinator/vocabulary.c \
 coordinator/vocabulary.h coordinator/tokenizer.h base/error.h \
 coordinator/utf8.h partition/gguf.h base/hash.h
coordinator/vocabulary.h:
coordinator/tokenizer.h:
base/error.h:
coordinator/utf8.h:
partition/gguf.h:
base/hash.h:
