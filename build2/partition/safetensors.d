build2/partition/safetensors.o: partition/safetensors.c \
 partition/safetensors.h partition/mapped.h base/error.h base/checked.h \
 partition/blocks.h partition/gguf_parse.h partition/gguf.h base/hash.h \
 partition/json.h
partition/safetensors.h:
partition/mapped.h:
base/error.h:
base/checked.h:
partition/blocks.h:
partition/gguf_parse.h:
partition/gguf.h:
base/hash.h:
partition/json.h:
