/* coordinator/engine/pictures.c — see pictures.h.
 *
 *             a worker may have one more         its rows come back              nobody holds it, and others are newer
 *   WAITING ─────────────────────────► UNDER WAY ──────────────────► THERE ───────────────────────────────────────► gone
 *      ▲  │                               │
 *      │  └── nobody holds it any more ──► gone
 *      └───────────── the workers have forgotten everything (pictures_restart)
 *
 * Which of these a picture is in follows from what it has: pixels and not sent, sent and no rows, rows. Pixels are kept until the
 * rows are there, so that a picture can be sent again. Each goes to the worker that would be done with another one first: the
 * first of a split encoder, or one of several that have all of it. No worker has more than plan.pictures before it.
 *
 * Costs: 2.4 MB of pixels for a picture under way, 2.6 MB of rows for one that is there (of the 4B model). */
#include "coordinator/engine/pictures.h"

#include "base/hash.h"
#include <stdlib.h>
#include <string.h>

struct picture {
    struct hash128 hash;  /* of the pixels */
    struct image pixels;  /* until it is back */
    float *rows;          /* when it is back */
    uint32_t references;
    uint64_t used;        /* the higher the later */
    bool sent;
    int suspected;        /* so often a worker was lost while this was under way */
    int to;               /* worker it was sent to, from 0 */
    uint64_t asked;       /* the lower the earlier */
};

struct pictures {
    struct pipeline *pipe;
    struct picture *picture; /* by number; one without hash, pixels and rows is free */
    uint32_t n, room;
    uint32_t in_flight, waiting;
    uint32_t *at; /* [workers of the plan]: in flight by the worker they were sent to */
    uint64_t turn; /* counts what happens, to tell earlier from later */
    const struct watchers *watchers;
};

int pictures_open(struct pictures **out, struct pipeline *p, const struct watchers *watchers, struct err *why)
{
    struct pictures *ps = calloc(1, sizeof *ps);
    if (ps) ps->at = calloc((size_t)p->plan.workers, sizeof *ps->at);
    if (!ps || !ps->at) {
        free(ps);
        return fail(why, E_MEMORY, "no memory for pictures");
    }
    ps->pipe = p;
    ps->watchers = watchers;
    *out = ps;
    return 0;
}

static void forget(struct picture *p)
{
    image_free(&p->pixels);
    free(p->rows);
    *p = (struct picture){0};
}

void pictures_close(struct pictures **pps)
{
    struct pictures *ps = *pps;
    if (!ps) return;
    for (uint32_t i = 0; i < ps->n; i++) forget(&ps->picture[i]);
    free(ps->picture);
    free(ps->at);
    free(ps);
    *pps = 0;
}

static bool is_free(const struct picture *p)
{
    return !p->rows && !p->pixels.rgb && !p->sent;
}

static void forget_oldest(struct pictures *ps)
{
    uint32_t kept = 0, oldest = UINT32_MAX;
    for (uint32_t i = 0; i < ps->n; i++) {
        const struct picture *p = &ps->picture[i];
        if (!p->rows || p->references) continue;
        kept++;
        if (oldest == UINT32_MAX || p->used < ps->picture[oldest].used) oldest = i;
    }
    if (kept > PICTURES_KEPT) forget(&ps->picture[oldest]);
}

/* A place for a new picture; UINT32_MAX if there is no memory for one. */
static uint32_t place(struct pictures *ps)
{
    for (uint32_t i = 0; i < ps->n; i++)
        if (is_free(&ps->picture[i])) return i;
    if (ps->n == ps->room) {
        uint32_t room = ps->room ? 2 * ps->room : 8;
        struct picture *more = realloc(ps->picture, room * sizeof *more);
        if (!more) return UINT32_MAX;
        ps->picture = more;
        ps->room = room;
    }
    ps->picture[ps->n] = (struct picture){0};
    return ps->n++;
}

int pictures_add(struct pictures *ps, struct image *square, uint32_t *number, struct err *why)
{
    const uint32_t side = ps->pipe->encoder->config.image;
    if (square->width != side || square->height != side) {
        image_free(square);
        return fail(why, E_INTERNAL, "a picture of the wrong size came to the encoder");
    }
    struct hash128 h = hash128(square->rgb, (size_t)3 * side * side);
    uint32_t i = 0;
    while (i < ps->n && (is_free(&ps->picture[i]) || !hash128_same(ps->picture[i].hash, h))) i++;
    if (i < ps->n) {
        image_free(square);
    } else {
        i = place(ps);
        if (i == UINT32_MAX) {
            image_free(square);
            return fail(why, E_MEMORY, "no memory for another picture");
        }
        ps->picture[i] = (struct picture){.hash = h, .pixels = *square, .asked = ps->turn};
        *square = (struct image){0};
        ps->waiting++;
    }
    ps->picture[i].references++;
    ps->picture[i].used = ++ps->turn;
    *number = i;
    return 0;
}

void pictures_hold(struct pictures *ps, uint32_t number)
{
    ps->picture[number].references++;
}

void pictures_release(struct pictures *ps, uint32_t number)
{
    struct picture *p = &ps->picture[number];
    p->references--;
    if (!p->references && !p->sent) { /* nobody wants it any more, and no worker has seen it */
        forget(p);
        ps->waiting--;
    }
    forget_oldest(ps);
}

/* ---- through the encoder ---- */

/* The worker that would be done with another picture first; -1 if none may have one more. */
static int free_entry(const struct pictures *ps)
{
    const struct plan *plan = &ps->pipe->plan;
    int best = -1;
    double soonest = 0;
    for (int i = 0; i < plan->workers; i++) {
        const struct holding *h = &plan->of[i];
        const double done = (ps->at[i] + 1) * h->expected[CHAIN_VISION];
        if (!h->part[CHAIN_VISION].front || ps->at[i] >= plan->pictures) continue;
        if (best < 0 || done < soonest) best = i, soonest = done;
    }
    return best;
}

static bool may_go(const struct picture *p)
{
    return p->pixels.rgb && !p->sent && p->suspected <= SUSPECTED_MOST;
}

/* The one that waits longest, but first who goes alone. UINT32_MAX: none. */
static uint32_t next_picture(const struct pictures *ps)
{
    uint32_t next = UINT32_MAX;
    for (uint32_t i = 0; i < ps->n; i++) {
        if (!may_go(&ps->picture[i])) continue;
        if (ps->picture[i].suspected == SUSPECTED_MOST) return i;
        if (next == UINT32_MAX || ps->picture[i].asked < ps->picture[next].asked) next = i;
    }
    return next;
}

static void tell(const struct pictures *ps, enum happening what, uint64_t number, uint32_t worker)
{
    const struct happened h = {.what = what, .at_ns = clock_now(roster_clock(ps->pipe->roster)), .number = number, .amount = worker};
    tell_watchers(ps->watchers, &h);
}

static int send_one(struct pictures *ps, uint32_t number, int to, struct err *why)
{
    struct picture *p = &ps->picture[number];
    const struct vision_config *c = &ps->pipe->encoder->config;
    struct picture_values m = {.picture = number, .rows = vision_patches(c), .cols = vision_pixels(c)};
    struct frame *f = 0;
    TRY(picture_values_write(&f, M_PICTURE, &m, why));
    int code = image_patches((float *)(void *)m.values, &p->pixels, c->patch, why);
    if (code) {
        frame_free(f);
        return code;
    }
    p->sent = true;
    p->to = to;
    ps->waiting--;
    ps->in_flight++;
    ps->at[to]++;
    tell(ps, PICTURE_SENT, number, (uint32_t)to);
    return pipeline_send(ps->pipe, to, &f, why);
}

int pictures_send(struct pictures *ps, struct err *why)
{
    while (ps->waiting) {
        const int to = free_entry(ps);
        const uint32_t next = next_picture(ps);
        if (to < 0 || next == UINT32_MAX || (ps->in_flight && pictures_alone(ps))) return 0;
        TRY(send_one(ps, next, to, why));
    }
    return 0;
}

uint32_t pictures_suspect(struct pictures *ps)
{
    for (uint32_t i = 0; i < ps->n; i++) {
        struct picture *p = &ps->picture[i];
        p->suspected += p->sent && !p->rows && (p->suspected < SUSPECTED_MOST || ps->in_flight == 1);
    }
    return ps->in_flight;
}

bool pictures_alone(const struct pictures *ps)
{
    for (uint32_t i = 0; ps->waiting + ps->in_flight && i < ps->n; i++)
        if (ps->picture[i].suspected == SUSPECTED_MOST && ps->picture[i].pixels.rgb && ps->picture[i].references) return true;
    return false;
}

bool pictures_blamed(const struct pictures *ps, uint32_t number)
{
    return ps->picture[number].suspected > SUSPECTED_MOST;
}

int pictures_take(struct pictures *ps, int from, struct frame *frame, struct err *why)
{
    const struct vision_config *c = &ps->pipe->encoder->config;
    const struct plan *plan = &ps->pipe->plan;
    struct picture_values m;
    TRY(picture_values_read(&m, frame, why));
    bool awaited = m.picture < ps->n && ps->picture[m.picture].sent && !ps->picture[m.picture].rows &&
                   part_has_back(plan->of[from].part[CHAIN_VISION]) && (!plan->copies || from == ps->picture[m.picture].to);
    if (!awaited || m.rows != vision_tokens(c) || m.cols != c->hidden)
        return fail(why, E_WIRE, "picture %llu came back as %u rows of %u values, where %u of %u were awaited",
                    (unsigned long long)m.picture, m.rows, m.cols, awaited ? vision_tokens(c) : 0, c->hidden);
    size_t bytes = (size_t)m.rows * m.cols * sizeof(float);
    float *rows = malloc(bytes);
    if (!rows) return fail(why, E_MEMORY, "no memory for the %zu bytes of a picture's rows", bytes);
    memcpy(rows, m.values, bytes);
    ps->picture[m.picture].rows = rows;
    image_free(&ps->picture[m.picture].pixels);
    ps->in_flight--;
    ps->at[ps->picture[m.picture].to]--;
    tell(ps, PICTURE_BACK, m.picture, 0);
    forget_oldest(ps);
    return 0;
}

int pictures_owed_by(const struct pictures *ps)
{
    for (uint32_t i = 0; ps->in_flight && i < ps->n; i++)
        if (ps->picture[i].sent && !ps->picture[i].rows) return route_last(plan_picture_route(&ps->pipe->plan, ps->picture[i].to));
    return -1;
}

int pictures_restart(struct pictures *ps, struct err *why)
{
    const size_t workers = (size_t)ps->pipe->plan.workers;
    free(ps->at);
    ps->at = calloc(workers, sizeof *ps->at);
    if (!ps->at) return fail(why, E_MEMORY, "no memory to send pictures to %zu workers", workers);
    for (uint32_t i = 0; i < ps->n; i++) {
        struct picture *p = &ps->picture[i];
        if (!p->sent || p->rows) continue;
        p->sent = false;
        ps->in_flight--;
        if (p->references) ps->waiting++;
        else forget(p);
    }
    return 0;
}

const float *pictures_rows(const struct pictures *ps, uint32_t number)
{
    return ps->picture[number].rows;
}

struct hash128 pictures_hash(const struct pictures *ps, uint32_t number)
{
    return ps->picture[number].hash;
}

/* The top bit keeps it apart from any token. */
uint32_t pictures_row_id(const struct pictures *ps, uint32_t number, uint32_t row)
{
    const struct picture *p = &ps->picture[number];
    return 0x80000000u | (uint32_t)hash_fold(hash_fold(p->hash.low, p->hash.high), row);
}

uint32_t pictures_underway(const struct pictures *ps)
{
    return ps->waiting + ps->in_flight;
}
