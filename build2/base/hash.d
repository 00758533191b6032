build2/base/hash.o: base/hash.c base/hash.h
base/hash.h:
