/* partition/plan/rates.c — see rates.h. */
#include "partition/plan/rates.h"

#include "partition/plan/bursts.h"
#include "partition/plan/plan_in_order.h"
#include "partition/plan/text_cost.h"

#define ROW_BYTES 96 /* of a row on the wire beside its values: segment, id, sampling */
#define TOKEN_BYTES 48
#define SCORED_BYTES 400 /* sums of the parts and a few candidates */
#define PIECE_LEAST 16
#define ALL_BUT 0.97 /* of the time between groups: what takes so much of it holds them up */

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static double slower(double a, double b)
{
    return a > 0 && (b <= 0 || a < b) ? a : b;
}

bool apart_noted(const struct apart *apart, int n, int a, int b)
{
    for (int i = 0; i < n; i++) {
        const int *pair = apart[i].number;
        if ((pair[0] == a && pair[1] == b) || (pair[0] == b && pair[1] == a)) return true;
    }
    return false;
}

static bool calls_none(const struct worker_offer *a, const struct worker_offer *b)
{
    return a->reach == REACH_NONE && b->reach != REACH_ANY;
}

bool offers_apart(const struct worker_offer *a, const struct worker_offer *b)
{
    return calls_none(a, b) || calls_none(b, a) || apart_noted(a->apart, a->n_apart, a->number, b->number);
}

struct hop plan_hop(const struct worker_offer *offers, int from, int to)
{
    const struct speed *a = from < 0 ? NULL : offers[from].measured, *b = to < 0 ? NULL : offers[to].measured;
    if ((from >= 0 && !a) || (to >= 0 && !b)) return (struct hop){0};
    if (!a) return b ? b->to : (struct hop){0};
    if (!b) return a->from;
    const bool apart = offers_apart(&offers[from], &offers[to]);
    const struct hop *way = apart ? NULL : speed_way(a, b);
    if (way) return *way;
    const double halves = apart ? 2 : 1; /* each of both ways is half one that goes to the coordinator */
    return (struct hop){halves * (a->from.delay + b->to.delay) / 2, slower(a->from.bytes_per_second, b->to.bytes_per_second)};
}

struct ring { /* one question */
    const struct plan *plan;
    const struct model_shape *shape;
    const struct worker_offer *offers;
    int stages;
    bool measured;
    bool in_bursts; /* a stage is (ration.h) */
};

static struct ring ring_of(const struct plan *p, const struct model_shape *shape, const struct worker_offer *offers)
{
    struct ring r = {p, shape, offers, plan_stages(p), plan_measured(offers, plan_stages(p)), false};
    for (int i = 0; i < r.stages; i++) r.in_bursts |= ration_share(&offers[i].ration) < 1;
    return r;
}

static double row_bytes(const struct ring *r)
{
    return (double)wire_value_bytes(r->plan->capacity.mode.wire) * r->shape->config.hidden + ROW_BYTES;
}

static double way(const struct ring *r, int from, int to, double bytes)
{
    const struct hop hop = plan_hop(r->offers, from, to);
    return r->measured ? hop_seconds(&hop, bytes) : 0;
}

static bool is_divided(const struct ring *r)
{
    return !part_has_whole_head(r->plan->of[r->stages - 1].part[CHAIN_TEXT]);
}

/* From the last stage home, and where the head is divided to its parts and back. */
static double way_home(const struct ring *r, double wanted)
{
    const int last = r->stages - 1;
    double parts = 0;
    if (!is_divided(r)) return way(r, last, -1, wanted * TOKEN_BYTES);
    for (int i = 0; i < last; i++)
        if (part_has_head(r->plan->of[i].part[CHAIN_TEXT]))
            parts = larger(parts, way(r, -1, i, wanted * row_bytes(r)) + way(r, i, -1, wanted * SCORED_BYTES));
    return way(r, last, -1, wanted * row_bytes(r)) + parts;
}

/* All messages of a micro-batch, one after the other: through the stages and home. `wanted` of its rows want a token. */
static double travel(const struct ring *r, double rows, double wanted)
{
    double sum = way_home(r, wanted);
    for (int i = 0; i < r->stages; i++) sum += way(r, i - 1, i, rows * row_bytes(r));
    return sum;
}

/* Seconds that a worker's lines are busy with a micro-batch: what comes and what goes use different ways of a line. */
static double line_seconds(const struct ring *r, int i, double rows)
{
    const struct worker_offer *o = r->offers;
    const struct speed *v = o[i].measured;
    const int next = i + 1 < r->stages ? i + 1 : -1;
    const double bytes = rows * row_bytes(r), out_bytes = next >= 0 || is_divided(r) ? bytes : rows * TOKEN_BYTES;
    if (!r->measured) return 0;
    const struct hop *in = i > 0 ? speed_way(o[i - 1].measured, v) : NULL, *out = next >= 0 ? speed_way(v, o[next].measured) : NULL;
    if (!in) in = &v->to;
    if (!out) out = &v->from;
    return larger(in->bytes_per_second > 0 ? bytes / in->bytes_per_second : 0, out->bytes_per_second > 0 ? out_bytes / out->bytes_per_second : 0);
}

double plan_travel(const struct plan *p, const struct model_shape *shape, const struct worker_offer *offers, double rows, double wanted)
{
    const struct ring r = ring_of(p, shape, offers);
    return travel(&r, rows, wanted);
}

double plan_line_seconds(const struct plan *p, const struct model_shape *shape, const struct worker_offer *offers, int worker, double rows)
{
    const struct ring r = ring_of(p, shape, offers);
    return line_seconds(&r, worker, rows);
}

static double power(const struct ring *r, int i)
{
    return offer_power(&r->offers[i]);
}

/* Of a worker's time, for the pictures that come with so many tokens: the encoder's layers, of copies its part of the pictures, and their
 * rows as rows of a prompt. */
static double picture_seconds(const struct ring *r, int i, double tokens, double prompt)
{
    const struct plan *p = r->plan;
    const double n = tokens * p->picture_share;
    int copies = 0;
    if (!(n > 0)) return 0;
    for (int k = 0; k < p->workers; k++) copies += !part_is_empty(p->of[k].part[CHAIN_VISION]);
    const double seen = p->of[i].expected[CHAIN_VISION] / (p->copies && copies ? copies : 1);
    return n * (seen + vision_tokens(&r->shape->encoder->config) * prompt / p->capacity.rows);
}

/* At full speed, and what several stages have together; apart: a whole head is told apart from the layers too. Of one group only one stage computes at a time, so that one has the whole quota. */
static void fill_stage(struct burst_stage *s, const struct ring *r, int i, uint32_t position, double rows, double wanted, bool alone, bool apart)
{
    const struct worker_offer *o = r->offers;
    const struct part p = r->plan->of[i].part[CHAIN_TEXT], words = {0, 0, p.back, p.back_end, false};
    const double power = offer_power(&o[i]) / ration_share(&o[i].ration);
    const double all = part_seconds(o[i].measured, r->shape, p, position, rows, wanted) / power;
    const double head = (apart || is_divided(r)) && part_has_head(p) ? part_seconds(o[i].measured, r->shape, words, position, rows, wanted) / power : 0;
    *s = (struct burst_stage){.ration = o[i].ration, .purse = i, .layers = all - head, .head = head, .way = way(r, i - 1, i, rows * row_bytes(r))};
    for (int k = 0; alone && s->ration.group && k < i && s->purse == i; k++)
        if (o[k].ration.group == s->ration.group) s->purse = k;
    if (alone) s->ration.sharing = 1;
}

static struct burst_ring bursts(const struct ring *r, uint32_t position, double rows, double wanted, bool alone, bool apart)
{
    struct burst_ring b = {.stages = r->stages, .home = way_home(r, wanted)};
    for (int i = 0; i < r->stages; i++) fill_stage(&b.stage[i], r, i, position, rows, wanted, alone, apart);
    return b;
}

/* `with`: what else the stages do for each group; NULL: nothing. */
static double burst_round(const struct ring *r, const struct capacity *cap, double rows, const struct stage_rates *with)
{
    const int groups = (int)decode_groups(cap);
    struct burst_ring b = bursts(r, cap->context / 2, rows, rows, groups == 1, false);
    for (int i = 0; with && i < r->stages; i++) b.stage[i].layers += with[i].pictures * ration_share(&r->offers[i].ration);
    return burst_turn(&b, groups);
}

static double lap(const struct ring *r, const struct capacity *cap)
{
    struct part parts[STAGES_MOST];
    if (r->in_bursts) return burst_round(r, cap, decode_rows(cap), NULL);
    for (int i = 0; i < r->stages; i++) parts[i] = r->plan->of[i].part[CHAIN_TEXT];
    return lap_seconds(r->shape, parts, r->offers, r->stages, cap) + travel(r, decode_rows(cap), decode_rows(cap));
}

/* Of the cores that it shares with others, for something that takes a worker so long: seconds of all of them. */
static double shared_seconds(const struct worker_offer *o, double seconds)
{
    return o->measured && o->cores > 0 ? seconds * o->uses / o->cores : 0;
}

bool plan_measured(const struct worker_offer *offers, int n)
{
    for (int i = 0; i < n; i++)
        if (!offers[i].measured) return false;
    return true;
}

double plan_cores_short(const struct worker_offer *offers, int n)
{
    double uses = 0, cores = 0;
    for (int i = 0; i < n; i++)
        if (offers[i].cores > 0) uses += offers[i].uses, cores = offers[i].cores;
    return uses > cores ? cores : 0;
}

double plan_cores_seconds(const struct worker_offer *offers, const double *busy, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += shared_seconds(&offers[i], busy[i]);
    return sum;
}

static double alone(const struct ring *r)
{
    struct capacity one = r->plan->capacity;
    one.sequences = 1;
    return 1 / lap(r, &one);
}

static double piece_seconds(const struct ring *r, int i)
{
    return prefill_seconds(r->offers[i].measured, r->shape, r->plan->of[i].part[CHAIN_TEXT], &r->plan->capacity) / power(r, i);
}

static double prompts(const struct ring *r)
{
    const uint32_t rows = r->plan->capacity.rows;
    double slowest = 0, cores = 0;
    for (int i = 0; i < r->stages; i++) {
        const double piece = piece_seconds(r, i);
        slowest = larger(slowest, larger(piece, line_seconds(r, i, rows)));
        cores += shared_seconds(&r->offers[i], piece);
    }
    return rows / larger(slowest, cores);
}

/* All else of the rates. */
static void fill_answers(struct rates *out, struct stage_rates *stages, const struct ring *r)
{
    const struct worker_offer *offers = r->offers;
    const struct capacity *cap = &r->plan->capacity;
    const uint32_t groups = decode_groups(cap);
    const double even = (double)cap->sequences / groups, rows = even < decode_rows(cap) ? even : decode_rows(cap); /* groups differ by a row */
    struct stage_rates own[STAGES_MOST];
    double stage = 0, line = 0, sum = 0, cores = 0;
    *out = (struct rates){.measured = r->measured};
    if (!stages) stages = own;
    for (int i = 0; i < r->stages; i++) {
        const struct part s = r->plan->of[i].part[CHAIN_TEXT];
        const double piece = piece_seconds(r, i);
        const struct stage_rates t = {.answer = part_seconds(offers[i].measured, r->shape, s, cap->context / 2, rows, rows) / power(r, i), .prompt = piece,
                                      .pictures = picture_seconds(r, i, rows, piece), .send = line_seconds(r, i, rows)};
        stages[i] = t;
        const double busy = t.answer + t.pictures;
        if (larger(busy, t.send) > larger(stage, line)) out->slowest = i;
        stage = larger(stage, busy), line = larger(line, t.send);
        sum += busy;
        cores += shared_seconds(&offers[i], busy);
    }
    /* Of several groups each finds the stages, and the parts of the head too, at work on another. */
    const double round = groups == 1 && !r->in_bursts ? lap(r, cap) : (sum + travel(r, rows, rows)) / groups;
    const double group = larger(larger(line, cores), r->in_bursts ? burst_round(r, cap, rows, stages) : larger(stage, round));
    out->bound = stage > ALL_BUT * group ? BOUND_STAGE : line > ALL_BUT * group ? BOUND_LINE : cores > ALL_BUT * group ? BOUND_CORES : BOUND_ROUND;
    out->answers = rows / group;
    out->busy = sum / group / r->stages;
}

void plan_rates(struct rates *out, struct stage_rates *stages, const struct plan *p, const struct model_shape *shape,
                const struct worker_offer *offers)
{
    const struct ring r = ring_of(p, shape, offers);
    fill_answers(out, stages, &r);
    out->prompts = prompts(&r);
    out->alone = alone(&r);
}

/* Only that one: bursts are lived through for each candidate. */
double plan_value(const struct plan *p, const struct model_shape *shape, const struct worker_offer *offers, const struct plan_wish *wish)
{
    const struct ring r = ring_of(p, shape, offers);
    struct rates all;
    if (wish->aim == AIM_LATENCY) return alone(&r);
    if (plan_for_prompts(wish, &p->capacity)) return prompts(&r);
    fill_answers(&all, NULL, &r);
    return all.answers;
}

static double slowest_line(const struct ring *r, double rows)
{
    double most = 0;
    for (int i = 0; i < r->stages; i++) most = larger(most, line_seconds(r, i, rows));
    return most;
}

/* Pieces follow each other: all of them through the slowest stage, and the first, or the last, once through all. Only the last one's last row
 * is scored, by all parts of the head at the same time. */
static double streamed(const struct ring *r, uint32_t prompt, uint32_t rows)
{
    const uint32_t pieces = (prompt - 1) / rows + 1;
    double slowest = 0, sum = 0, head = 0;
    if (r->in_bursts) {
        const struct burst_ring b = bursts(r, prompt / 2, rows, 1, pieces == 1, true);
        return larger(burst_stream(&b, (int)pieces), pieces * slowest_line(r, rows));
    }
    for (int i = 0; i < r->stages; i++) {
        const struct part s = r->plan->of[i].part[CHAIN_TEXT];
        const struct part layers = {s.first, s.end, 0, 0, false};
        const double t = part_seconds(r->offers[i].measured, r->shape, layers, prompt / 2, rows, 1) / power(r, i);
        const double all = part_seconds(r->offers[i].measured, r->shape, s, prompt / 2, rows, 1) / power(r, i), piece = larger(t, line_seconds(r, i, rows));
        head = larger(head, all - t), slowest = larger(slowest, piece), sum += piece;
    }
    return (pieces - 1) * slowest + sum + head + travel(r, rows, 1);
}

double plan_first_token(const struct plan *p, const struct model_shape *shape, const struct worker_offer *offers, uint32_t prompt)
{
    const struct ring r = ring_of(p, shape, offers);
    double best = streamed(&r, prompt, p->capacity.rows);
    for (uint32_t rows = PIECE_LEAST; rows < p->capacity.rows; rows *= 2) {
        const double t = streamed(&r, prompt, rows);
        if (t < best) best = t;
    }
    return best;
}
