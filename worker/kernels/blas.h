/* worker/kernels/blas.h — products in float32 by OpenBLAS, the yardstick for everything that rounds.
 *
 * The library is opened only where float32 math is asked for, after it was told to use one thread and which processor's code: it
 * reads both when it is loaded. What sgemm's bits depend on is always the same here: a call multiplies SGEMM_ROWS rows, filled up with
 * zeros, by SGEMM_COLS output rows, filled up too, and SGEMM_DEPTH columns, fewer only at a matrix's end; tiles begin at fixed
 * places. So rows that travel together, threads and cuts change no bit. Another library, or another processor's code, may: workers say
 * which they have (blas_name), and all of a run must say the same.
 *
 * Weights stay as they are and are widened, each as its format says, to f32, a tile at a time. */
#pragma once

#include "partition/model/memory.h" /* SGEMM_ROWS, SGEMM_COLS, SGEMM_DEPTH, sgemm_bytes */
#include "worker/kernels/kernels.h"

/* Opens the library if that has not been done. E_USAGE with what to install if it is not there. Any thread. */
int blas_open(struct err *why);
const char *blas_name(void); /* "OpenBLAS 0.3.21 SkylakeX"; once it is open */

/* As kernels.matmul with a->x alone; `first` is a multiple of SGEMM_COLS / PANEL_ROWS, and so is n unless the matrix ends there.
 * scratch: sgemm_bytes(a->rows), of the calling thread. */
void blas_matmul(float *y, size_t ldy, const struct panels *w, const struct acts *a, uint32_t first, uint32_t n, float *scratch);

/* Columns first.. of panel p, f32, column by column, ld apart; both are multiples of BLOCK unless the row ends. For tests. */
void panel_widen(float *to, size_t ld, const struct panels *w, uint32_t p, uint32_t first, uint32_t n);
