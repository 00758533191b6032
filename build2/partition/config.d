build2/partition/config.o: partition/config.c partition/config.h \
 base/error.h partition/gguf.h base/hash.h
partition/config.h:
base/error.h:
partition/gguf.h:
base/hash.h:
