build2/partition/blocks.o: partition/blocks.c partition/blocks.h \
 base/checked.h base/half.h
partition/blocks.h:
base/checked.h:
base/half.h:
