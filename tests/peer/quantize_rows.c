/* tests/peer/quantize_rows.c — f32 from stdin, blocks to stdout: lets a test in another language look at the quantiser.
 * Use: quantize_rows q4_0|q8_0|q6_k|f16|bf16 plain|best < values > blocks. A piece ends where stdin pauses for a
 * multiple of PIECE values, so a caller may send and receive in turns. */
#include "partition/format/quantize.h"
#include "partition/make/synth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE (32768 * 32)

int main(int argc, char **argv)
{
    uint32_t type;
    if (argc != 3 || synth_type(argv[1], &type, NULL) || !quantize_makes(type)) return 2;
    struct quantizer q = strcmp(argv[2], "plain") ? quantizer_best() : quantizer_plain();
    float *x = malloc(PIECE * sizeof *x);
    uint8_t *out = malloc(PIECE * 4);
    if (!x || !out) return 4;
    for (size_t n; (n = fread(x, sizeof *x, PIECE, stdin)) > 0;) {
        if (quantize_first_bad(&q, type, x, n) < n) return 3;
        quantize_values(&q, type, x, n, out);
        if (fwrite(out, 1, (size_t)block_row_bytes(type, n), stdout) == 0 || fflush(stdout)) return 1;
    }
    free(x);
    free(out);
    return 0;
}
