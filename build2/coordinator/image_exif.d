build2/coordinator/image_exif.o: coordinator/image_exif.c \
 coordinator/image_header.h coordinator/image.h base/error.h
coordinator/image_header.h:
coordinator/image.h:
base/error.h:
