/* coordinator/engine/verdict.h — the same rows were computed several times: are they equal, and if not, who is wrong?
 *
 * Looked at is the first layer after which two of them differ somewhere: all that went into it was equal. There wrong is
 *
 *   who computed it twice, and not the same both times      a fault that passes
 *   who is alone against two others that agree              a fault that repeats itself
 *
 * else it is one of those who computed it, and once more by somebody else, or by one of them, may tell. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct computing {
    const void **by;  /* [layers + 1] who computed each layer, then the head; NULL: several have parts of that */
    uint64_t *hash;   /* [rows, layers] after each layer; 0: not computed */
    uint32_t *chance; /* [rows] what the head made of it, the bits of a log-probability and one; 0: nothing */
};

struct verdict {
    enum { ALL_EQUAL, WRONG, OPEN } is;
    uint32_t layer, row; /* where they differ first; layer: as many as there are, the head */
    int wrong, other;    /* which of them it is; OPEN: two that differ */
};

struct verdict verdict_of(const struct computing *of, int n, uint32_t rows, uint32_t layers);
