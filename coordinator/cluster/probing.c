/* coordinator/cluster/probing.c — see probing.h. */
#include "coordinator/cluster/probing.h"

#include "base/log.h"
#include "base/threads.h"
#include "partition/model/vision_memory.h"
#include "partition/plan/vision_cost.h"
#include "worker/assign.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SHADOW 10               /* a launch that nobody asked to measure takes no longer by it than by this part of what loading takes */
#define LOADS_HERE 1e9          /* bytes a second: a file that the system has in memory, packed by two cores */
#define LOADS_ELSEWHERE 0.5e9   /* a file there, or a fast network */
#define LEAST_HERE_MS 300       /* workers that are alike are cut alike by nominal speeds: less is not worth it */
#define LEAST_MS 500
#define MOST_MS 1700            /* and what is under way when that is over: two seconds */
#define STEP_LEAST_MS 8
#define PATIENCE_MOST 5
#define COMPUTED 0.85           /* of the time: the rest is for a last run that takes longer than it was given */
#define PARTS_BYTES (96u << 20) /* of weights that are measured together: more than most caches hold, as in a stage of many layers */
#define PARTS_LEAST_BYTES (16u << 20) /* where there is little time */
#define BESIDE_BYTES (256u << 20) /* of the worker's other weights that are read between, at most: caches of more, and not shared with others, are rare */
#define DEEP_POSITION 1024      /* far enough that looking back shows beside all else */
#define DEEP_SEQUENCES 8
#define DEEP_PIECE 64
#define DEEP_POINTS 4
#define LAYER_ROWS 128 /* of a micro-batch, at most */
#define LAYER_SEQUENCES 16
#define SMALL_PATCHES 16 /* a side: an encoder's layer is measured on a small picture, as a whole one may take seconds */

#define PINGS 4 /* of which the fastest counts */
#define FEW_BYTES (32u << 10)
#define ANSWER_NS 60000000000ull /* a slow worker takes longer than it was given for a question, but not so long */
#define WAYS_SHARE 8 /* of the time: at most this part for the ways to all, and as much for those between them */
#define PAIRS_OF 4 /* workers at most, of which each meets each; of more only neighbours do */
#define BUSY 0.2 /* of the time of a question others ran, in the mean of its points, although each was measured again */
#define SLOW_NS 20000000ull /* a way that takes so long for few bytes is not asked to carry many */

enum phase { PHASE_WAYS, PHASE_PAIRS, PHASE_COMPUTING, PHASE_NEIGHBOURS };
enum step { STEP_WAY, STEP_LAYERS, STEP_DEEP, STEP_HEAD, STEP_PICTURE, STEP_DONE };
static const double share_of[STEP_DONE] = {[STEP_LAYERS] = 0.45, [STEP_DEEP] = 0.15, [STEP_HEAD] = 0.25, [STEP_PICTURE] = 0.15}; /* of the time */
enum turn { TURN_FEW_TO = PINGS, TURN_MANY_TO, TURN_FEW_FROM, TURN_MANY_FROM, TURNS };

struct subject { /* a worker */
    enum step step; /* that it is asked, or will be next */
    bool awaited;
    uint64_t asked_ns;
};

struct probing {
    struct pipeline *pipe;
    uint64_t begun_ns, end_ns;
    bool hurried;      /* at end_ns it is over, whoever has not answered */
    bool few;          /* workers: each meets each */
    enum phase phase;
    uint64_t phase_end_ns; /* but of computing */
    int asked;         /* who is asked, where it is one after the other */
    int turn;          /* of its way: how often it was asked */
    uint64_t asked_ns, ping_ns;
    int a, b;          /* the pair whose way to each other is measured */
    int caller, callee; /* of them */
    bool told;         /* the callee was; the caller is asked */
    uint64_t parts_bytes, beside_most;
    uint64_t model_bytes, listed; /* of weights, with keys and values: of the text's layers and head, and of the parts that were listed last */
    uint32_t layers, parts; /* measured together */
    uint32_t deep;          /* position */
    double deep_keys;       /* that a row there looks at, in all layers that are measured together */
    double picture_ratio;   /* of a layer for a whole picture to one for the small */
    uint8_t *types;
    struct tensor *tensors;
    struct probe *question; /* room for one */
    struct subject *of; /* [workers] */
};

static uint64_t now_ns(const struct probing *b)
{
    return clock_now(roster_clock(b->pipe->roster));
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
    *b->question = (struct probe){.bytes = to[b->turn], .answer = from[b->turn]};
    b->of[b->asked].awaited = true;
    b->of[b->asked].asked_ns = b->asked_ns = now_ns(b);
    return send(b, b->asked, b->question, why);
}

static bool ways_are_long(const struct probing *b, int worker)
{
    const struct speed *v = &speed_of(b->pipe, worker)->speed;
    return v->to.delay + v->from.delay > SLOW_NS / 1e9;
}

static uint32_t travelling_bytes(const struct probing *b)
{
    return ways_are_long(b, b->caller) || ways_are_long(b, b->callee) ? FEW_BYTES : PROBE_BYTES;
}

/* Who is called is told of it first. */
static int ask_to_meet(struct probing *b, struct err *why)
{
    const struct pipeline *p = b->pipe;
    const int who = b->told ? b->caller : b->callee;
    const struct member *other = p->crew[b->told ? b->callee : b->caller];
    struct meet m = {.node = (uint32_t)other->node, .bytes = travelling_bytes(b), .call = b->told};
    struct frame *f = NULL;
    strcpy(m.address, pipeline_address(other, p->crew[who]));
    port_key(roster_port(p->roster), other->address, m.key);
    b->asked = who;
    b->of[who].awaited = true;
    b->of[who].asked_ns = now_ns(b);
    TRY(meet_write(&f, &m, why));
    return roster_send(p->roster, p->crew[who], &f, why);
}

static bool can_call(const struct pipeline *p, int caller, int callee)
{
    return !port_by_address(roster_port(p->roster)) || *pipeline_address(p->crew[callee], p->crew[caller]);
}

#define HEAD_POINTS 5
static const struct probe_point curve_points[CURVE_POINTS] = {{1, 1, 0},   {2, 2, 0},  {4, 4, 0},  {8, 8, 0},
                                                              {16, 16, 0}, {32, 1, 0}, {64, 1, 0}, {128, 1, 0}};

/* Types of a part's tensors, and how many bytes they are with their keys and values. */
static uint64_t list_text(struct probing *b, struct assignment *a, struct part part)
{
    const struct model *model = b->pipe->model;
    const uint32_t n = (uint32_t)part_count(CHAIN_TEXT, part);
    text_part_tensors(model, part, b->tensors);
    for (uint32_t i = 0; i < n; i++) b->types[i] = (uint8_t)b->tensors[i].type;
    a->text = model->config;
    a->of[CHAIN_TEXT] = (struct chain_assignment){.part = part, .n_types = n, .types = b->types};
    const struct part_bytes bytes = text_part_bytes(&model->config, part, b->tensors, &a->capacity, 1);
    return b->listed = bytes.weights + bytes.kv;
}

/* What is read besides the parts that were listed last until they are read again: the rest of the model, as the worker may get all of it, and others that
 * share its cache have what it does not get. */
static uint64_t beside(const struct probing *b)
{
    const uint64_t others = b->model_bytes > b->listed ? b->model_bytes - b->listed : 0; /* parts may have keys for longer contexts than were counted */
    return others < b->beside_most ? others : b->beside_most;
}

static uint64_t whole_model(struct probing *b)
{
    struct assignment *a = &b->question->parts;
    *a = (struct assignment){.capacity = {LAYER_ROWS, LAYER_SEQUENCES, LAYER_ROWS, 1, 0, b->pipe->wish.numbers}};
    return list_text(b, a, (struct part){0, b->pipe->model->config.layers, 0, HEAD_PARTS, false});
}

static void ask_layers(struct probing *b, struct probe *m)
{
    m->parts.capacity = (struct capacity){LAYER_ROWS, LAYER_SEQUENCES, LAYER_ROWS, 1, 0, b->pipe->wish.numbers};
    b->layers = b->pipe->model->config.layers;
    while (list_text(b, &m->parts, (struct part){0, b->layers, 0, 0, false}) > b->parts_bytes && b->layers > 1) b->layers--;
    m->n = CURVE_POINTS;
    memcpy(m->at, curve_points, sizeof curve_points);
}

/* Rows look back as far as there is something: from a global layer on, and so many that their keys are fetched from memory, as in a
 * stage. Those of one layer stay in the cache. */
static void ask_deep(struct probing *b, struct probe *m)
{
    const struct model_config *c = &b->pipe->model->config;
    uint32_t layer = 0, end = c->layers;
    while (layer + 1 < c->layers && !layer_is_global(c, layer)) layer++;
    b->deep = c->context > DEEP_POSITION + DEEP_PIECE ? DEEP_POSITION : c->context > DEEP_PIECE ? c->context - DEEP_PIECE : 0;
    if (!layer_is_global(c, layer) && b->deep > c->window) b->deep = c->window;
    m->parts.capacity = (struct capacity){b->deep + DEEP_PIECE, DEEP_SEQUENCES, DEEP_PIECE, 1, 0, b->pipe->wish.numbers};
    while (list_text(b, &m->parts, (struct part){layer, end, 0, 0, false}) > b->parts_bytes && end > layer + 1) end--;
    b->deep_keys = 0;
    for (uint32_t i = layer; i < end; i++) b->deep_keys += layer_is_global(c, i) || b->deep < c->window ? b->deep : c->window;
    m->n = DEEP_POINTS;
    m->at[0] = (struct probe_point){DEEP_SEQUENCES, DEEP_SEQUENCES, 0};
    m->at[1] = (struct probe_point){DEEP_SEQUENCES, DEEP_SEQUENCES, b->deep};
    m->at[2] = (struct probe_point){DEEP_PIECE, 1, 0};
    m->at[3] = (struct probe_point){DEEP_PIECE, 1, b->deep};
}

static void ask_head(struct probing *b, struct probe *m)
{
    m->parts.capacity = (struct capacity){LAYER_ROWS, LAYER_SEQUENCES, LAYER_ROWS, 1, 0, b->pipe->wish.numbers};
    b->parts = part_head_parts(&b->pipe->model->config, (struct part){.back_end = HEAD_PARTS});
    if (b->parts == HEAD_PARTS) b->parts--; /* the last may be shorter */
    while (list_text(b, &m->parts, (struct part){0, 0, 0, b->parts, false}) > b->parts_bytes && b->parts > 1) b->parts--;
    m->n = HEAD_POINTS;
    memcpy(m->at, curve_points, HEAD_POINTS * sizeof *curve_points);
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
    m->n = 1;
    m->at[0] = (struct probe_point){1, 1, 0};
}

/* Of what is left of the time, what this step and those behind it share. */
static double milliseconds_for(const struct probing *b, enum step step)
{
    const uint64_t now = now_ns(b);
    double shares = 0;
    for (int k = step; k < STEP_DONE; k++) shares += share_of[k];
    return now < b->end_ns ? (double)(b->end_ns - now) / 1e6 * COMPUTED * share_of[step] / shares : 0;
}

static bool has_step(const struct probing *b, enum step step)
{
    return step != STEP_PICTURE || (b->pipe->encoder && b->pipe->encoder->config.layers >= 3);
}

static uint32_t points_of(enum step step)
{
    static const uint32_t points[STEP_DONE] = {[STEP_LAYERS] = CURVE_POINTS, [STEP_DEEP] = DEEP_POINTS, [STEP_HEAD] = HEAD_POINTS, [STEP_PICTURE] = 1};
    return points[step];
}

/* The next question to a worker, for which there is time. */
static int ask_next(struct probing *b, int worker, struct err *why)
{
    static void (*const ask[])(struct probing *, struct probe *) = {
        [STEP_LAYERS] = ask_layers, [STEP_DEEP] = ask_deep, [STEP_HEAD] = ask_head, [STEP_PICTURE] = ask_picture};
    struct subject *s = &b->of[worker];
    while (++s->step < STEP_DONE) {
        const double milliseconds = milliseconds_for(b, s->step);
        if (!has_step(b, s->step) || milliseconds < STEP_LEAST_MS) continue;
        *b->question = (struct probe){.milliseconds = (uint32_t)fmin(milliseconds, PROBE_MILLISECONDS), .parts.threads = (uint32_t)b->pipe->wish.threads};
        ask[s->step](b, b->question);
        if (s->step != STEP_PICTURE) b->question->beside = beside(b);
        s->awaited = true;
        s->asked_ns = now_ns(b);
        return send(b, worker, b->question, why);
    }
    return 0;
}

/* ---- answers ---- */

static double rate(uint64_t took, uint64_t ping, uint32_t bytes)
{
    return took > ping ? bytes / ((double)(took - ping) / 1e9) : 0;
}

/* Of the way: what a turn took, and which is the next. */
static void take_turn(struct probing *b)
{
    struct speed *v = &speed_of(b->pipe, b->asked)->speed;
    const uint64_t took = now_ns(b) - b->asked_ns;
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
static void take_curve(struct curve *c, const struct probed *m, double of)
{
    *c = (struct curve){0};
    for (uint32_t i = 0; i < m->n && i < CURVE_POINTS && m->seconds[i] > 0; i++) {
        const double t = m->seconds[i] / of, least = c->n ? c->seconds[c->n - 1] : t;
        const double most = c->n ? least * curve_points[i].rows / c->rows[c->n - 1] : t;
        c->rows[c->n] = curve_points[i].rows;
        c->seconds[c->n++] = t < least ? least : t > most ? most : t;
    }
}

static double slope(double before, double after, double by)
{
    return before > 0 && after > before && by > 0 ? (after - before) / by : 0;
}

/* Workers of one machine may have more threads together than it has cores: then they wait for each other, as they will at work. */
static bool is_alone(const struct pipeline *p, int worker)
{
    const uint32_t crowd = crowd_of(p, worker);
    return crowd == 1 || (p->local && crowd * (uint32_t)wish_threads(&p->wish, p->workers) <= (uint32_t)cores_allowed());
}

static bool others_ran(const struct probed *m)
{
    double sum = 0;
    uint32_t n = 0;
    while (n < m->n && m->seconds[n] > 0) sum += m->waited[n++];
    return sum > BUSY * n;
}

static void take_answer(struct probing *b, int worker, const struct probed *m)
{
    if (others_ran(m) && is_alone(b->pipe, worker)) speed_of(b->pipe, worker)->busy = 1;
    struct speed *v = &speed_of(b->pipe, worker)->speed;
    switch (b->of[worker].step) {
    case STEP_LAYERS:
        take_curve(&v->local, m, b->layers);
        v->global = v->local;
        break;
    case STEP_DEEP:
        v->key = slope(m->seconds[0], m->seconds[1], DEEP_SEQUENCES * b->deep_keys);
        v->piece_key = slope(m->seconds[2], m->seconds[3], DEEP_PIECE * b->deep_keys);
        break;
    case STEP_HEAD:
        take_curve(&v->head_part, m, b->parts);
        break;
    default: v->picture_layer = m->seconds[0] * b->picture_ratio;
    }
}

/* ---- from step to step ---- */

static void begin_phase(struct probing *b, enum phase phase)
{
    const uint64_t time = (b->end_ns - b->begun_ns) / WAYS_SHARE;
    b->phase = phase;
    b->phase_end_ns = phase == PHASE_NEIGHBOURS ? b->end_ns + time : now_ns(b) + time;
    b->a = -1, b->b = b->pipe->workers; /* before the first pair */
}

/* What still comes is of no use any more. */
static void heed_no_more(struct probing *b)
{
    for (int i = 0; i < b->pipe->workers; i++) {
        b->pipe->crew[i]->unheeded += b->of[i].awaited;
        b->of[i].awaited = false;
    }
}

static int compute(struct probing *b, struct err *why)
{
    heed_no_more(b);
    b->phase = PHASE_COMPUTING;
    for (int i = 0; i < b->pipe->workers; i++) TRY(ask_next(b, i, why));
    return 0;
}

/* Who is in one place has one number, and one way for all of them. */
static bool is_measured(const struct probing *b, int from, int to)
{
    return speed_way(&speed_of(b->pipe, from)->speed, &speed_of(b->pipe, to)->speed) != NULL;
}

/* True if one of the two can call the other, and it is not known already. */
static bool are_to_meet(struct probing *b)
{
    const bool forth = can_call(b->pipe, b->a, b->b);
    b->caller = forth ? b->a : b->b;
    b->callee = forth ? b->b : b->a;
    b->told = false;
    return !is_measured(b, b->a, b->b) && (forth || can_call(b->pipe, b->b, b->a));
}

/* Of few workers each with each; else those next to each other in the order of the crew. False: there is none. */
static bool next_pair(struct probing *b)
{
    const int n = b->pipe->workers;
    do {
        if (++b->b >= n || (!b->few && b->b > b->a + 1)) b->a++, b->b = b->a + 1;
        if (b->b >= n) return false;
    } while (!are_to_meet(b));
    return true;
}

static int meet_next(struct probing *b, struct err *why)
{
    if (now_ns(b) < b->phase_end_ns && next_pair(b)) return ask_to_meet(b, why);
    return b->phase == PHASE_PAIRS ? compute(b, why) : 0;
}

/* First the ways, one after the other: what travels to one must not be in the way of what travels to another. */
static int next_way(struct probing *b, struct err *why)
{
    if (b->turn == TURNS) b->turn = 0, b->asked++;
    if (b->asked < b->pipe->workers && now_ns(b) < b->phase_end_ns) return ask_way(b, why);
    if (!b->few) return compute(b, why);
    begin_phase(b, PHASE_PAIRS);
    return meet_next(b, why);
}

static void add_way(struct speed *from, const struct speed *to, double delay, double seconds, uint32_t bytes)
{
    if (from->ways == WAYS_MOST) return;
    from->way[from->ways++] = (struct way){to->self, {delay, seconds > 2 * delay ? bytes / (seconds - 2 * delay) : 0}};
}

/* Where it came to nothing the way that is assumed stays. */
static int take_meeting(struct probing *b, const struct probed *m, struct err *why)
{
    struct speed *from = &speed_of(b->pipe, b->caller)->speed, *to = &speed_of(b->pipe, b->callee)->speed;
    if (!b->told) {
        b->told = true;
        return ask_to_meet(b, why);
    }
    if (m->n == MEETING_POINTS) {
        add_way(from, to, m->seconds[0] / 2, m->seconds[1], travelling_bytes(b));
        if (from->self != to->self) add_way(to, from, m->seconds[0] / 2, m->seconds[2], travelling_bytes(b));
    }
    return meet_next(b, why);
}

static bool all_answered(const struct probing *b)
{
    for (int i = 0; i < b->pipe->workers; i++)
        if (b->of[i].awaited) return false;
    return b->phase >= PHASE_COMPUTING;
}

uint32_t probing_shadow(const struct pipeline *p)
{
    const bool here = !p->wish.n_addresses && crew_is_alike(p);
    uint64_t bytes = text_tensor_bytes(&p->model->head);
    for (uint32_t i = 0; i < p->model->config.layers * W_LAYER_ROLES; i++) bytes += text_tensor_bytes(&p->model->layer_tensors[i]);
    const double milliseconds = 1000 / SHADOW * (double)bytes / (here ? LOADS_HERE : LOADS_ELSEWHERE);
    const double least = here ? LEAST_HERE_MS : LEAST_MS;
    if (here && milliseconds < least) return 0;
    return (uint32_t)fmin(fmax(milliseconds, least), MOST_MS);
}

/* Who may compute for a fifth of the time gets five times as long, where nobody is in a hurry. */
static double patience(const struct pipeline *p)
{
    double most = 1;
    for (int i = 0; i < p->workers; i++) {
        const struct hello *h = &p->crew[i]->hello;
        if (h->share) most = fmax(most, 1000.0 * h->threads / h->share);
    }
    return fmin(most, PATIENCE_MOST);
}

int probing_begin(struct probing **out, struct pipeline *p, uint32_t milliseconds, bool hurried, struct err *why)
{
    struct probing *b = *out = calloc(1, sizeof *b);
    if (!b) return fail(why, E_MEMORY, "no memory to measure the workers");
    const size_t text = part_count(CHAIN_TEXT, (struct part){0, p->model->config.layers, 0, HEAD_PARTS, false}), most = text + V_LAYER_ROLES;
    b->pipe = p;
    b->hurried = hurried;
    b->few = p->workers <= PAIRS_OF;
    b->types = malloc(most);
    b->tensors = calloc(most, sizeof *b->tensors);
    b->question = calloc(1, sizeof *b->question);
    b->of = calloc((size_t)p->workers, sizeof *b->of);
    free(p->known);
    p->known = calloc((size_t)p->places, sizeof *p->known);
    if (!b->types || !b->tensors || !b->question || !b->of || !p->known) return fail(why, E_MEMORY, "no memory to measure the workers");
    b->begun_ns = now_ns(b);
    for (int i = 0; i < p->workers; i++) speed_of(p, i)->speed.self = speed_self(p, i);
    b->parts_bytes = (uint64_t)milliseconds * PARTS_BYTES / MOST_MS;
    if (b->parts_bytes < PARTS_LEAST_BYTES) b->parts_bytes = PARTS_LEAST_BYTES;
    if (b->parts_bytes > PARTS_BYTES) b->parts_bytes = PARTS_BYTES;
    b->beside_most = hurried ? b->parts_bytes / 2 : BESIDE_BYTES; /* to find memory takes time too */
    b->model_bytes = whole_model(b);
    if (!hurried) milliseconds = (uint32_t)(milliseconds * patience(p));
    b->end_ns = b->begun_ns + milliseconds * 1000000ull;
    begin_phase(b, PHASE_WAYS);
    log_info("measuring how fast the worker%s %s, for %.1f s", p->workers == 1 ? "" : "s", p->workers == 1 ? "is" : "are", milliseconds / 1e3);
    return ask_way(b, why);
}

static int finish(struct probing *b, struct err *why)
{
    if (b->phase != PHASE_NEIGHBOURS) return speeds_keep(b->pipe, why);
    speeds_store(b->pipe);
    return 0;
}

static int take(struct probing *b, int worker, const struct probed *m, struct err *why)
{
    struct subject *s = &b->of[worker];
    s->awaited = false;
    if (b->phase == PHASE_WAYS) return take_turn(b), next_way(b, why);
    if (b->phase != PHASE_COMPUTING) return take_meeting(b, m, why);
    if (m->n != points_of(s->step))
        return fail(why, E_WIRE, "%s measured %u points, it was asked for %u", b->pipe->crew[worker]->name, m->n, points_of(s->step));
    take_answer(b, worker, m);
    return ask_next(b, worker, why);
}

int probing_frame(struct probing *b, struct member *m, struct frame *f, bool *done, struct err *why)
{
    struct probed answer = {0};
    *done = false;
    if (f->head.type != M_PROBED) return fail(why, E_WIRE, "%s came from %s while it was measured", message_name(f->head.type), m->name);
    TRY(probed_read(&answer, f, why));
    if (m->worker < 0 || !b->of[m->worker].awaited) return fail(why, E_WIRE, "%s was not asked", m->name);
    TRY(take(b, m->worker, &answer, why));
    *done = all_answered(b);
    return *done ? finish(b, why) : 0;
}

int probing_wait(struct probing *b, bool *done, struct err *why)
{
    const uint64_t now = now_ns(b), end = b->phase == PHASE_NEIGHBOURS ? b->phase_end_ns : b->end_ns;
    *done = false;
    if (b->phase < PHASE_COMPUTING && now > b->phase_end_ns) TRY(b->phase == PHASE_WAYS ? next_way(b, why) : compute(b, why));
    if ((b->hurried || b->phase == PHASE_NEIGHBOURS) && now >= end) {
        *done = true;
        heed_no_more(b);
        return finish(b, why);
    }
    for (int i = 0; i < b->pipe->workers; i++)
        if (b->of[i].awaited && now > b->of[i].asked_ns + ANSWER_NS)
            return fail(why, E_WORKER, "%s was asked to measure itself and said nothing for %llu s", b->pipe->crew[i]->name, ANSWER_NS / 1000000000ull);
    return 0;
}

bool probing_wants_neighbours(const struct probing *b)
{
    return !b->few && b->phase == PHASE_COMPUTING;
}

int probing_neighbours(struct probing *b, bool *done, struct err *why)
{
    memset(b->of, 0, (size_t)b->pipe->workers * sizeof *b->of);
    begin_phase(b, PHASE_NEIGHBOURS);
    TRY(meet_next(b, why));
    *done = all_answered(b);
    return 0;
}

void probing_close(struct probing **pb)
{
    struct probing *b = *pb;
    *pb = NULL;
    if (!b) return;
    free(b->types);
    free(b->tensors);
    free(b->question);
    free(b->of);
    free(b);
}
