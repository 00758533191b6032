/* coordinator/engine/pictures.c — see pictures.h.
 *
 *             a worker may have one more         its rows come back              nobody needs it, others are newer, and nobody holds it
 *   WAITING ─────────────────────────► UNDER WAY ──────────────────► THERE ───────────────────────────────────────► gone
 *     ▲ ▲ │                               │                            │ the same, but it is held
 *     │ │ └── nobody holds it any more ──► gone                        ▼
 *     │ └───────── the workers have forgotten everything             ASLEEP ──► nobody holds it any more: gone
 *     └─────────────────── somebody needs it again ────────────────────┘
 *
 * Which of these a picture is in follows from what it has: pixels and not sent, sent and no rows, rows, nothing but the bytes of its file. Pixels are
 * kept until the rows are there, so that a picture can be sent again; from bytes they are made when it is sent. Each goes to the worker that would be done with another one first: the
 * first of a split encoder, or one of several that have all of it. No worker has more than plan.pictures before it.
 *
 * What replicas share is the shelf; each takes from it what its own encoder may have now. Rows are the same whoever made them.
 *
 * Costs: 2.4 MB of pixels for a picture under way, 2.6 MB of rows for one that is there (of the 4B model), its file for one that is asleep. */
#include "coordinator/engine/pictures.h"

#include "base/hash.h"
#include "base/planted.h"

#include <stdlib.h>
#include <string.h>

struct picture {
    struct hash128 hash;  /* of the pixels */
    struct image pixels;  /* until it is back */
    struct image_origin origin; /* of these */
    float *rows;          /* when it is back */
    uint32_t references, wanted; /* held; by so many of these its rows are needed */
    uint64_t used;        /* the higher the later */
    bool sent;
    int suspected;        /* so often a worker was lost while this was under way */
    const struct pictures *by; /* whose encoder it was sent to last; NULL: it was not, or that one is gone */
    int to;               /* worker it was sent to, from 0 */
    uint64_t asked;       /* the lower the earlier */
};

struct shelf {
    struct picture *picture; /* by number; one without hash, pixels and rows is free */
    uint32_t n, room;
    uint32_t waiting;
    uint64_t turn;   /* counts what happens, to tell earlier from later */
    uint32_t shared; /* by so many */
};

struct pictures {
    struct pipeline *pipe;
    struct shelf *shelf;
    uint32_t in_flight;
    uint32_t *at; /* [workers of the plan]: in flight by the worker they were sent to */
    const struct watchers *watchers;
};

int pictures_open(struct pictures **out, struct pipeline *p, const struct watchers *watchers, const struct pictures *beside, struct err *why)
{
    struct pictures *ps = calloc(1, sizeof *ps);
    if (ps) ps->at = calloc((size_t)p->plan.workers, sizeof *ps->at);
    if (ps) ps->shelf = beside ? beside->shelf : calloc(1, sizeof *ps->shelf);
    if (ps && ps->shelf) ps->shelf->shared++;
    *out = ps;
    if (!ps || !ps->at || !ps->shelf) {
        pictures_close(out);
        return fail(why, E_MEMORY, "no memory for pictures");
    }
    ps->pipe = p;
    ps->watchers = watchers;
    return 0;
}

static void forget(struct picture *p)
{
    image_free(&p->pixels);
    image_source_release(&p->origin.source);
    free(p->rows);
    *p = (struct picture){0};
}

void pictures_close(struct pictures **pps)
{
    struct pictures *ps = *pps;
    struct shelf *s = ps ? ps->shelf : NULL;
    *pps = 0;
    if (s) pictures_part(ps);
    if (s && !--s->shared) {
        for (uint32_t i = 0; i < s->n; i++) forget(&s->picture[i]);
        free(s->picture);
        free(s);
    }
    if (ps) free(ps->at);
    free(ps);
}

static bool is_free(const struct picture *p)
{
    return !p->rows && !p->pixels.rgb && !p->sent && (!p->references || PLANTED(PICTURE_FORGOTTEN));
}

static bool waits(const struct picture *p)
{
    return !p->rows && !p->sent && (p->pixels.rgb || p->wanted);
}

static void fall_asleep(struct picture *p)
{
    free(p->rows);
    p->rows = NULL;
    p->sent = false;
}

static void forget_oldest(struct shelf *s)
{
    uint32_t kept = 0, oldest = UINT32_MAX;
    for (uint32_t i = 0; i < s->n; i++) {
        const struct picture *p = &s->picture[i];
        if (!p->rows || p->wanted || (p->references && !p->origin.source)) continue;
        kept++;
        if (oldest == UINT32_MAX || p->used < s->picture[oldest].used) oldest = i;
    }
    if (kept <= PICTURES_KEPT) return;
    if (s->picture[oldest].references) fall_asleep(&s->picture[oldest]);
    else forget(&s->picture[oldest]);
}

/* A place for a new picture; UINT32_MAX if there is no memory for one. */
static uint32_t place(struct shelf *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (is_free(&s->picture[i])) return i;
    if (s->n == s->room) {
        uint32_t room = s->room ? 2 * s->room : 8;
        struct picture *more = realloc(s->picture, room * sizeof *more);
        if (!more) return UINT32_MAX;
        s->picture = more;
        s->room = room;
    }
    s->picture[s->n] = (struct picture){0};
    return s->n++;
}

static int no_picture(struct image *square, struct image_origin *origin, int code)
{
    image_free(square);
    image_source_release(&origin->source);
    return code;
}

int pictures_add(struct pictures *ps, struct image *square, struct image_origin *origin, uint32_t *number, struct err *why)
{
    const uint32_t side = ps->pipe->encoder->config.image;
    if (square->width != side || square->height != side) {
        return no_picture(square, origin, fail(why, E_INTERNAL, "a picture of the wrong size came to the encoder"));
    }
    struct hash128 h = hash128(square->rgb, (size_t)3 * side * side);
    uint32_t i = 0;
    while (i < ps->shelf->n && (is_free(&ps->shelf->picture[i]) || !hash128_same(ps->shelf->picture[i].hash, h))) i++;
    if (i < ps->shelf->n) {
        no_picture(square, origin, 0);
    } else {
        i = place(ps->shelf);
        if (i == UINT32_MAX) return no_picture(square, origin, fail(why, E_MEMORY, "no memory for another picture"));
        ps->shelf->picture[i] = (struct picture){.hash = h, .pixels = *square, .origin = *origin, .asked = ps->shelf->turn};
        *square = (struct image){0};
        *origin = (struct image_origin){0};
        ps->shelf->waiting++;
    }
    ps->shelf->picture[i].references++;
    ps->shelf->picture[i].used = ++ps->shelf->turn;
    *number = i;
    return 0;
}

void pictures_hold(struct pictures *ps, uint32_t number)
{
    ps->shelf->picture[number].references++;
}

void pictures_release(struct pictures *ps, uint32_t number)
{
    struct picture *p = &ps->shelf->picture[number];
    p->references--;
    if (!p->references && !p->sent) { /* nobody wants it any more, and no worker has it */
        ps->shelf->waiting -= waits(p);
        forget(p);
    }
    forget_oldest(ps->shelf);
}

void pictures_want(struct pictures *ps, uint32_t number)
{
    struct picture *p = &ps->shelf->picture[number];
    const bool waited = waits(p);
    p->wanted++;
    p->used = ++ps->shelf->turn;
    if (waited || !waits(p)) return;
    p->asked = ps->shelf->turn;
    ps->shelf->waiting++;
}

void pictures_enough(struct pictures *ps, uint32_t number)
{
    struct picture *p = &ps->shelf->picture[number];
    const bool waited = waits(p);
    p->wanted--;
    ps->shelf->waiting -= waited && !waits(p);
    forget_oldest(ps->shelf);
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

/* One that ends workers tries no other pipeline, unless its own is gone. */
static bool may_go(const struct pictures *ps, const struct picture *p)
{
    const bool here = !p->by || p->by == ps || p->suspected < SUSPECTED_MOST;
    return waits(p) && here && p->suspected <= SUSPECTED_MOST;
}

static bool is_under_way(const struct pictures *ps, const struct picture *p)
{
    return p->by == ps && p->sent && !p->rows;
}

/* The one that waits longest, but first who goes alone. UINT32_MAX: none. */
static uint32_t next_picture(const struct pictures *ps)
{
    uint32_t next = UINT32_MAX;
    for (uint32_t i = 0; i < ps->shelf->n; i++) {
        if (!may_go(ps, &ps->shelf->picture[i])) continue;
        if (ps->shelf->picture[i].suspected == SUSPECTED_MOST) return i;
        if (next == UINT32_MAX || ps->shelf->picture[i].asked < ps->shelf->picture[next].asked) next = i;
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
    struct picture *p = &ps->shelf->picture[number];
    const struct vision_config *c = &ps->pipe->encoder->config;
    struct picture_values m = {.picture = number, .rows = vision_patches(c), .cols = vision_pixels(c)};
    struct frame *f = 0;
    if (!p->pixels.rgb) TRY(image_make_again(&p->pixels, &p->origin, c->image, why));
    TRY(picture_values_write(&f, M_PICTURE, &m, why));
    int code = image_patches((float *)(void *)m.values, &p->pixels, c->patch, why);
    if (code) {
        frame_free(f);
        return code;
    }
    p->sent = true;
    p->by = ps;
    p->to = to;
    ps->shelf->waiting--;
    ps->in_flight++;
    ps->at[to]++;
    tell(ps, PICTURE_SENT, number, (uint32_t)to);
    return pipeline_send(ps->pipe, to, &f, why);
}

int pictures_send(struct pictures *ps, struct err *why)
{
    while (ps->shelf->waiting) {
        const int to = free_entry(ps);
        const uint32_t next = next_picture(ps);
        if (to < 0 || next == UINT32_MAX || (ps->in_flight && pictures_alone(ps))) return 0;
        TRY(send_one(ps, next, to, why));
    }
    return 0;
}

uint32_t pictures_suspect(struct pictures *ps)
{
    for (uint32_t i = 0; i < ps->shelf->n; i++) {
        struct picture *p = &ps->shelf->picture[i];
        p->suspected += is_under_way(ps, p) && (p->suspected < SUSPECTED_MOST || ps->in_flight == 1);
    }
    return ps->in_flight;
}

bool pictures_alone(const struct pictures *ps)
{
    for (uint32_t i = 0; ps->shelf->waiting + ps->in_flight && i < ps->shelf->n; i++) {
        const struct picture *p = &ps->shelf->picture[i];
        if (p->suspected == SUSPECTED_MOST && (waits(p) || (p->sent && !p->rows)) && p->references && (!p->by || p->by == ps)) return true;
    }
    return false;
}

bool pictures_blamed(const struct pictures *ps, uint32_t number)
{
    return ps->shelf->picture[number].suspected > SUSPECTED_MOST;
}

int pictures_take(struct pictures *ps, int from, struct frame *frame, struct err *why)
{
    const struct vision_config *c = &ps->pipe->encoder->config;
    const struct plan *plan = &ps->pipe->plan;
    struct picture_values m;
    TRY(picture_values_read(&m, frame, why));
    bool awaited = m.picture < ps->shelf->n && is_under_way(ps, &ps->shelf->picture[m.picture]) &&
                   part_has_back(plan->of[from].part[CHAIN_VISION]) && (!plan->copies || from == ps->shelf->picture[m.picture].to);
    if (!awaited || m.rows != vision_tokens(c) || m.cols != c->hidden)
        return fail(why, E_WIRE, "picture %llu came back as %u rows of %u values, where %u of %u were awaited",
                    (unsigned long long)m.picture, m.rows, m.cols, awaited ? vision_tokens(c) : 0, c->hidden);
    size_t bytes = (size_t)m.rows * m.cols * sizeof(float);
    float *rows = malloc(bytes);
    if (!rows) return fail(why, E_MEMORY, "no memory for the %zu bytes of a picture's rows", bytes);
    memcpy(rows, m.values, bytes);
    ps->shelf->picture[m.picture].rows = rows;
    image_free(&ps->shelf->picture[m.picture].pixels);
    ps->in_flight--;
    ps->at[ps->shelf->picture[m.picture].to]--;
    tell(ps, PICTURE_BACK, m.picture, 0);
    forget_oldest(ps->shelf);
    return 0;
}

int pictures_owed_by(const struct pictures *ps)
{
    for (uint32_t i = 0; ps->in_flight && i < ps->shelf->n; i++)
        if (is_under_way(ps, &ps->shelf->picture[i])) return route_last(plan_picture_route(&ps->pipe->plan, ps->shelf->picture[i].to));
    return -1;
}

static void take_back(struct pictures *ps)
{
    for (uint32_t i = 0; i < ps->shelf->n; i++) {
        struct picture *p = &ps->shelf->picture[i];
        if (!is_under_way(ps, p)) continue;
        p->sent = false;
        ps->in_flight--;
        if (p->references) ps->shelf->waiting++;
        else forget(p);
    }
}

int pictures_restart(struct pictures *ps, struct err *why)
{
    const size_t workers = (size_t)ps->pipe->plan.workers;
    free(ps->at);
    ps->at = calloc(workers, sizeof *ps->at);
    if (!ps->at) return fail(why, E_MEMORY, "no memory to send pictures to %zu workers", workers);
    if (!PLANTED(PICTURE_NOT_SENT_AGAIN)) take_back(ps);
    return 0;
}

void pictures_part(struct pictures *ps)
{
    take_back(ps);
    for (uint32_t i = 0; i < ps->shelf->n; i++)
        if (ps->shelf->picture[i].by == ps) ps->shelf->picture[i].by = NULL;
}

const float *pictures_rows(const struct pictures *ps, uint32_t number)
{
    return ps->shelf->picture[number].rows;
}

struct hash128 pictures_hash(const struct pictures *ps, uint32_t number)
{
    return ps->shelf->picture[number].hash;
}

/* The top bit keeps it apart from any token. */
uint32_t pictures_row_id(const struct pictures *ps, uint32_t number, uint32_t row)
{
    const struct picture *p = &ps->shelf->picture[number];
    return 0x80000000u | (uint32_t)hash_fold(hash_fold(p->hash.low, p->hash.high), row);
}

uint32_t pictures_underway(const struct pictures *ps)
{
    return ps->shelf->waiting + ps->in_flight;
}
