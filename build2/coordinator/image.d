build2/coordinator/image.o: coordinator/image.c coordinator/image.h \
 base/error.h coordinator/image_header.h
coordinator/image.h:
base/error.h:
coordinator/image_header.h:
