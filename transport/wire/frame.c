/* transport/wire/frame.c — the head of 64 bytes, and the pool of buffers. See frame.h; docs/WIRE.md, "Frames", has every byte.
 *
 * Two CRCs, because they answer different questions: the head's says whether the lengths may be believed, the body's
 * whether the numbers may. TCP's own sum is 16 bits and MPI over shared memory has none, so this is the only end-to-end
 * check there is; CRC-32C costs a tenth of a millisecond per megabyte and a micro-batch takes tens of milliseconds.
 *
 * The pool: a run sends the same few sizes again and again. Capacities are rounded up to an eighth of a power of two, so
 * that micro-batches of nearly the same size share buffers, and only the touched part of a buffer becomes resident. Under
 * sanitizers there is no pool, so that they see who looks at a frame that was given back, and who never gives one back. */
#include "transport/wire/frame.h"

#include "base/checked.h"
#include "base/hash.h"
#include "base/little_endian.h"
#include "base/sanitized.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define POOL_FRAMES 16
#define POOL_BYTES ((size_t)64 << 20)

/* Where the fields lie in the head. */
enum { AT_MAGIC = 0, AT_VERSION = 4, AT_TYPE = FRAME_TYPE_AT, AT_RUN = 8, AT_PLAN = 16, AT_EPOCH = 24, AT_SEQUENCE = 28, AT_FROM = 32,
       AT_TO = 34, AT_ROUTE = 36, AT_ZERO_1 = 38, AT_BODY_BYTES = 40, AT_BODY_CRC = 48, AT_ZERO_2 = 52, AT_HEAD_CRC = 60 };

static struct {
    pthread_mutex_t lock;
    struct frame *frames[POOL_FRAMES]; /* the longest unused first */
    int n;
    size_t bytes;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void release(struct frame *f)
{
    free(f->bytes);
    free(f);
}

/* The smallest frame of the pool that is large enough, unless it would waste more than it holds. Lock held. */
static struct frame *pool_take(size_t body_bytes)
{
    int best = -1;
    for (int i = 0; i < pool.n; i++) {
        size_t capacity = pool.frames[i]->capacity;
        if (capacity < body_bytes || capacity / 2 > body_bytes + 4096) continue;
        if (best < 0 || capacity < pool.frames[best]->capacity) best = i;
    }
    if (best < 0) return 0;
    struct frame *f = pool.frames[best];
    memmove(pool.frames + best, pool.frames + best + 1, (size_t)(--pool.n - best) * sizeof *pool.frames);
    pool.bytes -= f->capacity;
    return f;
}

static size_t capacity_for(size_t body_bytes)
{
    size_t step = 192;
    while (step * 8 < body_bytes) step *= 2;
    return round_up(body_bytes ? body_bytes : 1, step);
}

struct frame *frame_new(enum message type, size_t body_bytes)
{
    if (body_bytes > FRAME_BODY_MOST) return 0;
    pthread_mutex_lock(&pool.lock);
    struct frame *f = pool_take(body_bytes);
    pthread_mutex_unlock(&pool.lock);
    if (!f) {
        f = calloc(1, sizeof *f);
        if (!f) return 0;
        f->capacity = capacity_for(body_bytes);
        f->bytes = aligned_alloc(64, FRAME_HEAD_BYTES + f->capacity);
        if (!f->bytes) return free(f), NULL;
    }
    f->next = 0;
    f->head = (struct frame_head){.version = FRAME_VERSION, .type = (uint16_t)type, .body_bytes = body_bytes};
    return f;
}

struct frame *frame_copy(const struct frame *f)
{
    struct frame *copy = frame_new(f->head.type, f->head.body_bytes);
    if (!copy) return NULL;
    copy->head = f->head;
    memcpy(copy->bytes, f->bytes, FRAME_HEAD_BYTES + f->head.body_bytes);
    return copy;
}

void frame_free(struct frame *f)
{
    if (!f) return;
    if (SANITIZED || f->capacity > POOL_BYTES / 2) return release(f);
    struct frame *old[POOL_FRAMES];
    int n_old = 0;
    pthread_mutex_lock(&pool.lock);
    while (pool.n == POOL_FRAMES || pool.bytes + f->capacity > POOL_BYTES) {
        old[n_old] = pool.frames[0];
        pool.bytes -= old[n_old++]->capacity;
        memmove(pool.frames, pool.frames + 1, (size_t)--pool.n * sizeof *pool.frames);
    }
    pool.frames[pool.n++] = f;
    pool.bytes += f->capacity;
    pthread_mutex_unlock(&pool.lock);
    while (n_old > 0) release(old[--n_old]);
}

static const char *const names[M_COUNT] = {
    [M_HELLO] = "HELLO", [M_GREET] = "GREET", [M_ASSIGN] = "ASSIGN", [M_ACCEPT] = "ACCEPT", [M_PIECE] = "PIECE",
    [M_PIECE_ACK] = "PIECE_ACK", [M_READY] = "READY", [M_WORK] = "WORK", [M_RESULT] = "RESULT",
    [M_LOGITS] = "LOGITS", [M_PING] = "PING", [M_PONG] = "PONG", [M_REPORT_ASK] = "REPORT_ASK",
    [M_REPORT] = "REPORT", [M_STOP] = "STOP", [M_FAULT] = "FAULT", [M_CREDIT] = "CREDIT", [M_LOST] = "LOST",
    [M_PICTURE] = "PICTURE", [M_PICTURE_ROWS] = "PICTURE_ROWS",
    [M_DIARY_ASK] = "DIARY_ASK", [M_DIARY] = "DIARY", [M_SCORE] = "SCORE",
    [M_SCORED] = "SCORED", [M_PROBE] = "PROBE", [M_PROBED] = "PROBED",
    [M_UNREACHABLE] = "UNREACHABLE", [M_MEET] = "MEET", [M_LEAVE] = "LEAVE", [M_HERE] = "HERE",
    [M_ROW_HASHES] = "ROW_HASHES", [M_CHECK] = "CHECK"};

const char *message_name(unsigned type)
{
    return type < M_COUNT && names[type] ? names[type] : "unknown";
}

bool message_has_route(unsigned type)
{
    switch (type) {
    case M_WORK:
    case M_SCORE:
    case M_SCORED:
    case M_RESULT:
    case M_LOGITS:
    case M_ROW_HASHES:
    case M_PICTURE:
    case M_PICTURE_ROWS: return true;
    default: return false;
    }
}

void frame_seal(struct frame *f)
{
    struct frame_head *h = &f->head;
    h->body_crc = crc32c(0, frame_body(f), h->body_bytes);
    put_le(f->bytes + AT_MAGIC, FRAME_MAGIC, 4);
    put_le(f->bytes + AT_VERSION, h->version, 2);
    put_le(f->bytes + AT_TYPE, h->type, 2);
    put_le(f->bytes + AT_RUN, h->run, 8);
    put_le(f->bytes + AT_PLAN, h->plan, 8);
    put_le(f->bytes + AT_EPOCH, h->epoch, 4);
    put_le(f->bytes + AT_SEQUENCE, h->sequence, 4);
    put_le(f->bytes + AT_FROM, h->from, 2);
    put_le(f->bytes + AT_TO, h->to, 2);
    put_le(f->bytes + AT_ROUTE, h->route, 2);
    put_le(f->bytes + AT_ZERO_1, 0, 2);
    put_le(f->bytes + AT_BODY_BYTES, h->body_bytes, 8);
    put_le(f->bytes + AT_BODY_CRC, h->body_crc, 4);
    put_le(f->bytes + AT_ZERO_2, 0, 8);
    h->head_crc = crc32c(0, f->bytes, AT_HEAD_CRC);
    put_le(f->bytes + AT_HEAD_CRC, h->head_crc, 4);
}

static void read_head(struct frame_head *h, const uint8_t *b)
{
    h->version = (uint16_t)le_of(b + AT_VERSION, 2);
    h->type = (uint16_t)le_of(b + AT_TYPE, 2);
    h->run = le_of(b + AT_RUN, 8);
    h->plan = le_of(b + AT_PLAN, 8);
    h->epoch = (uint32_t)le_of(b + AT_EPOCH, 4);
    h->sequence = (uint32_t)le_of(b + AT_SEQUENCE, 4);
    h->from = (uint16_t)le_of(b + AT_FROM, 2);
    h->to = (uint16_t)le_of(b + AT_TO, 2);
    h->route = (uint16_t)le_of(b + AT_ROUTE, 2);
    h->body_bytes = le_of(b + AT_BODY_BYTES, 8);
    h->body_crc = (uint32_t)le_of(b + AT_BODY_CRC, 4);
    h->head_crc = (uint32_t)le_of(b + AT_HEAD_CRC, 4);
}

/* What the head says of itself, once its CRC says that it is what was sent. */
static int check_head(const struct frame_head *h, const uint8_t *b, const char *from, struct err *why)
{
    /* 19 was a message of version 1. */
    const bool known = h->type < M_COUNT && names[h->type] && h->type != M_LOST;
    if (!known) return fail(why, E_WIRE, "%s sent a frame of unknown type %u", from, h->type);
    if (le_of(b + AT_ZERO_1, 2) || le_of(b + AT_ZERO_2, 8))
        return fail(why, E_WIRE, "%s set bytes of the head of %s that must be zero", from, message_name(h->type));
    if (message_has_route(h->type) && !h->route) return fail(why, E_WIRE, "%s sent %s on no route", from, message_name(h->type));
    if (!message_has_route(h->type) && (h->route || h->plan))
        return fail(why, E_WIRE, "%s sent %s on route %u of plan %016llx; it is about the run itself", from, message_name(h->type),
                    h->route, (unsigned long long)h->plan);
    return 0;
}

unsigned frame_version(const struct frame *f, size_t n)
{
    return n >= FRAME_HEAD_BYTES && le_of(f->bytes + AT_MAGIC, 4) == FRAME_MAGIC ? (unsigned)le_of(f->bytes + AT_VERSION, 2) : 0;
}

int frame_open(struct frame *f, size_t n, uint64_t max_body, const char *from, struct err *why)
{
    const uint8_t *b = f->bytes;
    if (n < FRAME_HEAD_BYTES) return fail(why, E_WIRE, "%s sent %zu bytes; a frame has at least %d", from, n, FRAME_HEAD_BYTES);
    if (le_of(b + AT_MAGIC, 4) != FRAME_MAGIC)
        return fail(why, E_WIRE, "%s does not speak this protocol: its frame starts with %08x, not with %08x", from,
                    (unsigned)le_of(b + AT_MAGIC, 4), FRAME_MAGIC);
    if (le_of(b + AT_VERSION, 2) != FRAME_VERSION)
        return fail(why, E_WIRE, "%s speaks version %u of the protocol, this program version %d; install the same on both",
                    from, (unsigned)le_of(b + AT_VERSION, 2), FRAME_VERSION);
    struct frame_head h;
    read_head(&h, b);
    uint32_t crc = crc32c(0, b, AT_HEAD_CRC);
    if (h.head_crc != crc)
        return fail(why, E_WIRE, "the head of a frame from %s was damaged on the way: CRC %08x, stated %08x", from, crc, h.head_crc);
    TRY(check_head(&h, b, from, why));
    if (h.body_bytes > max_body)
        return fail(why, E_WIRE, "%s sent %s with a body of %llu bytes; at most %llu are allowed", from, message_name(h.type),
                    (unsigned long long)h.body_bytes, (unsigned long long)max_body);
    if (h.body_bytes != n - FRAME_HEAD_BYTES)
        return fail(why, E_WIRE, "%s sent %s of %zu bytes, but its head says %llu", from, message_name(h.type),
                    n - FRAME_HEAD_BYTES, (unsigned long long)h.body_bytes);
    crc = crc32c(0, b + FRAME_HEAD_BYTES, h.body_bytes);
    if (h.body_crc != crc)
        return fail(why, E_WIRE, "the body of %s from %s was damaged on the way: CRC %08x, stated %08x", message_name(h.type),
                    from, crc, h.body_crc);
    f->head = h;
    return 0;
}
