build2/tests/unit/wire_test.o: tests/unit/wire_test.c tests/check.h \
 base/error.h tests/unit/samples.h transport/wire.h base/diary.h \
 base/hash.h transport/frame.h
tests/check.h:
base/error.h:
tests/unit/samples.h:
transport/wire.h:
base/diary.h:
base/hash.h:
transport/frame.h:
