/* partition/plan/plan_json.h — a plan as a file: what `gemmapipe plan --json` writes and `gemmapipe-partition split` reads.
 *
 *   {"model": "M.gguf", "fingerprint": "32 hex digits", "layers": 34,
 *    "context": 4096, "sequences": 1, "rows": 128, "in_flight": 4,
 *    "stages": [{"worker": "east", "first": 0, "end": 12, "head": false, "parts": [0, 5],
 *                "weights": 5, "kv": 5, "total": 15, "milliseconds": 3.5}, …],
 *    "pictures": {"mmproj": "P.gguf", "fingerprint": "32 hex digits", "how": "split" or "copies", "why": "a sentence",
 *                 "type": "f16", "in_flight": 4, "seconds_alone": 3.5, "pictures_per_second": 0.5,
 *                 "workers": [{"worker": "east", "number": 1, "first": 0, "end": 9, "patches": true, "projector": false,
 *                              "weights": 5, "total": 15, "seconds": 1.5}, …]}}
 *
 * "stages" with first, end (one past the last layer) and head or parts is all that a reader needs. "head" is true for all
 * of the head in one stage; "parts" are the sixteenths a stage has of it, from and to one past the last, and stand where
 * there are any. Who says both must mean the same. "fingerprint" and "layers" are held against the model if they are there. The rest is for people and scripts: bytes, and the time of one decode
 * step. */
#ifndef PARTITION_PLAN_PLAN_JSON_H
#define PARTITION_PLAN_PLAN_JSON_H

#include "partition/plan/vision_plan.h"

struct plan_file {
    int stages;
    struct part share[MAX_STAGES];
    char worker[MAX_STAGES][64]; /* printable; empty if not said */
    bool has_fingerprint;
    struct hash128 fingerprint;
    uint32_t layers; /* 0: not said */
};

struct plan_pictures { /* the encoder's part */
    const struct vision_plan *plan;
    const char *file;
    struct hash128 fingerprint;
};

/* `pictures`: NULL without an encoder. */
void plan_write_json(FILE *to, const struct plan *plan, const struct worker_offer *offers, const char *model,
                     struct hash128 fingerprint, uint32_t layers, const struct plan_pictures *pictures);

int plan_read_json(struct plan_file *out, const char *path, struct err *why);
int plan_parse_json(struct plan_file *out, const char *text, size_t n, const char *from, struct err *why);

/* That the stages are runs of layers and of parts of the head, in order, none left out, and that only the last has no
 * layer. */
int plan_file_check(const struct plan_file *p, uint32_t layers, const char *from, struct err *why);

#endif
