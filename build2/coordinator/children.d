build2/coordinator/children.o: coordinator/children.c \
 coordinator/children.h base/error.h transport/transport.h \
 transport/frame.h worker/worker.h transport/wire.h base/diary.h \
 base/hash.h base/clock.h base/log.h
coordinator/children.h:
base/error.h:
transport/transport.h:
transport/frame.h:
worker/worker.h:
transport/wire.h:
base/diary.h:
base/hash.h:
base/clock.h:
base/log.h:
