build2/partition/quantize_model.o: partition/quantize_model.c \
 partition/quantize_model.h partition/recipe.h partition/checkpoint.h \
 partition/gguf_write.h base/error.h partition/hf_config.h \
 partition/config.h partition/gguf.h base/hash.h base/clock.h base/log.h \
 partition/blocks.h partition/convert.h partition/gguf_copy.h \
 partition/quantize_report.h
partition/quantize_model.h:
partition/recipe.h:
partition/checkpoint.h:
partition/gguf_write.h:
base/error.h:
partition/hf_config.h:
partition/config.h:
partition/gguf.h:
base/hash.h:
base/clock.h:
base/log.h:
partition/blocks.h:
partition/convert.h:
partition/gguf_copy.h:
partition/quantize_report.h:
