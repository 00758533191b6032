build2/partition/quantize_report.o: partition/quantize_report.c \
 partition/quantize_report.h partition/convert.h partition/gguf_write.h \
 base/error.h base/log.h base/threads.h partition/blocks.h
partition/quantize_report.h:
partition/convert.h:
partition/gguf_write.h:
base/error.h:
base/log.h:
base/threads.h:
partition/blocks.h:
