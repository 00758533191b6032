build2/partition/mapped.o: partition/mapped.c partition/mapped.h \
 base/error.h
partition/mapped.h:
base/error.h:
