build2/transport/frame.o: transport/frame.c transport/frame.h \
 base/error.h base/checked.h base/hash.h
transport/frame.h:
base/error.h:
base/checked.h:
base/hash.h:
