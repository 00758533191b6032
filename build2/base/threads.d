build2/base/threads.o: base/threads.c base/threads.h
base/threads.h:
