/* coordinator/engine/restart.c — the workers begin anew, and with them all asks: after a loss, and again when there is a new plan.
 *
 * Every ask becomes a prompt of all it has, what was said included, and waits; it comes back in the order in which it was asked. Tokens,
 * scores and hashes that were delivered are neither delivered nor folded again, because only the row after the last one wants a token.
 *
 * An ask may itself be what ends workers: a row that makes one crash, every time. Suspect is whoever had rows under way when one was lost,
 * and cleared by the first row that comes home and never did before: then the loss was something else. Who is suspect twice is computed
 * while everybody else waits; who ends a worker once more is to blame, and fails alone. The same of pictures. */
#include "coordinator/engine/live.h"

#include "base/log.h"
#include "base/planted.h"
#include "coordinator/cluster/recover.h"

#define PACE_ROWS 16 /* a micro-batch of so many says how fast prompts are read */
#define PACE_KEEPS 1024.0 /* rows: a prompt of some pieces, the first of which has to pass all stages, counts as a whole, and two that come home at once as two */

/* ---- how fast ---- */

void pace_sent(struct engine *e)
{
    if (schedule_in_flight(e->scheduler) == 1) e->pace.from_ns = clock_now(e->clock);
}

static void see_pace(struct engine *e, uint32_t rows)
{
    const uint64_t now = clock_now(e->clock);
    const double seconds = (double)(now - e->pace.from_ns) / 1e9;
    const bool large = rows >= PACE_ROWS;
    e->pace.from_ns = now;
    if (seconds <= 0 || (e->pace.large && !large)) return;
    const double older = large && !e->pace.large ? 0 : PACE_KEEPS / (PACE_KEEPS + rows);
    e->pace.rows = older * e->pace.rows + rows;
    e->pace.seconds = older * e->pace.seconds + seconds;
    e->pace.large = large;
}

/* ---- who is to blame ---- */

void rows_came_home(struct engine *e, const struct schedule_batch *b)
{
    see_pace(e, b->rows);
    for (uint32_t i = 0; i < b->n_moves; i++) {
        const struct move *m = &b->moves[i];
        struct live *a = e->in_slot[m->slot];
        if (!a || m->position + m->rows - m->guesses <= a->home) continue;
        a->home = m->position + m->rows - m->guesses;
        a->suspected = 0;
    }
}

const struct live *engine_suspect(struct engine *e)
{
    bool some = false;
    for (const struct live *a = e->suspects ? e->first : NULL; a; a = a->after) {
        if (a->suspected < SUSPECTED_MOST || (a->state == LEAVING && a->ending != FINISH_NOT)) continue;
        if (a->state != FULL) return a;
        some = true; /* its listener may take as long as it likes */
    }
    e->suspects = some;
    return NULL;
}

static bool has_blamed_picture(const struct engine *e, const struct live *a)
{
    for (size_t i = 0; i < a->spans.n; i++)
        if (pictures_blamed(e->pictures, (uint32_t)a->spans.span[i].picture)) return true;
    return false;
}

static bool is_under_way(const struct engine *e, const struct live *a)
{
    return a->scheduled && schedule_under_way(e->scheduler, a->number);
}

/* Who was cleared a moment ago may still be under way beside the next suspect: then nobody is to blame yet. */
void suspect_all_under_way(struct engine *e)
{
    struct err why;
    uint32_t n = e->pictures ? pictures_suspect(e->pictures) : 0;
    for (const struct live *a = e->first; a; a = a->after) n += is_under_way(e, a);
    fail(&why, E_WORKER, "workers were lost %d times one after the other where this was computed, at last with nothing else under way",
         SUSPECTED_MOST + 1);
    for (struct live *a = e->first; a; a = a->after) {
        a->suspected += is_under_way(e, a) && (a->suspected < SUSPECTED_MOST || n == 1);
        e->suspects |= a->suspected >= SUSPECTED_MOST;
        if (a->suspected > SUSPECTED_MOST || has_blamed_picture(e, a)) live_leave(e, a, FINISH_FAILED, &why);
    }
}

/* ---- all again ---- */

/* In the order in which they came: so they get their slots. */
static void all_wait(struct engine *e)
{
    for (struct live *a = e->first; a; a = a->after) {
        live_begin_again(e, a);
        if (PLANTED(TOKEN_TOLD_AGAIN) && a->made && e->losses) a->made--, a->ids.n--;
        if (a->state == RUNNING || a->state == WAITING || (a->state == LEAVING && a->ending == FINISH_NOT)) live_to(e, a, WAITING);
    }
}

int engine_restart(struct engine *e, struct err *why)
{
    e->lone.rows = 0;
    if (e->pictures) TRY(pictures_restart(e->pictures, why));
    if (!e->pipe->model) return 0;
    all_wait(e);
    beginnings_restart(e);
    kept_forget_all(e);
    engine_close_text(e);
    verify_engine(e);
    return engine_open_text(e, why);
}

/* What all asks lose when the workers forget them. */
static uint64_t rows_lost(const struct engine *e, uint32_t *asks)
{
    uint64_t rows = 0;
    *asks = 0;
    for (const struct live *a = e->first; a; a = a->after) {
        rows += a->sent;
        *asks += a->sent > 0;
    }
    return rows;
}

static void say_loss(const struct engine *e)
{
    char *news = recover_news(e->pipe), lasts[48] = "";
    uint32_t asks;
    const uint64_t rows = rows_lost(e, &asks);
    if (!*news) return;
    const double seconds = e->pace.rows > 0 ? (double)rows * e->pace.seconds / e->pace.rows : 0;
    if (seconds > 0) snprintf(lasts, sizeof lasts, seconds < 0.1 ? ", in less than 0.1 s" : ", in about %.1f s", seconds);
    if (rows) log_warn("%s; %u answer%s %llu rows to compute again%s", news, asks, asks == 1 ? " has" : "s have", (unsigned long long)rows, lasts);
    else log_warn("%s", news);
    *news = 0;
}

/* What the workers knew is gone when an epoch begins; what they will know follows from the plan that makes it whole. */
int engine_keep_up(struct engine *e, struct err *why)
{
    const struct pipeline *p = e->pipe;
    const struct happened h = {.what = EPOCH_BEGAN, .at_ns = clock_now(e->clock), .number = p->epoch};
    say_loss(e);
    if (e->epoch == p->epoch && e->whole == p->whole) return 0;
    if (e->losses != p->losses) suspect_all_under_way(e);
    if (e->epoch != p->epoch) tell_watchers(&e->watchers, &h);
    e->epoch = p->epoch;
    e->losses = p->losses;
    e->whole = p->whole;
    return engine_restart(e, why);
}
