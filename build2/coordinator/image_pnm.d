build2/coordinator/image_pnm.o: coordinator/image_pnm.c \
 coordinator/image_header.h coordinator/image.h base/error.h \
 base/checked.h
coordinator/image_header.h:
coordinator/image.h:
base/error.h:
base/checked.h:
