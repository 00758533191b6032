build2/coordinator/output_file.o: coordinator/output_file.c \
 coordinator/output_file.h base/error.h
coordinator/output_file.h:
base/error.h:
