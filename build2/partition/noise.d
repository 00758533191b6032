build2/partition/noise.o: partition/noise.c partition/noise.h base/half.h \
 base/hash.h partition/blocks.h
partition/noise.h:
base/half.h:
base/hash.h:
partition/blocks.h:
