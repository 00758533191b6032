build2/transport/zmq.o: transport/zmq.c transport/port.h \
 transport/transport.h base/error.h transport/frame.h transport/wire.h \
 base/diary.h base/hash.h base/clock.h base/log.h
transport/port.h:
transport/transport.h:
base/error.h:
transport/frame.h:
transport/wire.h:
base/diary.h:
base/hash.h:
base/clock.h:
base/log.h:
