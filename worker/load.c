/* worker/load.c — the weights: those held from an earlier run stay, as do those that prepare.c found packed and mapped, once they are
 * verified; the others come from a file of this host or are sent, and go into the cache.
 *
 *   held already? ── all ──► ACCEPT (I have all) ─────────────────────────────────► READY
 *        │ no
 *   a file of the same model here? ── yes ──► ACCEPT (I have these), read them ───► READY, when the others have come
 *        │ no
 *        └──► ACCEPT (send me these), PIECE… ─────────────────────────────────────► READY
 *
 * Whatever is loaded is hashed as it goes by. Where the coordinator knew the hashes when it assigned, they are compared at once;
 * else it finds them out while this worker reads its file, and says them before READY. */
#include "worker/run.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/threads.h"
#include "partition/file/delivery.h"
#include "partition/file/gguf.h"
#include "worker/source.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_AHEAD (32u << 20) /* bytes of the file fetched while earlier ones are packed; asked for when half are used up */

/* Where the tensors that are not held come from; closed when they are loaded. */
struct sources {
    struct source of[CHAINS];
    uint8_t *have; /* [text's tensors, then the encoder's]: held, or in one of these files */
    uint32_t n;
    uint32_t unproved; /* in one of these files, and the coordinator has yet to say their hashes */
    uint8_t *room; /* for a piece of a file */
    uintptr_t asked_from, asked_end; /* where the file is mapped: fetched already */
};

static bool is_whole(const struct run *r, enum chain chain, uint32_t index)
{
    return weight_is_whole(part_weight(&r->weights[chain], index));
}

static uint32_t missing(const struct run *r, enum chain chain)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->weights[chain].n; i++) n += !is_whole(r, chain, i);
    return n;
}

/* Tensors of both chains are numbered through: the text's first. NULL: there is no such tensor. */
static struct weight *weight_at(const struct run *r, uint32_t tensor)
{
    return tensor < r->count ? part_weight(&r->weights[CHAIN_TEXT], tensor) : part_weight(&r->weights[CHAIN_VISION], tensor - r->count);
}

static int compare(const struct run *r, const struct sources *s, uint32_t tensor, struct err *why)
{
    const enum chain chain = tensor < r->count ? CHAIN_TEXT : CHAIN_VISION;
    const struct gguf *file = source_file(&s->of[chain]);
    const char *packed = part_weight_path(&r->weights[chain], tensor < r->count ? tensor : tensor - r->count);
    const char *from = packed ? packed : file ? gguf_path(file, 0) : NULL;
    const int code = weight_compare(weight_at(r, tensor), why);
    if (code && from) err_add(why, ". Damaged, or of another model, is "), err_add(why, from);
    return code;
}

static int load_rows(struct run *r, const struct sources *s, uint32_t tensor, uint32_t first_row, uint32_t rows, const void *bytes,
                     struct err *why)
{
    if (tensor < r->count) TRY(stage_load(r->stage, tensor, first_row, rows, bytes, why));
    else TRY(vision_stage_load(r->encoder.stage, tensor - r->count, first_row, rows, bytes, why));
    return compare(r, s, tensor, why);
}

static int all_loaded(const struct run *r, struct err *why)
{
    for (int i = 0; i < CHAINS; i++) TRY(part_weights_loaded(&r->weights[i], why));
    return 0;
}

/* ---- from the coordinator ---- */

static int check_piece(const struct run *r, const struct piece *p, struct err *why)
{
    const uint32_t total = r->count + r->encoder.count;
    if (p->tensor >= total) return fail(why, E_WIRE, "a piece of tensor %u came, the part has %u", p->tensor, total);
    const struct tensor *t = p->tensor < r->count ? &r->tensors[p->tensor] : &r->encoder.tensors[p->tensor - r->count];
    const uint64_t want = p->rows * block_row_bytes(t->type, t->cols);
    if (p->n != want)
        return fail(why, E_WIRE, "%u rows of %s of layer %u came as %llu bytes, they are %llu", p->rows, tensor_name(t), t->layer,
                    (unsigned long long)p->n, (unsigned long long)want);
    if (p->rows && hash64(p->bytes, p->n) != p->hash)
        return fail(why, E_WIRE, "rows %u to %u of %s of layer %u arrived damaged", p->first_row, p->first_row + p->rows - 1,
                    tensor_name(t), t->layer);
    return 0;
}

/* No rows, but the hash of a tensor that is read from a file here, or was. */
static int take_proof(struct run *r, struct sources *s, const struct piece *p, struct err *why)
{
    struct weight *w = weight_at(r, p->tensor);
    if (w->is.hash || !s->unproved) return fail(why, E_WIRE, "the hash of tensor %u came out of turn", p->tensor);
    s->unproved--;
    w->is.hash = p->hash;
    return compare(r, s, p->tensor, why);
}

static int take_piece(struct run *r, struct sources *s, struct frame *f, struct err *why)
{
    struct piece p;
    TRY(run_expect(f, M_PIECE, why));
    TRY(piece_read(&p, f, why));
    TRY(check_piece(r, &p, why));
    TRY(p.rows ? load_rows(r, s, p.tensor, p.first_row, p.rows, p.bytes, why) : take_proof(r, s, &p, why));
    struct frame *ack = NULL;
    TRY(empty_write(&ack, M_PIECE_ACK, why));
    return run_send(r, 0, ack, why);
}

/* What came while the weights are loading. */
static int take_frame(struct run *r, struct sources *s, struct frame *f, struct err *why)
{
    const int code = take_piece(r, s, f, why);
    frame_free(f);
    return code;
}

/* ---- from files ---- */

/* Others may be sent meanwhile. */
static int look_up(struct run *r, struct sources *s, struct err *why)
{
    struct frame *f = NULL;
    TRY(run_look(r, &f, why));
    return f ? take_frame(r, s, f, why) : 0;
}

/* Past the part's end it does no harm. */
static void look_ahead(struct sources *s, const struct gguf *file, const struct delivery_piece *p)
{
    const uintptr_t at = (uintptr_t)p->bytes;
    if (at >= s->asked_from && at + p->n <= s->asked_end) return;
    gguf_expect(file, p->bytes, LOOK_AHEAD);
    s->asked_from = at;
    s->asked_end = at + LOOK_AHEAD / 2;
}

/* By all threads: copying it out of the system's cache takes one as long as packing. */
static int read_piece(const struct run *r, const struct gguf *file, const struct delivery_piece *p, uint8_t *room, struct err *why)
{
    const uint64_t slice = 128u << 10;
    int code = 0;
#pragma omp parallel for num_threads(r->threads) schedule(static) if (r->threads > 1)
    for (uint64_t at = 0; at < p->n; at += slice) {
        struct err mine;
        const int failed = gguf_read(file, p->bytes + at, room + at, p->n - at < slice ? p->n - at : slice, &mine);
        if (!failed) continue;
#pragma omp critical
        *why = mine, code = failed;
    }
    return code;
}

/* `number`: under which load_rows knows the tensor. */
static int load_tensor(struct run *r, struct sources *s, const struct gguf *file, const struct tensor *tensor, uint32_t number,
                       struct err *why)
{
    struct delivery d;
    struct delivery_piece p;
    delivery_begin(&d, tensor, 1);
    while (delivery_next(&d, &p)) {
        look_ahead(s, file, &p);
        TRY(look_up(r, s, why));
        TRY(read_piece(r, file, &p, s->room, why));
        TRY(load_rows(r, s, number, p.first_row, p.rows, s->room, why));
    }
    return 0;
}

static int load_from_file(struct run *r, struct sources *s, enum chain chain, const struct gguf *file, const struct tensor *tensors,
                          struct err *why)
{
    const uint32_t first = chain == CHAIN_TEXT ? 0 : r->count;
    for (uint32_t i = 0; i < r->weights[chain].n; i++)
        if (!is_whole(r, chain, i)) TRY(load_tensor(r, s, file, &tensors[i], first + i, why));
    return gguf_unchanged(file, why);
}

/* The file of the coordinator's naming, if it may be opened: in `out`, as it lies. */
static const char *allowed_path(const struct run *r, enum chain chain, char out[PATH_MAX])
{
    const struct worker_options *o = &r->worker->options;
    char folder[PATH_MAX];
    if (o->no_file || !r->path[chain][0] || !o->models) return o->no_file ? NULL : r->path[chain];
    if (!realpath(r->path[chain], out) || !realpath(o->models, folder)) return NULL;
    const size_t n = strlen(folder);
    if (!strncmp(out, folder, n) && (out[n] == '/' || folder[n - 1] == '/')) return out;
    log_warn("%s is not in %s; asking for its layers instead", r->path[chain], o->models);
    return NULL;
}

/* True if the part's missing tensors are in a file of this host. */
static bool open_source(struct run *r, struct sources *s, enum chain chain)
{
    const bool text = chain == CHAIN_TEXT;
    char path[PATH_MAX];
    const struct wanted wanted = {
        .chain = chain,
        .part = text ? r->part : r->encoder.part,
        .tensors = text ? r->tensors : r->encoder.tensors,
        .count = text ? r->count : r->encoder.count,
        .fingerprint = r->fingerprint[chain],
        .path = allowed_path(r, chain, path),
    };
    return missing(r, chain) && source_open(&s->of[chain], &wanted, text && !r->worker->store.shard ? r->worker->options.shard : NULL);
}

static int find_sources(struct run *r, struct sources *s, struct err *why)
{
    s->n = r->count + r->encoder.count;
    s->have = malloc(s->n);
    s->room = malloc(delivery_largest(r->count ? &r->config : NULL, r->encoder.count ? &r->encoder.config : NULL));
    if (!s->have || !s->room) return fail(why, E_MEMORY, "no memory to list %u tensors", s->n);
    const bool text = open_source(r, s, CHAIN_TEXT), encoder = open_source(r, s, CHAIN_VISION);
    for (uint32_t i = 0; i < r->count; i++) s->have[i] = text || is_whole(r, CHAIN_TEXT, i);
    for (uint32_t i = 0; i < r->encoder.count; i++) s->have[r->count + i] = encoder || is_whole(r, CHAIN_VISION, i);
    for (uint32_t i = 0; i < s->n; i++) s->unproved += r->compared[i >= r->count] && s->have[i] && !weight_at(r, i)->is.hash;
    const uint32_t lack = missing(r, CHAIN_TEXT) + missing(r, CHAIN_VISION);
    log_debug("%u of %u tensors are held from an earlier run", s->n - lack, s->n);
    return 0;
}

static int load_own(struct run *r, struct sources *s, struct err *why)
{
    const struct gguf *text = source_file(&s->of[CHAIN_TEXT]), *encoder = source_file(&s->of[CHAIN_VISION]);
    if (text) TRY(load_from_file(r, s, CHAIN_TEXT, text, r->tensors, why));
    return encoder ? load_from_file(r, s, CHAIN_VISION, encoder, r->encoder.tensors, why) : 0;
}

static int load_sent(struct run *r, struct sources *s, struct err *why)
{
    struct err incomplete;
    while (s->unproved || all_loaded(r, &incomplete)) {
        struct frame *f = NULL;
        TRY(run_await(r, &f, why));
        TRY(take_frame(r, s, f, why));
    }
    return 0;
}

/* ---- both ---- */

static int say_accept(struct run *r, const struct sources *s, struct err *why)
{
    struct part_bytes b = r->stage ? stage_memory(r->stage) : (struct part_bytes){0};
    const struct part_bytes v = r->encoder.bytes;
    b.weights += v.weights, b.scratch += v.scratch, b.frames += v.frames, b.runtime += v.runtime, b.total += v.total;
    const struct acceptance yes = {.bytes = b, .n = s->n, .have = s->have};
    struct frame *f = NULL;
    TRY(acceptance_write(&f, &yes, why));
    return run_send(r, 0, f, why);
}

/* A layer at a time, so that it shows how far it is, and ends when the run does. */
static int verify_mapped(struct run *r, struct sources *s, struct err *why)
{
    for (int chain = 0; chain < CHAINS; chain++)
        for (uint32_t g = 0; g < r->weights[chain].n_groups; g++) {
            TRY(group_verify(r->worker->held, &r->weights[chain], g, r->threads, why));
            TRY(look_up(r, s, why));
        }
    return 0;
}

static int keep_packed(struct run *r, struct sources *s, struct err *why)
{
    for (int chain = 0; chain < CHAINS; chain++)
        for (uint32_t g = 0; g < r->weights[chain].n_groups; g++) {
            TRY(group_keep(r->worker->held, &r->weights[chain], g, r->threads, why));
            TRY(look_up(r, s, why));
        }
    return 0;
}

static int load(struct run *r, struct sources *s, struct err *why)
{
    TRY(verify_mapped(r, s, why));
    TRY(find_sources(r, s, why));
    TRY(say_accept(r, s, why));
    TRY(load_own(r, s, why));
    TRY(load_sent(r, s, why));
    return keep_packed(r, s, why);
}

int run_load(struct run *r, struct err *why)
{
    const uint64_t start = clock_ns();
    struct sources s = {0};
    int code = load(r, &s, why);
    for (int chain = 0; chain < CHAINS; chain++) source_close(&s.of[chain]);
    free(s.have);
    free(s.room);
    if (code) return code;
    r->ready = (struct ready){.resident = resident_bytes(), .seconds = (double)(clock_ns() - start) / 1e9};
    return 0;
}
