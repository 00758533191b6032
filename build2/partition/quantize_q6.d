build2/partition/quantize_q6.o: partition/quantize_q6.c \
 partition/quantize_q6.h base/half.h
partition/quantize_q6.h:
base/half.h:
