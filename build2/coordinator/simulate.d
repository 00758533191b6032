build2/coordinator/simulate.o: coordinator/simulate.c \
 coordinator/simulate.h base/error.h coordinator/scheduler.h
coordinator/simulate.h:
base/error.h:
coordinator/scheduler.h:
