/* partition/plan/search.c — see search.h: dynamic programmes over (worker, layers, parts of the head), in the workers' order.
 *
 * Up to three, each over all splits that the ones before left. The first finds the time of the slowest stage, the second
 * the largest second time among splits as fast, the third the smallest sum of squared times among these: a ring runs at
 * the pace of its slowest stage either way, but an even rest has less to catch up after a hiccup, and one answer alone is
 * not slower for it. Doing them in one pass would be wrong: the best-balanced beginning may have a larger sum.
 *
 * A whole head is the same search with one step from no part to all, which only the last worker may take. It has no
 * second goal: its cut follows from the first.
 *
 * Bytes of a stage are those of its layers and of everything else, which depends on its parts and its worker; so memory is
 * one addition and one comparison. Times and bytes only grow with a run, so a loop ends with the first run too long.
 *
 * Cost: workers * layers^2 * parts^2 / 4 steps at most, most of them cut off; 62 layers take ten to twenty milliseconds on
 * any number of workers. */
#include "partition/plan/search.h"

#include "partition/plan/text_cost.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* More than any worker has, and still no sum of them wraps. Absurd capacities cost as much as can be said. */
#define LAYER_BYTES_MOST (1ull << 50)
#define OTHER_BYTES_MOST (1ull << 62)

#define COLUMNS (HEAD_PARTS + 1)

struct search {
    const struct items *it;
    const struct worker_offer *offers;
    uint32_t workers, layers, parts;
    uint64_t *layer_bytes; /* [layers + 1]: of layers 0..i-1, weights, keys and values */
    uint64_t *other_bytes; /* [workers][COLUMNS][COLUMNS]: all else of a stage with the parts q..p-1 */
    double *power;         /* [workers] */
    const struct pace **pace; /* [workers] */

    bool divided;
    double limit, second_limit; /* of a stage's times: what the programmes before found */
    const struct encoder_room *wanted; /* of goal BESIDE */
    double weight;                     /* there: how much a layer of the encoder without room counts; INFINITY: nothing else does */
    double *best;               /* [workers + 1][layers + 1][COLUMNS]: what the first j workers reach with i layers, p parts */
    uint32_t *from;             /* where the last of these stages begins: a cell of [layers + 1][COLUMNS] */
};

enum goal { SLOWEST, SECOND, EVENEST, BESIDE };

static size_t cell(const struct search *s, uint32_t j, uint32_t i, uint32_t p)
{
    return ((size_t)j * (s->layers + 1) + i) * COLUMNS + p;
}

static uint64_t *other_bytes(const struct search *s, uint32_t worker, uint32_t q, uint32_t p)
{
    return &s->other_bytes[((size_t)worker * COLUMNS + q) * COLUMNS + p];
}

static double time_of(const struct search *s, const struct times *t, uint32_t worker, struct stretch r)
{
    return (double)(t->layer[r.i] - t->layer[r.k] + t->part[r.p] - t->part[r.q]) / s->power[worker];
}

bool search_fits(const struct search *s, uint32_t worker, struct stretch r)
{
    const uint64_t memory = s->offers[worker].memory;
    return !memory || s->layer_bytes[r.i] - s->layer_bytes[r.k] + *other_bytes(s, worker, r.q, r.p) <= memory;
}

double search_time(const struct search *s, uint32_t worker, struct stretch r)
{
    return time_of(s, &s->pace[worker]->first, worker, r);
}

uint32_t search_layers(const struct search *s)
{
    return s->layers;
}

uint32_t search_parts(const struct search *s)
{
    return s->parts;
}

/* What a run is as a part of the model. Behind the last part with words come those without, which go with it. */
static struct part part_of(const struct search *s, struct stretch r)
{
    struct part part = {.first = r.k, .end = r.i};
    if (r.q < r.p) part.back = r.q, part.back_end = r.p == s->parts ? HEAD_PARTS : r.p;
    return part;
}

/* ---- one programme ---- */

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* Layers of the encoder that have room beside a stage. */
static uint32_t room_beside(const struct search *s, uint32_t worker, struct stretch r)
{
    const struct encoder_room *e = s->wanted;
    const uint64_t memory = s->offers[worker].memory, text = s->layer_bytes[r.i] - s->layer_bytes[r.k] + *other_bytes(s, worker, r.q, r.p);
    if (!memory) return e->most[worker];
    if (text > memory || memory - text < e->other_bytes[worker]) return 0;
    const uint64_t n = (memory - text - e->other_bytes[worker]) / e->layer_bytes;
    return n < e->most[worker] ? (uint32_t)n : e->most[worker];
}

/* Grows with the stage, as the others do. */
static double cost_beside(const struct search *s, uint32_t worker, struct stretch r, double time)
{
    const double without = s->wanted->most[worker] - room_beside(s, worker, r);
    return isinf(s->weight) ? without : time * time + s->weight * without;
}

/* What a stage alone costs by the goal; INFINITY if it may not be. */
static double stage_cost(const struct search *s, enum goal goal, uint32_t worker, struct stretch r)
{
    const struct pace *pace = s->pace[worker];
    const double time = time_of(s, &pace->first, worker, r), second = time_of(s, &pace->second, worker, r);
    if (time > s->limit || second > s->second_limit || !search_fits(s, worker, r)) return INFINITY;
    if (goal == BESIDE) return cost_beside(s, worker, r, time);
    return goal == SLOWEST ? time : goal == SECOND ? second : time * time;
}

/* The best that j workers can reach, worker j-1 ending with layer i-1 and part p-1. */
static void reach(struct search *s, enum goal goal, uint32_t j, uint32_t i, uint32_t p)
{
    /* Sums that differ by rounding only are equal: then more goes to the front. */
    const bool sums = goal == EVENEST || goal == BESIDE;
    const double ties = sums ? 1 - 1e-12 : 1;
    const bool last = j == s->workers;
    const uint32_t step = s->divided ? 1 : s->parts;
    double best = INFINITY;
    uint32_t from = 0;
    for (uint32_t k = last ? i : i - 1; k + 1 >= j; k--) {
        if (stage_cost(s, goal, j - 1, (struct stretch){k, i, p, p}) >= best) break;
        for (uint32_t q = p;; q -= step) {
            const struct stretch r = {k, i, q, p};
            const double cost = stage_cost(s, goal, j - 1, r), before = s->best[cell(s, j - 1, k, q)];
            if (cost >= best) break; /* and it only gets larger */
            const double all = sums ? before + cost : larger(before, cost);
            if (all < best * ties && (k < i || q < p)) best = all, from = k * COLUMNS + q;
            if (q < step) break;
        }
        if (!k) break;
    }
    s->best[cell(s, j, i, p)] = best;
    s->from[cell(s, j, i, p)] = from;
}

/* All workers but the last have a layer at least, since all rows pass them in order. */
static double run(struct search *s, enum goal goal)
{
    const uint32_t step = s->divided ? 1 : s->parts, w = s->workers;
    for (size_t at = 0; at < cell(s, w + 1, 0, 0); at++) s->best[at] = INFINITY;
    s->best[cell(s, 0, 0, 0)] = 0;
    for (uint32_t j = 1; j < w; j++)
        for (uint32_t i = j; i + (w - 1 - j) <= s->layers; i++)
            for (uint32_t p = 0; p <= (s->divided ? s->parts : 0); p += step) reach(s, goal, j, i, p);
    reach(s, goal, w, s->layers, s->parts);
    return s->best[cell(s, w, s->layers, s->parts)];
}

/* Sets the limit by the first goal; false if no split fits. */
static bool limit_slowest(struct search *s, bool divided, double slack)
{
    s->divided = divided;
    s->limit = s->second_limit = INFINITY;
    s->limit = run(s, SLOWEST) * slack;
    return !isinf(s->limit);
}

/* The split that the last programme found. */
static void take_split(const struct search *s, struct part *parts)
{
    struct stretch r = {.i = s->layers, .p = s->parts};
    for (uint32_t j = s->workers; j; j--) {
        const uint32_t from = s->from[cell(s, j, r.i, r.p)];
        r.k = from / COLUMNS, r.q = from % COLUMNS;
        parts[j - 1] = part_of(s, r);
        r.i = r.k, r.p = r.q;
    }
}

static void take_evenest(struct search *s, struct part *parts)
{
    run(s, EVENEST);
    take_split(s, parts);
}

bool search_whole(struct search *s, struct part *parts)
{
    if (!limit_slowest(s, false, 1)) return false;
    take_evenest(s, parts);
    return true;
}

bool search_divided(struct search *s, struct part *parts)
{
    if (!limit_slowest(s, true, SEARCH_SLACK)) return false;
    s->second_limit = run(s, SECOND);
    take_evenest(s, parts);
    return true;
}

double search_whole_second(struct search *s)
{
    return limit_slowest(s, false, SEARCH_SLACK) ? run(s, SECOND) / PICOSECONDS : INFINITY;
}

/* ---- beside the encoder ---- */

static uint32_t most_room(const struct search *s)
{
    uint64_t sum = 0;
    for (uint32_t w = 0; w < s->workers; w++) sum += s->wanted->most[w];
    return sum > UINT32_MAX ? UINT32_MAX : (uint32_t)sum;
}

/* Layers of the encoder with room, with no stage over the limit; 0 if there is no such split. */
static uint32_t room_within(struct search *s, double limit)
{
    s->limit = limit;
    s->weight = INFINITY;
    const double without = run(s, BESIDE);
    return isinf(without) ? 0 : most_room(s) - (uint32_t)without;
}

static uint32_t room_of(const struct search *s, const struct part *parts)
{
    uint32_t sum = 0;
    for (uint32_t w = 0; w < s->workers; w++) {
        const struct part p = parts[w];
        const uint32_t end = p.back_end == HEAD_PARTS ? s->parts : p.back_end;
        sum += room_beside(s, w, (struct stretch){p.first, p.end, part_has_back(p) ? p.back : 0, part_has_back(p) ? end : 0});
    }
    return sum;
}

#define HALVINGS 7 /* of an interval: to a hundredth */

/* The smallest limit of a stage's time that leaves enough room, between these: `low` leaves too little, `high` enough. */
static double least_limit(struct search *s, double low, double high)
{
    for (int i = 0; i < HALVINGS; i++) {
        const double middle = (low + high) / 2;
        if (room_within(s, middle) >= s->wanted->layers) high = middle;
        else low = middle;
    }
    return high;
}

/* The less a layer without room counts, the evener the split: as little as leaves enough. */
static void take_even_beside(struct search *s, double limit, struct part *parts)
{
    struct part even[STAGES_MOST];
    const double whole = limit * limit;
    room_within(s, limit);
    take_split(s, parts);
    for (double weight = 0; weight <= 16 * whole; weight = weight > 0 ? 4 * weight : whole / 1024) {
        s->weight = weight;
        run(s, BESIDE);
        take_split(s, even);
        if (room_of(s, even) < s->wanted->layers) continue;
        memcpy(parts, even, s->workers * sizeof *parts);
        return;
    }
}

bool search_beside(struct search *s, bool divided, const struct encoder_room *wanted, double limit, struct part *parts, uint32_t *room)
{
    const double most = limit * PICOSECONDS;
    s->wanted = wanted;
    *room = 0;
    if (!limit_slowest(s, divided, 1) || s->limit > most) return false;
    double low = s->limit, high = low * (1 + 1e-9);
    if (room_within(s, high) < wanted->layers) {
        *room = room_within(s, most);
        if (*room < wanted->layers) return false;
        do {
            low = high, high = 2 * high < most ? 2 * high : most;
        } while (room_within(s, high) < wanted->layers);
    }
    if (low < high / (1 + 1e-6)) high = least_limit(s, low, high);
    take_even_beside(s, high, parts);
    return true;
}

/* Layers first; parts into the room where not one more layer fits. */
void search_fill_up(const struct search *s, bool divided, struct part *parts)
{
    struct stretch r = {0, 0, 0, 0};
    for (uint32_t w = 0; w < s->workers; w++) {
        const uint32_t after = s->workers - 1 - w;
        r.k = r.i, r.q = r.p;
        if (!after) r.i = s->layers, r.p = s->parts;
        else {
            const uint32_t latest = s->layers - (after - 1);
            for (r.i++; r.i < latest; r.i++) {
                const struct stretch more = {r.k, r.i + 1, r.q, r.q};
                if (!search_fits(s, w, more)) break;
            }
            for (; divided && r.p + (r.i == s->layers) < s->parts; r.p++) { /* the last worker needs something */
                const struct stretch more = {r.k, r.i, r.q, r.p + 1};
                if (!search_fits(s, w, more)) break;
            }
        }
        parts[w] = part_of(s, r);
    }
}

/* ---- tables ---- */

static uint64_t at_most(uint64_t bytes, uint64_t most)
{
    return bytes < most ? bytes : most;
}

static void count_bytes(struct search *s)
{
    for (uint32_t i = 0; i < s->layers; i++) {
        const struct part_bytes b = items_bytes(s->it, (struct part){i, i + 1, 0, 0, false}, &s->offers[0]);
        s->layer_bytes[i + 1] = s->layer_bytes[i] + at_most(b.weights, LAYER_BYTES_MOST) + at_most(b.kv, LAYER_BYTES_MOST);
    }
    for (uint32_t w = 0; w < s->workers; w++)
        for (uint32_t q = 0; q <= s->parts; q++)
            for (uint32_t p = q; p <= s->parts; p++) {
                const struct part other = part_of(s, (struct stretch){0, 0, q, p});
                *other_bytes(s, w, q, p) = at_most(items_bytes(s->it, other, &s->offers[w]).total, OTHER_BYTES_MOST);
            }
}

int search_open(struct search **out, const struct items *it, const struct worker_offer *offers, int workers, struct err *why)
{
    struct search *s = *out = calloc(1, sizeof *s);
    if (!s) return fail(why, E_MEMORY, "no memory to plan for %d workers", workers);
    *s = (struct search){.it = it, .offers = offers, .workers = (uint32_t)workers, .layers = it->layers, .parts = it->parts};
    const size_t cells = cell(s, s->workers + 1, 0, 0);
    s->layer_bytes = calloc(s->layers + 1, sizeof *s->layer_bytes);
    s->other_bytes = calloc((size_t)workers * COLUMNS * COLUMNS, sizeof *s->other_bytes);
    s->power = calloc((size_t)workers, sizeof *s->power);
    s->pace = calloc((size_t)workers, sizeof *s->pace);
    s->best = calloc(cells, sizeof *s->best);
    s->from = calloc(cells, sizeof *s->from);
    if (!s->layer_bytes || !s->other_bytes || !s->power || !s->pace || !s->best || !s->from) {
        search_close(out);
        return fail(why, E_MEMORY, "no memory to plan for %d workers", workers);
    }
    for (int w = 0; w < workers; w++) s->power[w] = offer_power(&offers[w]), s->pace[w] = items_pace(it, w);
    count_bytes(s);
    return 0;
}

void search_close(struct search **search)
{
    struct search *s = *search;
    *search = NULL;
    if (!s) return;
    free(s->layer_bytes);
    free(s->other_bytes);
    free(s->power);
    free(s->pace);
    free(s->best);
    free(s->from);
    free(s);
}
