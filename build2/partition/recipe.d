build2/partition/recipe.o: partition/recipe.c partition/recipe.h \
 partition/checkpoint.h partition/gguf_write.h base/error.h \
 partition/hf_config.h partition/config.h partition/gguf.h base/hash.h \
 partition/blocks.h
partition/recipe.h:
partition/checkpoint.h:
partition/gguf_write.h:
base/error.h:
partition/hf_config.h:
partition/config.h:
partition/gguf.h:
base/hash.h:
partition/blocks.h:
