build2/worker/region.o: worker/region.c worker/region.h base/error.h \
 base/threads.h
worker/region.h:
base/error.h:
base/threads.h:
