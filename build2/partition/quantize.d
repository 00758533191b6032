build2/partition/quantize.o: partition/quantize.c partition/quantize.h \
 partition/blocks.h base/cpu.h base/half.h partition/quantize_q6.h
partition/quantize.h:
partition/blocks.h:
base/cpu.h:
base/half.h:
partition/quantize_q6.h:
