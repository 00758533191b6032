build2/transport/port.o: transport/port.c transport/port.h \
 transport/transport.h base/error.h transport/frame.h transport/wire.h \
 base/diary.h base/hash.h base/clock.h
transport/port.h:
transport/transport.h:
base/error.h:
transport/frame.h:
transport/wire.h:
base/diary.h:
base/hash.h:
base/clock.h:
