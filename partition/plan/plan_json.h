/* partition/plan/plan_json.h — a plan as a file: what `gemmapipe plan --json` writes and `gemmapipe-partition split` reads.
 *
 *   {"model": "M.gguf", "fingerprint": "32 hex digits", "layers": 34,
 *    "plan": "16 hex digits", "made_from": "16 hex digits",
 *    "assumed": ["3 workers on this machine with 1 thread each, of its 4 cores", …],
 *    "context": 4096, "sequences": 1, "kv_positions": 4096, "rows": 128, "in_flight": 4,
 *    "stages": [{"worker": "east", "first": 0, "end": 12, "head": false, "parts": [0, 5],
 *                "weights": 5, "kv": 5, "total": 15, "milliseconds": 3.5}, …],
 *    "pictures": {"mmproj": "P.gguf", "fingerprint": "32 hex digits", "how": "split" or "copies", "why": "a sentence",
 *                 "type": "f16", "in_flight": 4, "seconds_alone": 3.5, "pictures_per_second": 0.5,
 *                 "workers": [{"worker": "east", "number": 1, "first": 0, "end": 9, "patches": true, "projector": false,
 *                              "weights": 5, "total": 15, "seconds": 1.5}, …]}}
 *
 * "stages" with first, end (one past the last layer) and head or parts is all that a reader needs. "head" is true for all
 * of the head in one stage; "parts" are the sixteenths a stage has of it, from and to one past the last, and stand where
 * there are any. Who says both must mean the same. "fingerprint" and "layers" are held against the model if they are there.
 * The rest is for people and scripts: "expected" has the numbers of rates.h, seconds and tokens a second; bytes, the time of the micro-batch that is balanced, what was assumed, and two hashes: of
 * the plan, and of the model, offers and wish it was made from. */
#pragma once

#include "partition/plan/plan.h"

#define ASSUMED_MOST 16

struct plan_file {
    int stages;
    struct part part[STAGES_MOST];
    char worker[STAGES_MOST][64]; /* printable; empty if not said */
    bool has_fingerprint;
    struct hash128 fingerprint;
    uint32_t layers; /* 0: not said */
    uint64_t kv_positions; /* that all sequences together hold; 0: not said, all of them at their longest */
};

struct plan_files { /* what the plan is of */
    const char *model, *mmproj;
    struct hash128 fingerprint, encoder;
    uint32_t layers;
    const struct model_shape *shape; /* for what to expect of it; NULL: that is left out */
    const char *assumed[ASSUMED_MOST]; /* what nobody said and the plan follows from too, a sentence's part each */
    int n_assumed;
};

void plan_write_json(FILE *to, const struct plan *plan, const struct worker_offer *offers, const struct plan_files *files);

int plan_read_json(struct plan_file *out, const char *path, struct err *why);
int plan_parse_json(struct plan_file *out, const char *text, size_t n, const char *from, struct err *why);

/* That the stages are runs of layers and of parts of the head, in order, none left out, and that only the last has no
 * layer. */
int plan_file_check(const struct plan_file *p, uint32_t layers, const char *from, struct err *why);
