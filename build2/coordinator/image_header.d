build2/coordinator/image_header.o: coordinator/image_header.c \
 coordinator/image_header.h coordinator/image.h base/error.h
coordinator/image_header.h:
coordinator/image.h:
base/error.h:
