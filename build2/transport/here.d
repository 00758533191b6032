build2/transport/here.o: transport/here.c transport/port.h \
 transport/transport.h base/error.h transport/frame.h transport/wire.h \
 base/diary.h base/hash.h
transport/port.h:
transport/transport.h:
base/error.h:
transport/frame.h:
transport/wire.h:
base/diary.h:
base/hash.h:
