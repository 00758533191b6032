build2/partition/cmd_quantize.o: partition/cmd_quantize.c \
 partition/cmd_quantize.h partition/words.h base/error.h base/threads.h \
 partition/blocks.h partition/quantize_model.h partition/recipe.h \
 partition/checkpoint.h partition/gguf_write.h partition/hf_config.h \
 partition/config.h partition/gguf.h base/hash.h
partition/cmd_quantize.h:
partition/words.h:
base/error.h:
base/threads.h:
partition/blocks.h:
partition/quantize_model.h:
partition/recipe.h:
partition/checkpoint.h:
partition/gguf_write.h:
partition/hf_config.h:
partition/config.h:
partition/gguf.h:
base/hash.h:
