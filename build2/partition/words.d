build2/partition/words.o: partition/words.c partition/words.h \
 base/error.h
partition/words.h:
base/error.h:
