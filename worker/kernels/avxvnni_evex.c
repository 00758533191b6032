/* worker/kernels/avxvnni_evex.c — avxvnni.c in the encoding of AVX-512 VL and VNNI: the Makefile says for which. */
#include "worker/kernels/avxvnni.c"
