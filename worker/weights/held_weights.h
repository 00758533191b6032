/* worker/weights/held_weights.h — the weights that a worker process has in memory, a layer at a time, from run to run.
 *
 * A run asks for parts of a model. Layers that are held already, known by the hash of each tensor, the layer and how its
 * tensors are kept, stay where they are: nothing is read or sent for them. Layers that nobody asks for any more are given
 * back before memory is taken for new ones, so no more is held than the plan says; but for what held_spare allows, so that layers that move
 * to and fro (`--verify`) are there at once. Between two runs everything stays.
 *
 * A group is what is kept or given back together: one layer, what stands before the layers, or what stands behind them. It
 * has a region of memory of its own, or is a file that is mapped (packed_store.h). Mapped weights are whole, count as many bytes, and
 * are the system's: those who map one file share its pages, and where memory is short it drops and reads them again.
 * Ownership: a part_weights points into the held weights and is good until the next held_take or held_close. */
#pragma once

#include "worker/weights/packed_store.h"
#include "worker/weights/weight.h"

struct held_weights;
struct held_group;

/* A part of one chain, as a run asks for it. */
struct wanted_part {
    enum chain chain;
    enum vision_type as;
    const struct tensor *tensors; /* [n], in the order of the part; types and hashes set, data not looked at */
    uint32_t n;                   /* 0: none of this chain */
    struct hash128 model;         /* fingerprint of the file it is of */
};

/* The weights of a part, group by group in the order of its tensors. */
struct part_weights {
    struct held_group **group; /* [n_groups], owned: free with part_weights_close */
    uint32_t n_groups, n; /* n: tensors */
};

int held_open(struct held_weights **out, struct err *why);
void held_close(struct held_weights **h); /* gives all memory back */
/* From now on layers that are not held are looked for there, and mapped if they are found. It must outlive `h`. */
void held_use(struct held_weights *h, struct packed_store *store);

/* From the next held_take on so many bytes of what nobody asks for may stay. */
void held_spare(struct held_weights *h, uint64_t bytes);

/* out[i] becomes the weights of wanted[i]: of those held what is whole stays, the rest has no rows yet. Memory is written to by
 * `threads` threads. E_MEMORY if it cannot be had; then nothing of `out` is to be closed. */
int held_take(struct held_weights *h, const struct wanted_part *wanted, int n_wanted, int threads, struct part_weights *out,
              struct err *why);

void part_weights_close(struct part_weights *p);

/* Tensor number `index` of the part. */
struct weight *part_weight(const struct part_weights *p, uint32_t index);
/* All weights of a group, side by side in the order of its tensors. */
struct weight *group_weights(const struct part_weights *p, uint32_t group);
/* The file in which it is mapped; NULL: it is in memory. */
const char *part_weight_path(const struct part_weights *p, uint32_t index);

/* Both for each group before anything is computed, by the thread that loads. A mapped group is hashed, unless that was done since the
 * machine started; one of the cache that is damaged becomes one in memory that has no rows yet, E_FILE if a shard's is. */
int group_verify(struct held_weights *h, const struct part_weights *p, uint32_t group, int threads, struct err *why);
/* A group in memory that is whole goes into the cache, if there is one, and is mapped from then on. */
int group_keep(struct held_weights *h, const struct part_weights *p, uint32_t group, int threads, struct err *why);

/* How many groups are not any more what they were when they had become whole; *first then names one ("layer 5"). These are forgotten:
 * the next run that wants them gets them anew, from the cache's file only if another writes it. */
uint32_t part_weights_check(struct held_weights *h, const struct part_weights *p, int threads, struct err *first);

uint64_t part_weights_bytes(const struct part_weights *p);

/* They become numbers of no meaning, norms 1, though no row has come: for measuring. None may be mapped. */
void part_weights_draw(const struct part_weights *p);

/* E_WIRE naming the first tensor that is not whole. */
int part_weights_loaded(const struct part_weights *p, struct err *why);
