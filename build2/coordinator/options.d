build2/coordinator/options.o: coordinator/options.c coordinator/options.h \
 base/error.h transport/wire.h base/diary.h base/hash.h transport/frame.h
coordinator/options.h:
base/error.h:
transport/wire.h:
base/diary.h:
base/hash.h:
transport/frame.h:
