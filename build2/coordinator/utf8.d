build2/coordinator/utf8.o: coordinator/utf8.c coordinator/utf8.h
coordinator/utf8.h:
