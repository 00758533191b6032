build2/tests/check.o: tests/check.c tests/check.h base/error.h \
 base/clock.h
tests/check.h:
base/error.h:
base/clock.h:
