/* partition/plan/solve.c — the planner's choice: the head whole in the last stage, or its parts over all of them.
 *
 * A whole head is as heavy as 7 to 16 layers and cannot be shared: with few workers the last one is slower than the
 * others, or has no memory for it. Dividing it costs a message: every other worker that has parts sends its best words and
 * the sums of its scores to where the token is chosen. So a divided plan must be faster by more than such a message takes,
 * and by more than what a model of costs can promise; else what has fewer messages is the better plan. */
#include "partition/plan/cost.h"
#include "partition/plan/search.h"

/* Gains below these shares are less than what the model of costs is off by. The second goal decides only when the first is
 * as good as equal, and gives back some of it: it must be worth more. */
#define FIRST_GAIN 0.02
#define SECOND_GAIN 0.05

static double slowest(const struct plan *plan)
{
    double t = 0;
    for (int i = 0; i < plan->stages; i++)
        if (plan->stage[i].expected > t) t = plan->stage[i].expected;
    return t;
}

static double slowest_second(const struct items *it, const struct plan *plan, const struct worker_offer *offers)
{
    double t = 0;
    for (int i = 0; i < plan->stages; i++) {
        const double stage = items_seconds(&it->second, plan->stage[i].share, &offers[i]);
        if (stage > t) t = stage;
    }
    return t;
}

static bool gains(double before, double after, double share)
{
    return before - after >= share * before && before - after >= NOMINAL_HOP_SECONDS;
}

/* A group of tokens comes this often: as the slowest stage lets them, or as what is under way comes round. */
static double pace(const struct items *it, const struct plan *plan, const struct worker_offer *offers, double hop)
{
    const double lap = (lap_seconds(it->shape, plan, offers, it->capacity) + hop) / decode_groups(it->capacity);
    const double stage = slowest(plan);
    return stage > lap ? stage : lap;
}

/* What comes second, as people wait for it: several sequences for a prompt; one, whose prompt came first, for a token. A
 * faster prompt must not be paid by every token: of a small model a message takes longer than the whole lap. */
static bool worth_dividing(struct search *s, const struct items *it, const struct plan *whole, const struct plan *divided,
                           const struct worker_offer *offers)
{
    const double before = slowest(whole), after = slowest(divided);
    if (gains(before, after, FIRST_GAIN)) return true;
    if (after > before * SEARCH_SLACK) return false;
    if (prompts_decide(it->capacity))
        return gains(lap_seconds(it->shape, whole, offers, it->capacity), lap_seconds(it->shape, divided, offers, it->capacity),
                     SECOND_GAIN);
    if (pace(it, divided, offers, NOMINAL_HOP_SECONDS) > pace(it, whole, offers, 0) * SEARCH_SLACK) return false;
    return gains(search_whole_second(s), slowest_second(it, divided, offers), SECOND_GAIN);
}

static int choose(struct search *s, struct plan *out, const struct items *it, const struct worker_offer *offers, int workers,
                  struct err *why)
{
    const bool may_divide = workers > 1 && !it->shape->whole_head;
    struct part shares[MAX_STAGES];
    struct plan divided;
    const bool whole_fits = search_whole(s, shares);
    if (whole_fits) plan_fill(out, it, offers, shares, workers);
    const bool divided_fits = may_divide && search_divided(s, shares);
    if (divided_fits) plan_fill(&divided, it, offers, shares, workers);
    if (divided_fits && (!whole_fits || worth_dividing(s, it, out, &divided, offers))) *out = divided;
    if (!whole_fits && !divided_fits) {
        search_fill_up(s, may_divide, shares);
        plan_fill(out, it, offers, shares, workers);
        TRY(plan_check_memory(out, offers, why));
        return fail(why, E_INTERNAL, "no split was found, yet one fits");
    }
    return plan_check_memory(out, offers, why);
}

static int solve(struct plan *out, const struct items *it, const struct worker_offer *offers, int workers, struct err *why)
{
    struct search *s;
    TRY(plan_check_workers(it, workers, why));
    TRY(search_open(&s, it, offers, workers, why));
    const int rc = choose(s, out, it, offers, workers, why);
    search_close(&s);
    return rc;
}

int plan_solve(struct plan *out, const struct model_shape *shape, const struct worker_offer *offers, int workers,
               const struct capacity *capacity, struct err *why)
{
    struct items it;
    TRY(items_open(&it, shape, capacity, why));
    const int rc = solve(out, &it, offers, workers, why);
    items_close(&it);
    return rc;
}
