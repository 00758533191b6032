/* partition/plan/text_split.c — see text_split.h: the head whole in the last stage, or its parts over all of them.
 *
 * A whole head is as heavy as 7 to 16 layers and cannot be shared: with few workers the last one is slower than the
 * others, or has no memory for it. Dividing it costs a message: every other worker that has parts sends its best words and
 * the sums of its scores to where the token is chosen. So a divided plan must be faster by more than such a message takes,
 * and by more than what a model of costs can promise; else what has fewer messages is the better plan. */
#include "partition/plan/text_split.h"

#include "base/checked.h"
#include "base/size_text.h"
#include "partition/model/part_text.h"
#include "partition/plan/text_cost.h"

#include <string.h>

/* Gains below these shares are less than what the model of costs is off by. The second goal decides only when the first is
 * as good as equal, and gives back some of it: it must be worth more. */
#define FIRST_GAIN 0.02
#define SECOND_GAIN 0.05

/* Of a usual network, in bytes: a gigabit. */
#define SCORES_PER_SECOND 125e6

double text_slowest(const struct text_job *job, const struct part *parts)
{
    double t = 0;
    for (int i = 0; i < job->workers; i++) {
        const double stage = items_first(&job->items, parts[i], i);
        if (stage > t) t = stage;
    }
    return t;
}

static double slowest_second(const struct text_job *job, const struct part *parts)
{
    double t = 0;
    for (int i = 0; i < job->workers; i++) {
        const double stage = items_second(&job->items, parts[i], i);
        if (stage > t) t = stage;
    }
    return t;
}

/* Where all scores go home with it, a group's or one row's, they take their time too. */
static double message_and_answer(const struct text_job *job)
{
    const struct hop hop = {.delay = NOMINAL_HOP.delay, .bytes_per_second = SCORES_PER_SECOND};
    const double rows = job->items.prompts ? 1 : decode_rows(job->items.capacity);
    return hop_seconds(&hop, 0) + hop_seconds(&hop, job->all_scores ? rows * 4 * job->items.shape->config.vocab : 0);
}

static bool gains(const struct text_job *job, double before, double after, double share)
{
    return before - after >= share * before && before - after >= message_and_answer(job);
}

static double lap(const struct text_job *job, const struct part *parts)
{
    return lap_seconds(job->items.shape, parts, job->offers, job->workers, job->items.capacity);
}

/* A group of tokens comes this often: as the slowest stage lets them, or as what is under way comes round. */
static double pace(const struct text_job *job, const struct part *parts, double hop)
{
    const double round = (lap(job, parts) + hop) / decode_groups(job->items.capacity), stage = text_slowest(job, parts);
    return stage > round ? stage : round;
}

/* What comes second, as people wait for it: several sequences for a prompt; one, whose prompt came first, for a token. A
 * faster prompt must not be paid by every token: of a small model a message takes longer than the whole lap. */
static bool worth_dividing(struct search *s, const struct text_job *job, const struct part *whole, const struct part *divided)
{
    const double before = text_slowest(job, whole), after = text_slowest(job, divided);
    if (gains(job, before, after, FIRST_GAIN)) return true;
    if (after > before * SEARCH_SLACK) return false;
    if (job->items.prompts) return gains(job, lap(job, whole), lap(job, divided), SECOND_GAIN);
    if (pace(job, divided, message_and_answer(job)) > pace(job, whole, 0) * SEARCH_SLACK) return false;
    return gains(job, search_whole_second(s), slowest_second(job, divided), SECOND_GAIN);
}

/* ---- memory ---- */

static uint64_t plus(uint64_t a, uint64_t b)
{
    uint64_t r;
    return add_ok(a, b, &r) ? r : UINT64_MAX;
}

static uint64_t bytes_of(const struct text_job *job, const struct part *parts, int i)
{
    return items_bytes(&job->items, parts[i], &job->offers[i]).total;
}

static uint64_t missing(const struct text_job *job, const struct part *parts, int i)
{
    const uint64_t want = bytes_of(job, parts, i), have = job->offers[i].memory;
    return have && want > have ? want - have : 0;
}

static char *show_worker(char out[160], const struct worker_offer *offer, int i)
{
    int n = snprintf(out, 160, "worker %d", i + 1);
    if (*offer->name && strcmp(offer->name, out)) snprintf(out + n, 160 - (size_t)n, " (%s)", offer->name);
    return out;
}

/* Names the worker that lacks most. */
static int check_memory(const struct text_job *job, const struct part *parts, struct err *why)
{
    uint64_t offered = 0, wanted = 0;
    bool all_limited = true;
    int worst = 0;
    for (int i = 0; i < job->workers; i++) {
        if (missing(job, parts, i) > missing(job, parts, worst)) worst = i;
        offered = plus(offered, job->offers[i].memory);
        wanted = plus(wanted, bytes_of(job, parts, i));
        all_limited &= job->offers[i].memory != 0;
    }
    if (!missing(job, parts, worst)) return 0;
    const struct part s = parts[worst];
    const struct capacity *cap = job->items.capacity;
    char who[160], part[64], held[96], limit[24], want[24], lack[24], all[24], sum[24], together[120] = "";
    show_bytes(all, offered);
    show_bytes(sum, wanted);
    if (all_limited)
        snprintf(together, sizeof together, "; together the workers offer %s and the plan wants %s", all, sum);
    return fail_about(why, ABOUT_MEMORY, E_MEMORY, "%s may use %s%s, but %s with %s want%s %s: %s are missing%s",
                show_worker(who, &job->offers[worst], worst), show_bytes(limit, job->offers[worst].memory),
                job->beside_pictures ? " beside its part of the picture encoder" : "", show_part(part, s), show_capacity(held, cap),
                s.end == s.first + !part_has_head(s) ? "s" : "", show_bytes(want, bytes_of(job, parts, worst)),
                show_bytes(lack, missing(job, parts, worst)), together);
}

/* ---- the best ---- */

static int choose(struct part *out, struct search *s, const struct text_job *job, struct err *why)
{
    const bool may_divide = job->workers > 1 && !job->whole_head;
    const size_t bytes = (size_t)job->workers * sizeof *out;
    struct part divided[STAGES_MOST];
    const bool whole_fits = search_whole(s, out);
    const bool divided_fits = may_divide && search_divided(s, divided);
    if (divided_fits && (!whole_fits || worth_dividing(s, job, out, divided))) memcpy(out, divided, bytes);
    if (whole_fits || divided_fits) return check_memory(job, out, why);
    search_fill_up(s, may_divide, out);
    TRY(check_memory(job, out, why));
    return fail(why, E_INTERNAL, "no split was found, yet one fits");
}

static int check_workers(const struct text_job *job, struct err *why)
{
    const uint32_t layers = job->items.layers, most = layers + 1 < STAGES_MOST ? layers + 1 : STAGES_MOST;
    if ((uint32_t)job->workers <= most) return 0;
    return fail(why, E_USAGE, "%d workers are more than can be used: %u layers and the head are work for at most %u", job->workers,
                layers, most);
}

int text_split(struct part *out, const struct text_job *job, struct err *why)
{
    struct search *s;
    TRY(check_workers(job, why));
    TRY(search_open(&s, &job->items, job->offers, job->workers, why));
    const int code = choose(out, s, job, why);
    search_close(&s);
    return code;
}

/* ---- by hand ---- */

static int check_layers(const struct model_config *c, const struct cut *cuts, int workers, struct err *why)
{
    uint64_t sum = 0;
    for (int i = 0; i < workers && sum <= c->layers; i++) {
        if (!cuts[i].layers && i < workers - 1)
            return fail(why, E_USAGE, "the split gives worker %d no layer; only the last may do with the head alone",
                        i + 1);
        sum += cuts[i].layers;
    }
    if (sum == c->layers) return 0;
    return fail(why, E_USAGE, "the split places %s%llu layers, the model has %u", sum > c->layers ? "at least " : "",
                (unsigned long long)sum, c->layers);
}

static int check_parts(const struct cut *cuts, int workers, struct err *why)
{
    uint64_t sum = 0;
    for (int i = 0; i < workers; i++) sum += cuts[i].parts;
    if (sum != HEAD_PARTS)
        return fail(why, E_USAGE, "the split places %llu sixteenths of the head, wanted all %d", (unsigned long long)sum,
                    HEAD_PARTS);
    if (!cuts[workers - 1].layers && !cuts[workers - 1].parts)
        return fail(why, E_USAGE, "the split gives worker %d nothing; it needs a layer or a part of the head", workers);
    return 0;
}

/* The sums must be all. */
static int parts_of_cuts(struct part *out, const struct model_config *c, const struct cut *cuts, int workers, struct err *why)
{
    uint32_t layer = 0, part = 0;
    TRY(check_layers(c, cuts, workers, why));
    TRY(check_parts(cuts, workers, why));
    for (int i = 0; i < workers; i++) {
        out[i] = (struct part){.first = layer, .end = layer + cuts[i].layers};
        if (cuts[i].parts) out[i].back = part, out[i].back_end = part + cuts[i].parts;
        layer += cuts[i].layers;
        part += cuts[i].parts;
        if (!text_part_possible(c, out[i]))
            return fail(why, E_USAGE,
                        "the split gives worker %d %u sixteenths of the head without a word: a vocabulary of %u fills %u "
                        "of %d", i + 1, cuts[i].parts, c->vocab, part_head_parts(c, (struct part){.back_end = HEAD_PARTS}), HEAD_PARTS);
    }
    return 0;
}

int text_by_hand(struct part *out, const struct text_job *job, const struct cut *cuts, int n, struct err *why)
{
    TRY(check_workers(job, why));
    if (n != job->workers)
        return fail_about(why, ABOUT_SPLIT, E_USAGE, "the split names %d workers, there are %d for the text", n, job->workers);
    TRY(parts_of_cuts(out, &job->items.shape->config, cuts, n, why));
    for (int i = 0; i < n - 1; i++)
        if (job->whole_head && part_has_head(out[i]))
            return fail(why, E_USAGE,
                        "the split gives worker %d %u sixteenths of the head; all 16 must be with the last one because the head was wanted "
                        "whole", i + 1, cuts[i].parts);
    return check_memory(job, out, why);
}
