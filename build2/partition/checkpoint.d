build2/partition/checkpoint.o: partition/checkpoint.c \
 partition/checkpoint.h partition/gguf_write.h base/error.h \
 partition/hf_config.h partition/config.h partition/gguf.h base/hash.h \
 partition/checkpoint_inside.h partition/safetensors.h partition/mapped.h \
 partition/weights.h partition/blocks.h
partition/checkpoint.h:
partition/gguf_write.h:
base/error.h:
partition/hf_config.h:
partition/config.h:
partition/gguf.h:
base/hash.h:
partition/checkpoint_inside.h:
partition/safetensors.h:
partition/mapped.h:
partition/weights.h:
partition/blocks.h:
