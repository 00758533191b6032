build2/transport/wire.o: transport/wire.c transport/wire.h base/diary.h \
 base/hash.h transport/frame.h base/error.h base/checked.h base/half.h
transport/wire.h:
base/diary.h:
base/hash.h:
transport/frame.h:
base/error.h:
base/checked.h:
base/half.h:
