build2/base/crc32c.o: base/crc32c.c base/hash.h
base/hash.h:
