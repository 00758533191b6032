build2/coordinator/scheduler.o: coordinator/scheduler.c \
 coordinator/scheduler.h base/error.h
coordinator/scheduler.h:
base/error.h:
