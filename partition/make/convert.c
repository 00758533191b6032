/* partition/make/convert.c — pieces of tensors through a small ring: many hands quantise, one writes, the order stays.
 *
 *   sources --pread--> [in] worker 0 --\        slots of the ring: piece i goes into slot i % n
 *                      [in] worker 1 ---+-->  [3 done][4 done][5 making][6 making][free]  --write--> file
 *                      ...            --/        the writer takes them in order and gives them back
 *
 * A piece is up to a megabyte of values: large enough that locks and system calls vanish, small enough that the ring of
 * any machine stays under CONVERT_MEMORY. Within a piece the work goes by 4096 values, which stay in the first-level
 * cache from widening to block. So a model is limited by its disk: docs/SPEED.md.
 *
 * Reading by pread costs a copy that mapping would not. It is worth it: mapped pages would have to be given back piece
 * by piece to keep the memory small, every one of them is a fault, and a disk error would be a SIGBUS. */
#define _GNU_SOURCE
#include "partition/make/convert.h"

#include "base/log.h"
#include "partition/format/quantize.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define MOST_THREADS 64
#define MOST_VALUES (1u << 20) /* of a piece */
#define CHUNK 4096             /* values that stay in cache; whole blocks of any kind */

struct chunk {
    size_t tensor;
    uint64_t first, values; /* of the tensor's values */
};

struct chunk_slot {
    uint8_t *out;
    bool done;
    int code;
    struct err why;
    struct conversion_error error;
};

struct shop {
    const struct convert *job;
    struct quantizer q;
    int *fds;
    uint64_t piece_values;
    struct chunk_slot *slots;
    uint64_t n_slots;

    pthread_mutex_t lock; /* of all below, and of `done` */
    pthread_cond_t changed;
    struct chunk next;
    uint64_t claimed, written; /* pieces */
    bool stop;
};

static uint64_t values_of(const struct conversion *c)
{
    uint64_t n = 1;
    for (uint32_t d = 0; d < c->n_dims; d++) n *= c->dims[d];
    return n;
}

static uint64_t bytes_of(uint32_t type, uint64_t values)
{
    const struct block_info *b = block_info(type);
    return values / b->elems * b->bytes;
}

uint64_t conversion_bytes_from(const struct conversion *c)
{
    return bytes_of(c->from_type, values_of(c));
}

uint64_t conversion_bytes(const struct conversion *c)
{
    return bytes_of(c->type, values_of(c));
}

/* The piece at the cursor, which then stands behind it. False at the end. */
static bool next_piece(const struct shop *s, struct chunk *cursor, struct chunk *out)
{
    while (cursor->tensor < s->job->count) {
        uint64_t left = values_of(&s->job->list[cursor->tensor]) - cursor->first;
        *out = *cursor;
        out->values = left < s->piece_values ? left : s->piece_values;
        cursor->first += out->values;
        if (left) return true;
        *cursor = (struct chunk){.tensor = cursor->tensor + 1};
    }
    return false;
}

/* ---- one piece ---- */

static int read_bytes(const struct shop *s, const struct conversion *c, uint64_t at, void *out, size_t n,
                      struct err *why)
{
    uint8_t *p = out;
    while (n) {
        ssize_t got = pread(s->fds[c->file], p, n, (off_t)at);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno(why, E_FILE, "cannot read %s", s->job->paths[c->file]);
        if (got == 0)
            return fail(why, E_FILE, "%s is cut short: it ends at byte %" PRIu64 ", inside %s", s->job->paths[c->file],
                        at, c->name);
        p += got;
        at += (uint64_t)got;
        n -= (size_t)got;
    }
    return 0;
}

static int refuse_value(const struct shop *s, const struct conversion *c, float x, uint64_t at, struct err *why)
{
    const char *path = s->job->paths[c->file];
    uint64_t row = at / c->dims[0], column = at % c->dims[0];
    if (isfinite(x))
        return fail(why, E_FILE, "%s: %s is %g at row %" PRIu64 ", column %" PRIu64 "; %s holds at most %g", path,
                    c->name, (double)x, row, column, block_info(c->type)->name, (double)quantize_limit(c->type));
    return fail(why, E_FILE, "%s: %s is %s at row %" PRIu64 ", column %" PRIu64
                ", wanted a number: the file is damaged, or its training failed",
                path, c->name, isnan(x) ? "NaN" : "infinite", row, column);
}

static void measure(const struct shop *s, uint32_t type, const uint8_t *made, const float *x, size_t n,
                    struct conversion_error *error)
{
    float y[CHUNK];
    widen_values(&s->q, type, made, n, y);
    for (size_t i = 0; i < n; i++) {
        double off = (double)y[i] - x[i];
        error->signal += (double)x[i] * x[i];
        error->noise += off * off;
    }
}

static bool is_copied(const struct conversion *c)
{
    return c->type == c->from_type && !c->add_one;
}

/* From the bytes read to the bytes of the slot; a copy is already there, and only looked at. */
static int make_values(const struct shop *s, const struct conversion *c, const struct chunk *p, const uint8_t *in,
                       struct chunk_slot *slot, struct err *why)
{
    float x[CHUNK];
    for (uint64_t at = 0; at < p->values; at += CHUNK) {
        size_t n = p->values - at < CHUNK ? (size_t)(p->values - at) : CHUNK;
        uint8_t *out = slot->out + bytes_of(c->type, at);
        widen_values(&s->q, c->from_type, in + bytes_of(c->from_type, at), n, x);
        for (size_t i = 0; i < n && c->add_one; i++) x[i] += 1;
        size_t bad = quantize_first_bad(&s->q, is_copied(c) ? T_F32 : c->type, x, n);
        if (bad < n) return refuse_value(s, c, x[bad], p->first + at + bad, why);
        if (!is_copied(c)) quantize_values(&s->q, c->type, x, n, out);
        if (s->job->error) measure(s, c->type, out, x, n, &slot->error);
    }
    return 0;
}

static int make_piece(const struct shop *s, const struct chunk *p, uint8_t *in, struct chunk_slot *slot, struct err *why)
{
    const struct conversion *c = &s->job->list[p->tensor];
    uint64_t at = c->offset + bytes_of(c->from_type, p->first), bytes = bytes_of(c->from_type, p->values);
    posix_fadvise(s->fds[c->file], (off_t)(at + bytes), (off_t)(bytes * s->n_slots), POSIX_FADV_WILLNEED);
    TRY(read_bytes(s, c, at, is_copied(c) ? slot->out : in, (size_t)bytes, why));
    if (!is_copied(c)) return make_values(s, c, p, in, slot, why);
    /* Blocks are copied unseen: quants cannot be wrong, and to look at their scales costs more than to copy them. */
    return block_info(c->type)->elems > 1 && !s->job->error ? 0 : make_values(s, c, p, slot->out, slot, why);
}

/* ---- the ring ---- */

static struct chunk_slot *claim(struct shop *s, struct chunk *p)
{
    struct chunk_slot *slot = NULL;
    pthread_mutex_lock(&s->lock);
    while (!s->stop && s->claimed - s->written == s->n_slots) pthread_cond_wait(&s->changed, &s->lock);
    if (!s->stop && next_piece(s, &s->next, p)) slot = &s->slots[s->claimed++ % s->n_slots];
    pthread_mutex_unlock(&s->lock);
    return slot;
}

static void hand_over(struct shop *s, struct chunk_slot *slot)
{
    pthread_mutex_lock(&s->lock);
    slot->done = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void *work(void *shop)
{
    struct shop *s = shop;
    uint8_t *in = malloc(s->piece_values * 4);
    struct chunk p;
    for (struct chunk_slot *slot; (slot = claim(s, &p)); hand_over(s, slot)) {
        slot->error = (struct conversion_error){0};
        slot->code = in ? make_piece(s, &p, in, slot, &slot->why) : fail(&slot->why, E_MEMORY, "no memory to convert");
    }
    free(in);
    return NULL;
}

static void wait_for(struct shop *s, const struct chunk_slot *slot)
{
    pthread_mutex_lock(&s->lock);
    while (!slot->done) pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

static void give_back(struct shop *s, struct chunk_slot *slot)
{
    pthread_mutex_lock(&s->lock);
    slot->done = false;
    s->written++;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

/* The first piece that failed in the order of the file is the one reported, whichever thread was first. */
static int write_pieces(struct shop *s, struct gguf_out *o, struct err *why)
{
    struct progress progress;
    struct chunk cursor = {0}, p;
    uint64_t total = 0, done = 0;
    for (size_t i = 0; i < s->job->count; i++) total += conversion_bytes_from(&s->job->list[i]);
    progress_begin(&progress, s->job->label, "B", total);
    int code = 0;
    for (uint64_t i = 0; !code && next_piece(s, &cursor, &p); i++) {
        struct chunk_slot *slot = &s->slots[i % s->n_slots];
        const struct conversion *c = &s->job->list[p.tensor];
        wait_for(s, slot);
        if (slot->code) code = fail(why, slot->code, "%s", slot->why.text);
        if (!code) code = gguf_out_data(o, slot->out, (size_t)bytes_of(c->type, p.values), why);
        if (s->job->error) {
            s->job->error[p.tensor].signal += slot->error.signal;
            s->job->error[p.tensor].noise += slot->error.noise;
        }
        give_back(s, slot);
        progress_at(&progress, done += bytes_of(c->from_type, p.values));
    }
    progress_end(&progress);
    return code;
}

/* ---- the shop ---- */

static int open_files(struct shop *s, struct err *why)
{
    s->fds = malloc((s->job->n_paths + 1) * sizeof *s->fds);
    if (!s->fds) return fail(why, E_MEMORY, "no memory to convert");
    for (size_t i = 0; i < s->job->n_paths; i++) s->fds[i] = -1;
    for (size_t i = 0; i < s->job->n_paths; i++) {
        s->fds[i] = open(s->job->paths[i], O_RDONLY | O_CLOEXEC);
        if (s->fds[i] < 0) return fail_errno(why, E_FILE, "cannot read %s", s->job->paths[i]);
        posix_fadvise(s->fds[i], 0, 0, POSIX_FADV_SEQUENTIAL);
    }
    return 0;
}

static int open_slots(struct shop *s, uint64_t threads, struct err *why)
{
    uint64_t buffers = threads + s->n_slots, values = CONVERT_MEMORY / 4 / buffers / CHUNK * CHUNK;
    s->piece_values = values < MOST_VALUES ? values : MOST_VALUES;
    s->slots = calloc(s->n_slots, sizeof *s->slots);
    for (uint64_t i = 0; s->slots && i < s->n_slots; i++)
        if (!(s->slots[i].out = malloc(s->piece_values * 4))) return fail(why, E_MEMORY, "no memory to convert");
    return s->slots ? 0 : fail(why, E_MEMORY, "no memory to convert");
}

static void close_shop(struct shop *s)
{
    for (size_t i = 0; s->fds && i < s->job->n_paths; i++)
        if (s->fds[i] >= 0) close(s->fds[i]);
    for (uint64_t i = 0; s->slots && i < s->n_slots; i++) free(s->slots[i].out);
    free(s->slots);
    free(s->fds);
}

static int run_shop(struct shop *s, struct gguf_out *o, int threads, struct err *why)
{
    pthread_t worker[MOST_THREADS];
    int started = 0;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    while (started < threads && !pthread_create(&worker[started], NULL, work, s)) started++;
    int code = started ? write_pieces(s, o, why) : fail(why, E_MEMORY, "no thread can be started");
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    while (started) pthread_join(worker[--started], NULL);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    return code;
}

static int check_conversion(const struct convert *job, const struct conversion *c, struct err *why)
{
    const struct block_info *from = block_info(c->from_type), *to = block_info(c->type);
    if (!from || !to || c->file >= job->n_paths || (c->type != c->from_type && !quantize_makes(c->type)) ||
        (c->add_one && !quantize_makes(c->type)))
        return fail(why, E_INTERNAL, "%s cannot be converted from %s to %s", c->name, from ? from->name : "?",
                    to ? to->name : "?");
    if (c->dims[0] % from->elems || c->dims[0] % to->elems)
        return fail(why, E_USAGE, "%s cannot be %s: its rows have %" PRIu64 " values, wanted a multiple of %u", c->name,
                    to->name, c->dims[0], to->elems);
    return 0;
}

int convert_write(struct gguf_out *o, const struct convert *job, struct err *why)
{
    int threads = job->threads < 1 ? 1 : job->threads > MOST_THREADS ? MOST_THREADS : job->threads;
    struct shop s = {.job = job, .q = quantizer_best(), .n_slots = 2 * (uint64_t)threads + 1};
    for (size_t i = 0; i < job->count; i++) TRY(check_conversion(job, &job->list[i], why));
    for (size_t i = 0; i < job->count; i++) {
        const struct conversion *c = &job->list[i];
        gguf_put_tensor(o, c->name, c->type, c->n_dims, c->dims);
        if (job->error) job->error[i] = (struct conversion_error){0};
    }
    int code = gguf_out_begin(o, why);
    if (!code) code = open_files(&s, why);
    if (!code) code = open_slots(&s, (uint64_t)threads, why);
    if (!code) code = run_shop(&s, o, threads, why);
    close_shop(&s);
    return code;
}
