build2/tests/unit/sampler_test.o: tests/unit/sampler_test.c tests/check.h \
 base/error.h worker/sampler.h transport/wire.h base/diary.h base/hash.h \
 transport/frame.h
tests/check.h:
base/error.h:
worker/sampler.h:
transport/wire.h:
base/diary.h:
base/hash.h:
transport/frame.h:
