build2/partition/quirks.o: partition/quirks.c partition/findings.h \
 partition/checkpoint.h partition/gguf_write.h base/error.h \
 partition/hf_config.h partition/config.h partition/gguf.h base/hash.h \
 partition/memory.h partition/weights.h partition/blocks.h \
 partition/slice.h partition/tokens.h
partition/findings.h:
partition/checkpoint.h:
partition/gguf_write.h:
base/error.h:
partition/hf_config.h:
partition/config.h:
partition/gguf.h:
base/hash.h:
partition/memory.h:
partition/weights.h:
partition/blocks.h:
partition/slice.h:
partition/tokens.h:
