build2/partition/checkpoint_metadata.o: partition/checkpoint_metadata.c \
 partition/checkpoint_inside.h partition/checkpoint.h \
 partition/gguf_write.h base/error.h partition/hf_config.h \
 partition/config.h partition/gguf.h base/hash.h partition/safetensors.h \
 partition/mapped.h partition/weights.h partition/blocks.h \
 partition/json.h partition/tokens.h
partition/checkpoint_inside.h:
partition/checkpoint.h:
partition/gguf_write.h:
base/error.h:
partition/hf_config.h:
partition/config.h:
partition/gguf.h:
base/hash.h:
partition/safetensors.h:
partition/mapped.h:
partition/weights.h:
partition/blocks.h:
partition/json.h:
partition/tokens.h:
