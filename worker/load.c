/* worker/load.c — the weights: those held from an earlier run stay, the others come from a file of this host or are sent.
 *
 *   held already? ── all ──► ACCEPT (I have all) ─────────────────────────────────► READY
 *        │ no
 *   a file of the same model here? ── yes ──► ACCEPT (I have these), read them ───► READY, when the others have come
 *        │ no
 *        └──► ACCEPT (send me these), PIECE… ─────────────────────────────────────► READY */
#include "worker/run.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/threads.h"
#include "partition/file/delivery.h"
#include "partition/file/encoder_file.h"
#include "worker/source.h"

#include <stdlib.h>

#define LOOK_AHEAD (16u << 20) /* bytes of the file fetched while earlier ones are packed */

/* Where the tensors that are not held come from; closed when they are loaded. */
struct sources {
    struct source text;
    struct vision_model *encoder;
    uint8_t *have; /* [text's tensors, then the encoder's]: held, or in one of these files */
    uint32_t n;
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

/* Tensors of both chains are numbered through: the text's first. */
static int load_rows(struct run *r, uint32_t tensor, uint32_t first_row, uint32_t rows, const void *bytes, struct err *why)
{
    if (tensor < r->count) return stage_load(r->stage, tensor, first_row, rows, bytes, why);
    return vision_stage_load(r->encoder.stage, tensor - r->count, first_row, rows, bytes, why);
}

static int all_loaded(const struct run *r, struct err *why)
{
    for (int i = 0; i < CHAINS; i++) TRY(part_weights_loaded(&r->weights[i], why));
    return 0;
}

/* ---- from files ---- */

/* Nothing but pings and the end may come while a file is read. */
static int look_up(struct run *r, struct err *why)
{
    struct frame *f = NULL;
    TRY(run_look(r, &f, 0, why));
    if (!f) return 0;
    int code = f->head.type == M_STOP ? fail(why, E_INTERRUPTED, "dismissed while the weights were loading")
                                      : fail(why, E_WIRE, "%s came while the weights were loading", message_name(f->head.type));
    frame_free(f);
    return code;
}

/* `number`: under which load_rows knows the tensor. */
static int load_tensor(struct run *r, const struct gguf *file, const struct tensor *tensor, uint32_t number, struct err *why)
{
    struct delivery d;
    struct delivery_piece p;
    delivery_begin(&d, tensor, 1);
    while (delivery_next(&d, &p)) {
        gguf_expect(file, p.bytes + p.n, LOOK_AHEAD); /* past the part's end it does no harm */
        TRY(look_up(r, why));
        TRY(load_rows(r, number, p.first_row, p.rows, p.bytes, why));
        gguf_forget(file, p.bytes, p.n);
    }
    return 0;
}

static int load_from_file(struct run *r, enum chain chain, const struct gguf *file, const struct tensor *tensors, struct err *why)
{
    const uint32_t first = chain == CHAIN_TEXT ? 0 : r->count;
    for (uint32_t i = 0; i < r->weights[chain].n; i++)
        if (!is_whole(r, chain, i)) TRY(load_tensor(r, file, &tensors[i], first + i, why));
    return 0;
}

/* The encoder's file, on the same terms as the model's. */
static struct vision_model *open_same_encoder(const struct run *r)
{
    const struct hash128 wanted = r->fingerprint[CHAIN_VISION];
    struct vision_model *v = NULL;
    struct err why = {0};
    if (r->worker->options.no_file || !r->path[CHAIN_VISION][0] || vision_open(&v, r->path[CHAIN_VISION], &why)) return NULL;
    if (hash128_same(v->fingerprint, wanted)) return v;
    log_warn("%s here is not the coordinator's file of that name; asking for its layers instead", r->path[CHAIN_VISION]);
    vision_close(&v);
    return NULL;
}

static bool open_text(struct run *r, struct sources *s)
{
    const struct wanted wanted = {
        .share = r->part, .tensors = r->tensors, .count = r->count, .fingerprint = r->fingerprint[CHAIN_TEXT],
        .path = r->worker->options.no_file ? NULL : r->path[CHAIN_TEXT],
    };
    return source_open(&s->text, &wanted, r->worker->options.shard);
}

static int find_sources(struct run *r, struct sources *s, struct err *why)
{
    s->n = r->count + r->encoder.count;
    s->have = malloc(s->n);
    if (!s->have) return fail(why, E_MEMORY, "no memory to list %u tensors", s->n);
    const bool text = missing(r, CHAIN_TEXT) && open_text(r, s);
    if (missing(r, CHAIN_VISION)) s->encoder = open_same_encoder(r);
    if (s->encoder) vision_part_tensors(s->encoder, r->encoder.part, r->encoder.tensors);
    for (uint32_t i = 0; i < r->count; i++) s->have[i] = text || is_whole(r, CHAIN_TEXT, i);
    for (uint32_t i = 0; i < r->encoder.count; i++) s->have[r->count + i] = s->encoder || is_whole(r, CHAIN_VISION, i);
    const uint32_t lack = missing(r, CHAIN_TEXT) + missing(r, CHAIN_VISION);
    log_debug("%u of %u tensors are held from an earlier run", s->n - lack, s->n);
    return 0;
}

static int load_own(struct run *r, const struct sources *s, struct err *why)
{
    if (source_file(&s->text)) TRY(load_from_file(r, CHAIN_TEXT, source_file(&s->text), r->tensors, why));
    return s->encoder ? load_from_file(r, CHAIN_VISION, s->encoder->file, r->encoder.tensors, why) : 0;
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
    if (hash64(p->bytes, p->n) != p->hash)
        return fail(why, E_WIRE, "rows %u to %u of %s of layer %u arrived damaged", p->first_row, p->first_row + p->rows - 1,
                    tensor_name(t), t->layer);
    return 0;
}

static int take_piece(struct run *r, struct frame *f, struct err *why)
{
    struct piece p;
    TRY(run_expect(f, M_PIECE, why));
    TRY(piece_read(&p, f, why));
    TRY(check_piece(r, &p, why));
    TRY(load_rows(r, p.tensor, p.first_row, p.rows, p.bytes, why));
    struct frame *ack = NULL;
    TRY(empty_write(&ack, M_PIECE_ACK, why));
    return port_send(r->port, 0, &ack, why);
}

static int load_sent(struct run *r, struct err *why)
{
    struct err incomplete;
    while (all_loaded(r, &incomplete)) {
        struct frame *f = NULL;
        TRY(run_await(r, &f, why));
        int code = f->head.type == M_STOP ? fail(why, E_INTERRUPTED, "dismissed while the weights were loading") : take_piece(r, f, why);
        frame_free(f);
        if (code) return code;
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
    return port_send(r->port, 0, &f, why);
}

static int load(struct run *r, struct sources *s, struct err *why)
{
    TRY(find_sources(r, s, why));
    TRY(say_accept(r, s, why));
    TRY(load_own(r, s, why));
    return load_sent(r, why);
}

int run_load(struct run *r, struct err *why)
{
    const uint64_t start = clock_ns();
    struct sources s = {0};
    struct frame *f = NULL;
    int code = load(r, &s, why);
    source_close(&s.text);
    vision_close(&s.encoder);
    free(s.have);
    if (code) return code;
    const struct ready ready = {.resident = resident_bytes(), .seconds = (double)(clock_ns() - start) / 1e9};
    TRY(ready_write(&f, &ready, why));
    return port_send(r->port, 0, &f, why);
}
