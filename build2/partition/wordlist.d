build2/partition/wordlist.o: partition/wordlist.c partition/wordlist.h \
 partition/gguf_write.h base/error.h base/half.h partition/gguf.h \
 base/hash.h
partition/wordlist.h:
partition/gguf_write.h:
base/error.h:
base/half.h:
partition/gguf.h:
base/hash.h:
