/* worker/weights/held_weights.c — see held_weights.h. */
#include "worker/weights/held_weights.h"

#include "base/threads.h"
#include "worker/weights/region.h"

#include <stdlib.h>

#define BEFORE_THE_LAYERS UINT32_MAX
#define BEHIND_THE_LAYERS (UINT32_MAX - 1)

struct held_group {
    enum chain chain;
    enum vision_type as;
    uint32_t layer; /* or one of the two above */
    struct region memory;
    struct packed_file packed; /* its weights are mapped: no memory; else its map is NULL */
    struct hash128 model;      /* fingerprint of the model that it was last asked for */
    struct weight *weight; /* [n] */
    uint32_t n;
    uint64_t sum; /* hash of the memory once it was whole; 0: it was not yet. Without --verify too: a later run may ask what became of it (0.06 s a GB) */
    bool damaged; /* it is not what it was, and nobody gets it any more */
    bool asked; /* by the run that is being assigned */
};

struct held_weights {
    struct held_group **group; /* [n] */
    uint32_t n, room;
    struct packed_store *store; /* NULL: none */
    uint64_t spare; /* bytes of groups that nobody asks for, at most */
};

int held_open(struct held_weights **out, struct err *why)
{
    *out = calloc(1, sizeof **out);
    return *out ? 0 : fail(why, E_MEMORY, "no memory to keep track of weights");
}

void held_use(struct held_weights *h, struct packed_store *store)
{
    h->store = store;
}

void held_spare(struct held_weights *h, uint64_t bytes)
{
    h->spare = bytes;
}

static void group_free(struct held_group *g)
{
    region_close(&g->memory);
    packed_close(&g->packed);
    free(g->weight);
    free(g);
}

void held_close(struct held_weights **ph)
{
    struct held_weights *h = *ph;
    *ph = NULL;
    if (!h) return;
    for (uint32_t i = 0; i < h->n; i++) group_free(h->group[i]);
    free(h->group);
    free(h);
}

/* ---- groups of a list of tensors ---- */

static uint32_t layer_of(const struct tensor *t)
{
    if (t->chain == CHAIN_TEXT) return t->role < W_LAYER_ROLES ? t->layer : BEHIND_THE_LAYERS;
    return t->role < V_LAYER_ROLES ? t->layer : t->role < V_POST ? BEFORE_THE_LAYERS : BEHIND_THE_LAYERS;
}

/* How many of the tensors from t on, at most n, belong together. */
static uint32_t group_size(const struct tensor *t, uint32_t n)
{
    uint32_t k = 1;
    while (k < n && layer_of(&t[k]) == layer_of(t)) k++;
    return k;
}

static uint32_t count_groups(const struct wanted_part *w)
{
    uint32_t groups = 0;
    for (uint32_t i = 0; i < w->n; i += group_size(w->tensors + i, w->n - i)) groups++;
    return groups;
}

static bool is_group(const struct held_group *g, const struct wanted_part *w, const struct tensor *t, uint32_t n)
{
    if (g->damaged || g->chain != w->chain || g->as != w->as) return false;
    if (g->layer != layer_of(t) || g->n != n) return false;
    for (uint32_t i = 0; i < n; i++) {
        const struct tensor *have = &g->weight[i].is;
        if (have->role != t[i].role || have->type != t[i].type || have->rows != t[i].rows || have->cols != t[i].cols) return false;
        if (have->first_row != t[i].first_row) return false;
        if (weight_is_whole(&g->weight[i]) && (!t[i].hash || g->weight[i].hash != t[i].hash)) return false;
    }
    return true;
}

static struct held_group *find(const struct held_weights *h, const struct wanted_part *w, const struct tensor *t, uint32_t n)
{
    for (uint32_t i = 0; i < h->n; i++)
        if (is_group(h->group[i], w, t, n)) return h->group[i];
    return NULL;
}

/* ---- a new run ---- */

static void mark_asked(struct held_weights *h, const struct wanted_part *wanted, int n_wanted)
{
    for (uint32_t i = 0; i < h->n; i++) h->group[i]->asked = false;
    for (int k = 0; k < n_wanted; k++) {
        const struct wanted_part *w = &wanted[k];
        for (uint32_t i = 0, n; i < w->n; i += n) {
            n = group_size(w->tensors + i, w->n - i);
            struct held_group *g = find(h, w, w->tensors + i, n);
            if (g) g->asked = true;
        }
    }
}

static uint64_t bytes_of_group(const struct held_group *g)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < g->n; i++) bytes += weight_bytes(&g->weight[i].is, g->as);
    return bytes;
}

/* There is room for the one, and it is of use. */
static bool may_stay(const struct held_group *g, uint64_t *spare)
{
    const uint64_t bytes = bytes_of_group(g);
    if (!g->sum || g->damaged || bytes > *spare) return false;
    *spare -= bytes;
    return true;
}

static void give_back_the_rest(struct held_weights *h)
{
    uint32_t kept = 0;
    uint64_t spare = h->spare;
    for (uint32_t i = 0; i < h->n; i++) {
        if (h->group[i]->asked || may_stay(h->group[i], &spare)) h->group[kept++] = h->group[i];
        else group_free(h->group[i]);
    }
    h->n = kept;
}

static int make_room(struct held_weights *h, struct err *why)
{
    if (h->n < h->room) return 0;
    uint32_t room = h->room ? 2 * h->room : 64;
    struct held_group **more = realloc(h->group, room * sizeof(struct held_group *));
    if (!more) return fail(why, E_MEMORY, "no memory for a list of %u layers", room);
    h->group = more;
    h->room = room;
    return 0;
}

/* Without memory yet. */
static int add_group(struct held_weights *h, const struct wanted_part *w, const struct tensor *t, uint32_t n, struct held_group **out,
                     struct err *why)
{
    TRY(make_room(h, why));
    struct held_group *g = calloc(1, sizeof *g);
    if (!g) return fail(why, E_MEMORY, "no memory for a layer");
    *g = (struct held_group){.chain = w->chain, .as = w->as, .layer = layer_of(t), .n = n, .packed = {.fd = -1}};
    g->weight = calloc(n, sizeof *g->weight);
    if (!g->weight) return group_free(g), fail(why, E_MEMORY, "no memory for %u tensors", n);
    for (uint32_t i = 0; i < n; i++) g->weight[i].is = t[i];
    h->group[h->n++] = *out = g;
    return 0;
}

/* What their rows are stays as it was. */
static void place_weights(struct held_group *g, uint8_t *memory)
{
    for (uint32_t i = 0; i < g->n; i++) {
        const struct weight was = g->weight[i];
        weight_place(&g->weight[i], &was.is, g->as, memory);
        g->weight[i].rows_in = was.rows_in;
        g->weight[i].hash = was.hash;
        memory += weight_bytes(&was.is, g->as);
    }
}

/* Memory for the groups from `first` on, all at once: region.h says why. */
static int take_memory(struct held_weights *h, uint32_t first, int threads, struct err *why)
{
    const uint32_t n = h->n - first;
    struct region *memory = calloc(n + 1, sizeof *memory);
    uint64_t *bytes = calloc(n + 1, sizeof *bytes);
    int code = memory && bytes ? 0 : fail(why, E_MEMORY, "no memory for a list of layers");
    for (uint32_t i = 0; i < n && !code; i++) bytes[i] = h->group[first + i]->packed.map ? 0 : bytes_of_group(h->group[first + i]);
    if (!code) code = regions_open(memory, n, bytes, "weights", threads, why);
    for (uint32_t i = 0; i < n && !code; i++) {
        if (!bytes[i]) continue;
        h->group[first + i]->memory = memory[i];
        place_weights(h->group[first + i], memory[i].at);
    }
    free(memory);
    free(bytes);
    return code;
}

static struct packed_group packed_of(const struct held_group *g, const struct tensor *t)
{
    return (struct packed_group){.tensors = t, .n = g->n, .as = g->as, .model = g->model};
}

/* Nobody writes to a weight that is whole, so the mapping may stand where memory else does. */
static void place_mapped(struct held_group *g)
{
    region_close(&g->memory);
    place_weights(g, (uint8_t *)g->packed.map);
}

static int find_packed(const struct held_weights *h, struct held_group *g, const struct tensor *t, struct err *why)
{
    const struct packed_group wanted = packed_of(g, t);
    if (!h->store) return 0;
    TRY(store_find(h->store, &wanted, &g->packed, why));
    if (!g->packed.map) return 0;
    for (uint32_t i = 0; i < g->n; i++) g->weight[i].rows_in = t[i].rows, g->weight[i].hash = g->packed.of[i].hash;
    place_mapped(g);
    return 0;
}

/* Those that have got no memory. */
static void forget_from(struct held_weights *h, uint32_t first)
{
    while (h->n > first) group_free(h->group[--h->n]);
}

/* What a run that failed left half loaded begins anew, and may be meant to become something else. */
static void begin_anew_unless_whole(struct held_group *g, const struct tensor *t)
{
    for (uint32_t i = 0; i < g->n; i++) {
        struct weight *w = &g->weight[i];
        if (!weight_is_whole(w)) w->rows_in = 0, w->hash = 0;
        w->is.hash = t[i].hash;
    }
}

static int take_part(struct held_weights *h, const struct wanted_part *w, struct part_weights *out, struct err *why)
{
    *out = (struct part_weights){.n = w->n, .group = calloc(count_groups(w) + 1, sizeof *out->group)};
    if (!out->group) return fail(why, E_MEMORY, "no memory for a list of layers");
    for (uint32_t i = 0, n; i < w->n; i += n) {
        n = group_size(w->tensors + i, w->n - i);
        struct held_group **g = &out->group[out->n_groups];
        *g = find(h, w, w->tensors + i, n);
        if (*g) begin_anew_unless_whole(*g, w->tensors + i);
        else TRY(add_group(h, w, w->tensors + i, n, g, why));
        (*g)->model = w->model;
        if (!(*g)->memory.at && !(*g)->packed.map) TRY(find_packed(h, *g, w->tensors + i, why));
        out->n_groups++;
    }
    return 0;
}

int held_take(struct held_weights *h, const struct wanted_part *wanted, int n_wanted, int threads, struct part_weights *out,
              struct err *why)
{
    int code = 0;
    mark_asked(h, wanted, n_wanted);
    give_back_the_rest(h);
    peak_resident_begin_anew(); /* it is told for each run, and the last one's share is gone */
    const uint32_t kept = h->n;
    for (int i = 0; i < n_wanted; i++) out[i] = (struct part_weights){0};
    for (int i = 0; i < n_wanted && !code; i++) code = take_part(h, &wanted[i], &out[i], why);
    if (!code) code = take_memory(h, kept, threads, why);
    if (code) forget_from(h, kept);
    for (int i = 0; i < n_wanted && code; i++) part_weights_close(&out[i]);
    return code;
}

/* ---- the weights of a part ---- */

void part_weights_close(struct part_weights *p)
{
    free(p->group);
    *p = (struct part_weights){0};
}

struct weight *part_weight(const struct part_weights *p, uint32_t index)
{
    for (uint32_t g = 0; g < p->n_groups; g++) {
        if (index < p->group[g]->n) return &p->group[g]->weight[index];
        index -= p->group[g]->n;
    }
    return NULL;
}

struct weight *group_weights(const struct part_weights *p, uint32_t group)
{
    return p->group[group]->weight;
}

const char *part_weight_path(const struct part_weights *p, uint32_t index)
{
    for (uint32_t g = 0; g < p->n_groups; index -= p->group[g++]->n)
        if (index < p->group[g]->n) return p->group[g]->packed.path;
    return NULL;
}

int group_verify(struct held_weights *h, const struct part_weights *p, uint32_t group, int threads, struct err *why)
{
    struct held_group *g = p->group[group];
    if (!g->packed.map || !packed_verify(&g->packed, threads, why)) return 0;
    TRY(store_reject(h->store, &g->packed, why));
    for (uint32_t i = 0; i < g->n; i++) g->weight[i].rows_in = 0, g->weight[i].hash = 0;
    TRY(region_open(&g->memory, bytes_of_group(g), "weights", threads, why));
    place_weights(g, g->memory.at);
    return 0;
}

/* Runs of pages, so that threads share it; which order they are added in is of no matter. */
static uint64_t hash_memory(const uint8_t *at, uint64_t bytes, int threads)
{
    const uint64_t pages = bytes / 64;
    uint64_t sum = 0;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1) reduction(+ : sum)
    for (uint64_t p = 0; p < pages; p += 1024) sum += hash_rows((uint32_t)p, (uint32_t)(pages - p < 1024 ? pages - p : 1024), at + p * 64, 64);
    return sum ? sum : 1;
}

static int group_check(const struct held_weights *h, struct held_group *g, int threads, struct err *why)
{
    struct err mine;
    if (g->packed.map && !packed_check(&g->packed, threads, &mine)) return 0;
    if (!g->packed.map && hash_memory(g->memory.at, bytes_of_group(g), threads) == g->sum) return 0;
    g->damaged = true;
    if (g->packed.map) store_forget(h->store, &g->packed);
    if (g->layer < BEHIND_THE_LAYERS) return fail(why, E_WORKER, "%slayer %u", g->chain == CHAIN_VISION ? "vision " : "", g->layer);
    return fail(why, E_WORKER, "what stands %s the %slayers", g->layer == BEFORE_THE_LAYERS ? "before" : "behind", g->chain == CHAIN_VISION ? "vision " : "");
}

uint32_t part_weights_check(struct held_weights *h, const struct part_weights *p, int threads, struct err *first)
{
    uint32_t damaged = 0;
    for (uint32_t g = 0; g < p->n_groups; g++) {
        struct err mine;
        if (!group_check(h, p->group[g], threads, &mine)) continue;
        if (!damaged++) *first = mine;
    }
    return damaged;
}

static int put_into_cache(struct held_weights *h, struct held_group *g, struct err *why)
{
    if (!h->store || !h->store->cache || g->packed.map) return 0;
    struct tensor *t = calloc(g->n, sizeof *t);
    if (!t) return fail(why, E_MEMORY, "no memory to list %u tensors", g->n);
    for (uint32_t i = 0; i < g->n; i++) t[i] = g->weight[i].is, t[i].hash = g->weight[i].hash;
    const struct packed_group all = packed_of(g, t);
    store_keep(h->store, &all, g->memory.at, &g->packed);
    if (g->packed.map) place_mapped(g);
    free(t);
    return 0;
}

/* What is mapped is compared with the hash that its file has. */
int group_keep(struct held_weights *h, const struct part_weights *p, uint32_t group, int threads, struct err *why)
{
    struct held_group *g = p->group[group];
    TRY(put_into_cache(h, g, why));
    if (!g->sum && !g->packed.map) g->sum = hash_memory(g->memory.at, bytes_of_group(g), threads);
    return 0;
}

uint64_t part_weights_bytes(const struct part_weights *p)
{
    uint64_t sum = 0;
    for (uint32_t g = 0; g < p->n_groups; g++) sum += bytes_of_group(p->group[g]);
    return sum;
}

void part_weights_draw(const struct part_weights *p)
{
    for (uint32_t g = 0; g < p->n_groups; g++) {
        const struct held_group *h = p->group[g];
        for (uint32_t i = 0; i < h->n; i++) {
            const struct weight *w = &h->weight[i];
            const uint64_t bytes = weight_bytes(&w->is, h->as);
            if (!w->floats) numbers_draw(w->panels.data, bytes, w->panels.kind == P_BF16 || w->panels.kind == P_F32);
            for (uint64_t k = 0; w->floats && k < bytes / sizeof(float); k++) w->floats[k] = 1;
        }
    }
}

int part_weights_loaded(const struct part_weights *p, struct err *why)
{
    for (uint32_t g = 0; g < p->n_groups; g++)
        for (uint32_t i = 0; i < p->group[g]->n; i++) {
            const struct weight *w = &p->group[g]->weight[i];
            if (weight_is_whole(w)) continue;
            return fail(why, E_WIRE, "%s of %s %u is not complete: %u of %u rows came", tensor_name(&w->is),
                        w->is.chain == CHAIN_VISION ? "vision layer" : "layer", w->is.layer, w->rows_in, w->is.rows);
        }
    return 0;
}
