build2/transport/mpi.o: transport/mpi.c transport/port.h \
 transport/transport.h base/error.h transport/frame.h transport/wire.h \
 base/diary.h base/hash.h base/clock.h base/log.h \
 /usr/lib/x86_64-linux-gnu/openmpi/include/mpi.h \
 /usr/lib/x86_64-linux-gnu/openmpi/include/mpi_portable_platform.h
transport/port.h:
transport/transport.h:
base/error.h:
transport/frame.h:
transport/wire.h:
base/diary.h:
base/hash.h:
base/clock.h:
base/log.h:
/usr/lib/x86_64-linux-gnu/openmpi/include/mpi.h:
/usr/lib/x86_64-linux-gnu/openmpi/include/mpi_portable_platform.h:
