/* worker/assign.h — the message M_ASSIGN: what one worker gets of the text and of the picture encoder, and where results go.
 *
 * It carries nouns of the model, so it is walked here and not in transport/wire; the coordinator writes it with the same
 * walk. docs/WIRE.md gives the bytes. The lists of types point into the frame after reading, so they live as long as it. */
#pragma once

#include "base/hash.h"
#include "partition/model/memory.h"
#include "partition/model/vision_memory.h"
#include "transport/links/keys.h"
#include "transport/wire/wire.h"

#define ASSIGN_PATH 1024 /* bytes of a path, terminator included */

/* What the worker gets of one chain. */
struct chain_assignment {
    struct part part;             /* empty: nothing of this chain, and nothing below counts */
    uint16_t route;               /* the wire's number of the route this part is on, from 1 */
    uint32_t epoch;               /* of that route */
    uint64_t plan;                /* that the route belongs to: all stages of it must be of the same */
    uint16_t next;                /* node the results go to: 0 at the end of the route */
    bool relayed;                 /* these two cannot reach each other: to the coordinator, which passes on what it gets */
    char next_address[WIRE_TEXT]; /* of that node; empty: it calls us. ZeroMQ only */
    uint16_t previous;            /* node the rows come from; 0: the coordinator */
    char previous_address[WIRE_TEXT]; /* of that node, if it does not call; empty: it does */
    uint8_t next_key[KEY_BYTES];  /* what the next one has to prove, and by what that one is known; zeros: links are plain */
    uint8_t previous_key[KEY_BYTES];
    char path[ASSIGN_PATH];       /* of the model's file on the coordinator's host; empty: do not look */
    struct hash128 fingerprint;   /* of that file */
    uint32_t n_types;             /* tensors of the part, in its order */
    uint8_t *types;               /* [n_types] enum tensor_type */
    uint8_t *hashes;              /* [n_types] of 8 bytes, little-endian: struct tensor's. NULL: a file here is the coordinator's own */
};

struct assignment {
    struct model_config text;     /* if there is a part of the text */
    struct vision_config vision;  /* if there is one of the encoder; without the pixels' mean and deviation */
    struct capacity capacity;     /* of the text */
    uint32_t threads;             /* 0: the worker's own choice */
    uint8_t vision_as;            /* enum vision_type: how to keep the encoder's matrices */
    uint32_t pictures_in_flight;  /* under way at once, at most */
    struct chain_assignment of[CHAINS];
};

/* The hashes of the list, if there is one, into the tensors. */
void assigned_hashes(const struct chain_assignment *m, struct tensor *tensors);

int assignment_write(struct frame **out, const struct assignment *m, struct err *why);
int assignment_read(struct assignment *m, struct frame *f, struct err *why); /* counts are checked; what they mean is not */

/* M_PROBE, before there is an assignment: the worker makes itself such parts, of no particular weights, and says with M_PROBED how
 * long they took. Without parts only the way is measured: so many bytes go, and so many come back. */
#define PROBE_MILLISECONDS 5000 /* at most: a worker that computes does not hear */
#define PROBE_BESIDE (1ull << 29) /* bytes, at most */
struct probe_point {
    uint32_t rows, sequences; /* of a micro-batch; spread evenly over so many sequences, each behind */
    uint32_t position;        /* rows that it has already. Of a picture nothing counts */
};
struct probe {
    uint32_t milliseconds; /* for all points together, about; 0: nothing is computed and no parts follow */
    uint32_t answer;       /* bytes that are to come back */
    uint32_t n;
    struct probe_point at[PROBE_POINTS];
    uint32_t bytes; /* that go */
    uint8_t *filler;
    uint64_t beside; /* bytes of other weights, as far as there is memory: they are read before each run of a point, as in a stage that has them too */
    struct assignment parts; /* of one chain; routes and addresses mean nothing */
};
int probe_write(struct frame **out, struct probe *m, struct err *why); /* filler NULL: room is left, m->filler is set to it */
int probe_read(struct probe *m, struct frame *f, struct err *why);

/* The worker's answer, M_ACCEPT: the bytes it is about to take, and of each tensor of its parts (the text's first) whether it
 * has it already, in memory or in a file of its own. */
struct acceptance {
    struct part_bytes bytes; /* of both chains together */
    uint32_t n;
    uint8_t *have; /* [n] 0 or 1 */
};
int acceptance_write(struct frame **out, const struct acceptance *m, struct err *why);
int acceptance_read(struct acceptance *m, struct frame *f, struct err *why);
