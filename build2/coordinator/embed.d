build2/coordinator/embed.o: coordinator/embed.c coordinator/embed.h \
 partition/weights.h partition/blocks.h partition/config.h base/error.h \
 partition/gguf.h base/hash.h base/half.h
coordinator/embed.h:
partition/weights.h:
partition/blocks.h:
partition/config.h:
base/error.h:
partition/gguf.h:
base/hash.h:
base/half.h:
