build2/coordinator/image_resize.o: coordinator/image_resize.c \
 coordinator/image.h base/error.h
coordinator/image.h:
base/error.h:
