build2/partition/convert.o: partition/convert.c partition/convert.h \
 partition/gguf_write.h base/error.h base/log.h partition/quantize.h \
 partition/blocks.h
partition/convert.h:
partition/gguf_write.h:
base/error.h:
base/log.h:
partition/quantize.h:
partition/blocks.h:
