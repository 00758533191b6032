build2/coordinator/tokenizer.o: coordinator/tokenizer.c \
 coordinator/tokenizer.h base/error.h coordinator/utf8.h partition/gguf.h \
 base/hash.h base/checked.h coordinator/merge.h coordinator/vocabulary.h
coordinator/tokenizer.h:
base/error.h:
coordinator/utf8.h:
partition/gguf.h:
base/hash.h:
base/checked.h:
coordinator/merge.h:
coordinator/vocabulary.h:
