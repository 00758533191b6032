build2/coordinator/output.o: coordinator/output.c coordinator/output.h \
 coordinator/tokenizer.h base/error.h coordinator/utf8.h partition/gguf.h \
 base/hash.h
coordinator/output.h:
coordinator/tokenizer.h:
base/error.h:
coordinator/utf8.h:
partition/gguf.h:
base/hash.h:
