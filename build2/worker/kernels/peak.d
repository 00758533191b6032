build2/worker/kernels/peak.o: worker/kernels/peak.c worker/kernels/peak.h \
 base/cpu.h
worker/kernels/peak.h:
base/cpu.h:
