build2/base/barrier.o: base/barrier.c base/barrier.h base/clock.h
base/barrier.h:
base/clock.h:
