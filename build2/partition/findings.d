build2/partition/findings.o: partition/findings.c partition/findings.h \
 partition/checkpoint.h partition/gguf_write.h base/error.h \
 partition/hf_config.h partition/config.h partition/gguf.h base/hash.h \
 partition/memory.h partition/weights.h partition/blocks.h \
 partition/slice.h partition/mapped.h
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
partition/mapped.h:
