build2/coordinator/merge.o: coordinator/merge.c coordinator/merge.h \
 coordinator/vocabulary.h coordinator/tokenizer.h base/error.h \
 coordinator/utf8.h partition/gguf.h base/hash.h
coordinator/merge.h:
coordinator/vocabulary.h:
coordinator/tokenizer.h:
base/error.h:
coordinator/utf8.h:
partition/gguf.h:
base/hash.h:
