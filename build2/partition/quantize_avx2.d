build2/partition/quantize_avx2.o: partition/quantize_avx2.c \
 partition/quantize.h partition/blocks.h base/half.h \
 partition/quantize_q6.h
partition/quantize.h:
partition/blocks.h:
base/half.h:
partition/quantize_q6.h:
