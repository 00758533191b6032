/* coordinator/cluster/probing.c — see probing.h. */
#include "coordinator/cluster/probing.h"

#include "base/log.h"
#include "partition/model/vision_memory.h"
#include "partition/plan/vision_cost.h"
#include "worker/assign.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Milliseconds for all points of a question. */
#define LAYERS_MS 600
#define DEEP_MS 240
#define HEAD_MS 300
#define PICTURE_MS 200

#define PARTS_BYTES (96u << 20) /* of weights that are measured together: more than most caches hold, as in a stage of many layers */
#define DEEP_POSITION 1024      /* far enough that looking back shows beside all else */
#define DEEP_SEQUENCES 8
#define DEEP_PIECE 64
#define LAYER_ROWS 128 /* of a micro-batch, at most */
#define LAYER_SEQUENCES 16
#define SMALL_PATCHES 16 /* a side: an encoder's layer is measured on a small picture, as a whole one may take seconds */

#define PINGS 4 /* of which the fastest counts */
#define FEW_BYTES (32u << 10)
#define ANSWER_NS 60000000000ull /* a slow worker takes longer than it was given for a question, but not so long */
#define SLOW_NS 20000000ull /* a way that takes so long for few bytes is not asked to carry many */

enum step { STEP_WAY, STEP_LAYERS, STEP_DEEP, STEP_HEAD, STEP_PICTURE, STEP_DONE };
enum turn { TURN_FEW_TO = PINGS, TURN_MANY_TO, TURN_FEW_FROM, TURN_MANY_FROM, TURNS };

struct probing {
    struct pipeline *pipe;
    enum step step;
    int worker, turn;    /* of STEP_WAY: whose way, and how often it was asked */
    int awaited;         /* answers of the other steps that are still to come */
    uint64_t asked_ns, ping_ns;
    uint32_t layers, parts; /* measured together */
    uint32_t deep;          /* position */
    struct probe_point at[PROBE_POINTS]; /* asked */
    uint32_t points;
    double picture_ratio;   /* of a layer for a whole picture to one for the small */
    uint8_t *types;
    struct tensor *tensors;
    bool *answered; /* [workers] */
};

/* ---- what is known already ---- */

static struct known_speed *known_of(const struct pipeline *p, int worker)
{
    return &p->known[pipeline_place(p, worker)];
}

static struct speed_place place_of(const struct pipeline *p, int worker, char room[WIRE_TEXT])
{
    const struct model_shape shape = model_shape(p->model, p->encoder);
    struct speed_place place = {.where = "here", .threads = p->wish.threads, .shape = model_shape_hash(&shape) + numeric_number(p->wish.numbers)};
    if (p->wish.n_addresses) place.where = p->wish.addresses[pipeline_place(p, worker)];
    else if (p->crew && !p->local) snprintf(room, WIRE_TEXT, "rank %d of %d", worker + 1, p->workers), place.where = room;
    else place.threads = wish_threads(&p->wish, p->workers);
    return place;
}

static uint32_t crowd_of(const struct pipeline *p, int worker)
{
    uint32_t n = 0;
    for (int i = 0; i < p->workers; i++) n += !strcmp(p->crew[i]->hello.host, p->crew[worker]->hello.host);
    return n;
}

static bool find_all(struct pipeline *p, bool (*is_true)(const struct pipeline *, int))
{
    int n = 0;
    free(p->known);
    p->known = calloc((size_t)p->places, sizeof *p->known);
    for (int i = 0; i < p->workers && p->known; i++) {
        char room[WIRE_TEXT];
        const struct speed_place place = place_of(p, i, room);
        if (speed_store_find(known_of(p, i), &place, (uint64_t)time(NULL)) && is_true(p, i)) n++;
        else *known_of(p, i) = (struct known_speed){0};
    }
    return n == p->workers;
}

static bool true_of_crew(const struct pipeline *p, int i)
{
    return speed_still_true(known_of(p, i), &p->crew[i]->hello, crowd_of(p, i));
}

bool speeds_known(struct pipeline *p)
{
    return find_all(p, true_of_crew);
}

static bool true_unasked(const struct pipeline *p, int i)
{
    return p->wish.n_addresses || speed_true_here(known_of(p, i), (uint32_t)p->workers);
}

bool speeds_foreseen(struct pipeline *p)
{
    return find_all(p, true_unasked);
}

/* ---- asking ---- */

static int send(struct probing *b, int worker, struct probe *m, struct err *why)
{
    struct frame *f = NULL;
    m->filler = NULL;
    TRY(probe_write(&f, m, why));
    if (m->bytes) memset(m->filler, 0, m->bytes);
    return roster_send(b->pipe->roster, b->pipe->crew[worker], &f, why);
}

static int ask_way(struct probing *b, struct err *why)
{
    static const uint32_t to[TURNS] = {[TURN_FEW_TO] = FEW_BYTES, [TURN_MANY_TO] = PROBE_BYTES},
                          from[TURNS] = {[TURN_FEW_FROM] = FEW_BYTES, [TURN_MANY_FROM] = PROBE_BYTES};
    struct probe *m = calloc(1, sizeof *m);
    if (!m) return fail(why, E_MEMORY, "no memory to measure the workers");
    m->bytes = to[b->turn];
    m->answer = from[b->turn];
    b->asked_ns = clock_now(roster_clock(b->pipe->roster));
    const int code = send(b, b->worker, m, why);
    free(m);
    return code;
}

/* Types of a part's tensors, and how many bytes they are. */
static uint64_t list_text(struct probing *b, struct assignment *a, struct part part)
{
    const struct model *model = b->pipe->model;
    const uint32_t n = (uint32_t)part_count(CHAIN_TEXT, part);
    text_part_tensors(model, part, b->tensors);
    for (uint32_t i = 0; i < n; i++) b->types[i] = (uint8_t)b->tensors[i].type;
    a->text = model->config;
    a->of[CHAIN_TEXT] = (struct chain_assignment){.part = part, .n_types = n, .types = b->types};
    return text_part_bytes(&model->config, part, b->tensors, &a->capacity, 1).weights;
}

static void ask_layers(struct probing *b, struct probe *m)
{
    static const struct probe_point points[CURVE_POINTS] = {{1, 1, 0},   {2, 2, 0},  {4, 4, 0},  {8, 8, 0},
                                                             {16, 16, 0}, {32, 1, 0}, {64, 1, 0}, {128, 1, 0}};
    m->parts.capacity = (struct capacity){LAYER_ROWS, LAYER_SEQUENCES, LAYER_ROWS, 1, 0, b->pipe->wish.numbers};
    b->layers = b->pipe->model->config.layers;
    while (list_text(b, &m->parts, (struct part){0, b->layers, 0, 0, false}) > PARTS_BYTES && b->layers > 1) b->layers--;
    m->milliseconds = LAYERS_MS;
    m->n = CURVE_POINTS;
    memcpy(m->at, points, sizeof points);
}

/* A layer whose rows look back as far as there is something. */
static void ask_deep(struct probing *b, struct probe *m)
{
    const struct model_config *c = &b->pipe->model->config;
    uint32_t layer = 0;
    while (layer + 1 < c->layers && !layer_is_global(c, layer)) layer++;
    b->deep = c->context > DEEP_POSITION + DEEP_PIECE ? DEEP_POSITION : c->context > DEEP_PIECE ? c->context - DEEP_PIECE : 0;
    if (!layer_is_global(c, layer) && b->deep > c->window) b->deep = c->window;
    m->parts.capacity = (struct capacity){b->deep + DEEP_PIECE, DEEP_SEQUENCES, DEEP_PIECE, 1, 0, b->pipe->wish.numbers};
    list_text(b, &m->parts, (struct part){layer, layer + 1, 0, 0, false});
    m->milliseconds = DEEP_MS;
    m->n = 4;
    m->at[0] = (struct probe_point){DEEP_SEQUENCES, DEEP_SEQUENCES, 0};
    m->at[1] = (struct probe_point){DEEP_SEQUENCES, DEEP_SEQUENCES, b->deep};
    m->at[2] = (struct probe_point){DEEP_PIECE, 1, 0};
    m->at[3] = (struct probe_point){DEEP_PIECE, 1, b->deep};
}

static void ask_head(struct probing *b, struct probe *m)
{
    static const struct probe_point points[] = {{1, 1, 0}, {2, 2, 0}, {4, 4, 0}, {8, 8, 0}, {16, 16, 0}};
    m->parts.capacity = (struct capacity){LAYER_ROWS, LAYER_SEQUENCES, LAYER_ROWS, 1, 0, b->pipe->wish.numbers};
    b->parts = part_head_parts(&b->pipe->model->config, (struct part){.back_end = HEAD_PARTS});
    if (b->parts == HEAD_PARTS) b->parts--; /* the last may be shorter */
    while (list_text(b, &m->parts, (struct part){0, 0, 0, b->parts, false}) > PARTS_BYTES && b->parts > 1) b->parts--;
    m->milliseconds = HEAD_MS;
    m->n = sizeof points / sizeof *points;
    memcpy(m->at, points, sizeof points);
}

/* A layer in the middle: no patches, no projector. */
static void ask_picture(struct probing *b, struct probe *m)
{
    const struct vision_model *v = b->pipe->encoder;
    const struct part part = {.first = 1, .end = 2};
    const uint32_t n = (uint32_t)part_count(CHAIN_VISION, part), pool = v->config.pool;
    const enum vision_type as = b->pipe->wish.plan.vision_type;
    struct vision_config small = v->config;
    const uint32_t side = pool * (SMALL_PATCHES > pool ? SMALL_PATCHES / pool : 1) * small.patch;
    if (side < small.image) small.image = side;
    vision_part_tensors(v, part, b->tensors);
    b->picture_ratio = vision_seconds(&v->config, part, b->tensors, as) / vision_seconds(&small, part, b->tensors, as);
    for (uint32_t i = 0; i < n; i++) b->types[i] = (uint8_t)b->tensors[i].type;
    m->parts.vision = small;
    m->parts.capacity.mode = b->pipe->wish.numbers;
    m->parts.vision_as = (uint8_t)as;
    m->parts.pictures_in_flight = 1;
    m->parts.of[CHAIN_VISION] = (struct chain_assignment){.part = part, .next = 1, .n_types = n, .types = b->types};
    m->milliseconds = PICTURE_MS;
    m->n = 1;
    m->at[0] = (struct probe_point){1, 1, 0};
}

static int ask_all(struct probing *b, struct err *why)
{
    static void (*const ask[])(struct probing *, struct probe *) = {
        [STEP_LAYERS] = ask_layers, [STEP_DEEP] = ask_deep, [STEP_HEAD] = ask_head, [STEP_PICTURE] = ask_picture};
    struct probe *m = calloc(1, sizeof *m);
    if (!m) return fail(why, E_MEMORY, "no memory to measure the workers");
    m->parts.threads = (uint32_t)b->pipe->wish.threads;
    ask[b->step](b, m);
    memcpy(b->at, m->at, sizeof b->at);
    b->points = m->n;
    b->asked_ns = clock_now(roster_clock(b->pipe->roster));
    int code = 0;
    for (int i = 0; i < b->pipe->workers && !code; i++) code = send(b, i, m, why);
    b->awaited = b->pipe->workers;
    memset(b->answered, 0, (size_t)b->pipe->workers * sizeof *b->answered);
    free(m);
    return code;
}

/* ---- answers ---- */

static double rate(uint64_t took, uint64_t ping, uint32_t bytes)
{
    return took > ping ? bytes / ((double)(took - ping) / 1e9) : 0;
}

/* Of the way: what a turn took, and which is the next. */
static void take_turn(struct probing *b)
{
    struct speed *v = &known_of(b->pipe, b->worker)->speed;
    const uint64_t took = clock_now(roster_clock(b->pipe->roster)) - b->asked_ns;
    switch (b->turn++) {
    case TURN_FEW_TO:
        v->to.bytes_per_second = rate(took, b->ping_ns, FEW_BYTES);
        if (took > SLOW_NS) b->turn++;
        break;
    case TURN_MANY_TO: v->to.bytes_per_second = rate(took, b->ping_ns, PROBE_BYTES); break;
    case TURN_FEW_FROM:
        v->from.bytes_per_second = rate(took, b->ping_ns, FEW_BYTES);
        if (took > SLOW_NS) b->turn++;
        break;
    case TURN_MANY_FROM: v->from.bytes_per_second = rate(took, b->ping_ns, PROBE_BYTES); break;
    default:
        if (b->turn == 1 || took < b->ping_ns) b->ping_ns = took;
        v->to.delay = v->from.delay = (double)b->ping_ns / 2e9;
    }
}

/* Points that were measured. More rows never take less time, and a row among more never takes longer: what says so is noise. */
static void take_curve(struct curve *c, const struct probe_point *at, const struct probed *m, double of)
{
    *c = (struct curve){0};
    for (uint32_t i = 0; i < m->n && i < CURVE_POINTS && m->seconds[i] > 0; i++) {
        const double t = m->seconds[i] / of, least = c->n ? c->seconds[c->n - 1] : t;
        const double most = c->n ? least * at[i].rows / c->rows[c->n - 1] : t;
        c->rows[c->n] = at[i].rows;
        c->seconds[c->n++] = t < least ? least : t > most ? most : t;
    }
}

static double slope(double before, double after, double by)
{
    return before > 0 && after > before && by > 0 ? (after - before) / by : 0;
}

static void take_answer(struct probing *b, int worker, const struct probed *m)
{
    struct speed *v = &known_of(b->pipe, worker)->speed;
    switch (b->step) {
    case STEP_LAYERS:
        take_curve(&v->local, b->at, m, b->layers);
        v->global = v->local;
        break;
    case STEP_DEEP:
        v->key = slope(m->seconds[0], m->seconds[1], (double)DEEP_SEQUENCES * b->deep);
        v->piece_key = slope(m->seconds[2], m->seconds[3], (double)DEEP_PIECE * b->deep);
        break;
    case STEP_HEAD:
        take_curve(&v->head_part, b->at, m, b->parts);
        break;
    default: v->picture_layer = m->seconds[0] * b->picture_ratio;
    }
}

/* ---- the end ---- */

static bool alike(const struct pipeline *p, int i, int k)
{
    const struct hello *a = &p->crew[i]->hello, *b = &p->crew[k]->hello;
    return !strcmp(a->host, b->host) && !strcmp(a->isa, b->isa) && a->share == b->share && a->threads == b->threads && a->memory == b->memory;
}

static void add_curve(struct curve *sum, const struct curve *c)
{
    if (c->n < sum->n) sum->n = c->n;
    for (uint32_t i = 0; i < sum->n; i++) sum->seconds[i] += c->seconds[i];
}

static void add_speed(struct speed *sum, const struct speed *v)
{
    add_curve(&sum->local, &v->local);
    add_curve(&sum->head_part, &v->head_part);
    sum->key += v->key, sum->piece_key += v->piece_key, sum->picture_layer += v->picture_layer;
    sum->to.delay += v->to.delay, sum->to.bytes_per_second += v->to.bytes_per_second;
    sum->from.delay += v->from.delay, sum->from.bytes_per_second += v->from.bytes_per_second;
}

static void divide_speed(struct speed *v, double by)
{
    for (uint32_t i = 0; i < CURVE_POINTS; i++) v->local.seconds[i] /= by, v->head_part.seconds[i] /= by;
    v->key /= by, v->piece_key /= by, v->picture_layer /= by;
    v->to.delay /= by, v->to.bytes_per_second /= by, v->from.delay /= by, v->from.bytes_per_second /= by;
    v->global = v->local;
}

/* Workers that are alike differ by noise alone, and a plan should not follow noise. */
static int take_means(struct pipeline *p, struct err *why)
{
    struct speed *mean = calloc((size_t)p->workers, sizeof *mean);
    if (!mean) return fail(why, E_MEMORY, "no memory to measure the workers");
    for (int i = 0; i < p->workers; i++) {
        int n = 0;
        for (int k = 0; k < p->workers; k++)
            if (alike(p, i, k)) n++ ? add_speed(&mean[i], &known_of(p, k)->speed) : (void)(mean[i] = known_of(p, k)->speed);
        divide_speed(&mean[i], n);
    }
    for (int i = 0; i < p->workers; i++) known_of(p, i)->speed = mean[i];
    free(mean);
    return 0;
}

static int keep_all(struct pipeline *p, struct err *why)
{
    TRY(take_means(p, why));
    for (int i = 0; i < p->workers; i++) {
        struct known_speed *k = known_of(p, i);
        char room[WIRE_TEXT];
        const struct speed_place place = place_of(p, i, room);
        k->of = p->crew[i]->hello;
        k->crowd = crowd_of(p, i);
        k->at = (uint64_t)time(NULL);
        if (!k->speed.local.n || !k->speed.head_part.n) { /* it had no memory, or is too slow to be measured in this time */
            log_warn("%s could not be measured; it is planned by the nominal speeds", p->crew[i]->name);
            *k = (struct known_speed){0};
            continue;
        }
        log_debug("%s: a layer takes %.3g ms for a row and %.3g ms for %.0f, a sixteenth of the head %.3g ms; a message %.3g ms", p->crew[i]->name,
                  1e3 * k->speed.local.seconds[0], 1e3 * k->speed.local.seconds[k->speed.local.n - 1], k->speed.local.rows[k->speed.local.n - 1],
                  1e3 * k->speed.head_part.seconds[0], 1e3 * k->speed.to.delay);
        speed_store_keep(k, &place);
    }
    return 0;
}

static void scale(struct speed *v, double by)
{
    for (uint32_t i = 0; i < CURVE_POINTS; i++) v->local.seconds[i] *= by, v->head_part.seconds[i] *= by;
    v->key *= by, v->piece_key *= by;
    v->global = v->local;
}

/* Those who are alike have one speed, so they get the mean. */
void speeds_refine(struct pipeline *p, const double *ratio)
{
    for (int i = 0; i < p->workers; i++) {
        if (!known_of(p, i)->at) continue;
        double sum = 0, n = 0;
        char room[WIRE_TEXT];
        const struct speed_place place = place_of(p, i, room);
        struct known_speed k = *known_of(p, i);
        for (int other = 0; other < p->workers; other++)
            if (alike(p, i, other)) sum += ratio[other], n++;
        if (sum > 2 * n || 2 * sum < n) {
            speed_store_forget(&place);
            continue;
        }
        scale(&k.speed, sqrt(sum / n));
        speed_store_keep(&k, &place);
    }
}

/* ---- from step to step ---- */

static int next_step(struct probing *b, bool *done, struct err *why)
{
    const struct pipeline *p = b->pipe;
    b->step++;
    if (b->step == STEP_PICTURE && (!p->encoder || p->encoder->config.layers < 3)) b->step++;
    *done = b->step == STEP_DONE;
    return *done ? keep_all(b->pipe, why) : ask_all(b, why);
}

int probing_begin(struct probing **out, struct pipeline *p, struct err *why)
{
    struct probing *b = *out = calloc(1, sizeof *b);
    if (!b) return fail(why, E_MEMORY, "no memory to measure the workers");
    const size_t text = part_count(CHAIN_TEXT, (struct part){0, p->model->config.layers, 0, HEAD_PARTS, false}), most = text + V_LAYER_ROLES;
    b->pipe = p;
    b->types = malloc(most);
    b->tensors = calloc(most, sizeof *b->tensors);
    b->answered = calloc((size_t)p->workers, sizeof *b->answered);
    free(p->known);
    p->known = calloc((size_t)p->places, sizeof *p->known);
    if (!b->types || !b->tensors || !b->answered || !p->known) return fail(why, E_MEMORY, "no memory to measure the workers");
    log_info("measuring how fast the worker%s %s", p->workers == 1 ? "" : "s", p->workers == 1 ? "is" : "are");
    return ask_way(b, why);
}

int probing_frame(struct probing *b, struct member *m, struct frame *f, bool *done, struct err *why)
{
    struct probed answer = {0};
    *done = false;
    if (f->head.type != M_PROBED) return fail(why, E_WIRE, "%s came from %s while it was measured", message_name(f->head.type), m->name);
    TRY(probed_read(&answer, f, why));
    if (b->step != STEP_WAY) {
        if (b->answered[m->worker]) return fail(why, E_WIRE, "%s answered twice", m->name);
        if (answer.n != b->points) return fail(why, E_WIRE, "%s measured %u points, it was asked for %u", m->name, answer.n, b->points);
        b->answered[m->worker] = true;
        take_answer(b, m->worker, &answer);
        return --b->awaited ? 0 : next_step(b, done, why);
    }
    if (m->worker != b->worker) return fail(why, E_WIRE, "%s was not asked", m->name);
    take_turn(b);
    if (b->turn == TURNS) b->turn = 0, b->worker++;
    return b->worker == b->pipe->workers ? next_step(b, done, why) : ask_way(b, why);
}

int probing_wait(const struct probing *b, struct err *why)
{
    if (clock_now(roster_clock(b->pipe->roster)) < b->asked_ns + ANSWER_NS) return 0;
    for (int i = 0; i < b->pipe->workers; i++)
        if (b->step == STEP_WAY ? i == b->worker : !b->answered[i])
            return fail(why, E_WORKER, "%s was asked to measure itself and said nothing for %llu s", b->pipe->crew[i]->name, ANSWER_NS / 1000000000ull);
    return 0;
}

void probing_close(struct probing **pb)
{
    struct probing *b = *pb;
    *pb = NULL;
    if (!b) return;
    free(b->types);
    free(b->tensors);
    free(b->answered);
    free(b);
}
