build2/coordinator/image_read.o: coordinator/image_read.c \
 coordinator/image.h base/error.h
coordinator/image.h:
base/error.h:
