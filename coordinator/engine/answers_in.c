/* coordinator/engine/answers_in.c — what comes back from the workers: tokens, scores, rows of pictures. A RESULT frees its micro-batch
 * and gives its sequences their next row.
 *
 * What a worker sends that was not asked for is its fault, and the worker is lost. What goes wrong with one ask (no memory for its
 * next token, a listener that cannot take its scores) is that ask's end and nobody else's. */
#include "coordinator/engine/live.h"

#include <math.h>

/* Tokens and scores of sequences that are leaving are not wanted any more, but they were asked for. */
static struct live *expected(const struct engine *e, uint32_t slot)
{
    return slot < e->slots ? e->in_slot[slot] : NULL;
}

static bool ends_answer(const struct engine *e, uint32_t id)
{
    return (int32_t)id == e->setup.end_of_turn || (int32_t)id == e->setup.eos;
}

/* ---- tokens ---- */

/* Tokens in hand are not wanted: the slot holds what it would hold if they had never been guessed. */
static void drop_in_hand(struct engine *e, struct live *a)
{
    if (a->in_hand) guesses_refuse(e, a, (uint32_t)a->ids.n - 1);
    a->in_hand = 0;
}

static bool answered(struct engine *e, struct live *a, enum finish how)
{
    drop_in_hand(e, a);
    live_answered(e, a, how);
    return false;
}

/* Its last token was taken by whom it concerns: what next? True: it waits for the token in hand. */
static bool go_on(struct engine *e, struct live *a)
{
    struct err why;
    if (a->state == FULL) live_to(e, a, a->scheduled ? RUNNING : WAITING);
    if (a->made >= a->ask.most) return answered(e, a, FINISH_LENGTH);
    if (a->ids.n > e->pipe->plan.capacity.context) return answered(e, a, FINISH_CONTEXT);
    if (a->in_hand) return true;
    if (a->scheduled && schedule_more(e->scheduler, a->number, 1, NULL, 0, &why)) live_leave(e, a, FINISH_FAILED, &why);
    else if (a->scheduled) guesses_offer(e, a);
    return false;
}

bool answer_offer_again(struct engine *e, struct live *a)
{
    const struct said said = {a->number, a->last.id, &a->last};
    if (a->listener.token && !a->listener.token(a->listener.user, &said)) {
        if (a->state == LEAVING) return false; /* a listener may cancel what it is told of */
        drop_in_hand(e, a);
        live_to(e, a, FULL);
        return false;
    }
    return a->state != LEAVING && go_on(e, a);
}

static void first_token(struct engine *e, struct live *a)
{
    a->first_ns = clock_now(e->clock);
    if (!a->ask.again) e->totals.last_first_ns = a->first_ns;
    engine_tell(e, ASK_SPOKE, a, 1);
}

/* `in_hand`: so many came behind it that are right if it is. True: the next of them is wanted. */
static bool token_came(struct engine *e, struct live *a, const struct token *t, uint32_t in_hand)
{
    struct err why;
    if (t->id == WIRE_NO_WORD) {
        fail(&why, E_USAGE, "every word is forbidden at position %u", t->position + 1);
        return live_leave(e, a, FINISH_FAILED, &why), false;
    }
    if (!a->first_ns) first_token(e, a);
    if (a->ask.want_hash && !a->ask.want_scores) a->fingerprint = hash_fold(a->fingerprint, t->hash);
    a->made++;
    if (!a->ask.again) e->totals.made++;
    if (a->trial && !a->ask.again) verify_token(a, t);
    a->last = *t;
    a->in_hand = in_hand;
    if (ids_push(&a->ids, t->id, &why) || biases_say(&a->biases, t->id, &why)) return live_leave(e, a, FINISH_FAILED, &why), false;
    if (!a->ask.run_on && ends_answer(e, t->id)) return answered(e, a, FINISH_STOP);
    return answer_offer_again(e, a);
}

static int check_logprobs(const struct token *t, struct err *why)
{
    bool finite = isfinite(t->logprob);
    for (uint32_t i = 0; i < t->n_alternatives; i++) finite &= isfinite(t->alternatives[i].logprob) != 0;
    return finite ? 0 : fail(why, E_WIRE, "the token for slot %u at position %u came with a log-probability that is no number", t->slot, t->position);
}

static int not_awaited(const struct token *t, struct err *why)
{
    return fail(why, E_WIRE, "a token came for slot %u at position %u, where none is awaited", t->slot, t->position);
}

/* Rows of one ask come home in the order in which they were sent: who tells the token of the last ones first has computed it of nothing. */
static int check_order(const struct engine *e, const struct live *a, const struct token *t, struct err *why)
{
    return schedule_under_way(e->scheduler, a->number) ? fail(why, E_WIRE, "a token came for slot %u at position %u before the rows ahead of it", t->slot, t->position) : 0;
}

/* Of a token after row `position` of a slot. */
static int check_token(const struct engine *e, const struct token *t, uint32_t slot, uint32_t position, struct err *why)
{
    const uint32_t words = e->pipe->model->embedding.rows;
    if (t->slot != slot || t->position != position) return not_awaited(t, why);
    if (t->id >= words && t->id != WIRE_NO_WORD) return fail(why, E_WIRE, "a token came with the id %u, the vocabulary has %u", t->id, words);
    return check_logprobs(t, why);
}

/* t: the token of the row that was known, then one for each guess. */
static int take_tokens(struct engine *e, const struct move *m, const struct token *t, struct err *why)
{
    struct live *a = expected(e, m->slot);
    if (a && a->state == LEAVING) return 0;
    const uint32_t known = m->position + m->rows - m->guesses;
    if (!a || a->ids.n != known || a->sent != m->position + m->rows) return not_awaited(t, why);
    TRY(check_order(e, a, t, why));
    for (uint32_t i = 0; i <= m->guesses; i++) TRY(check_token(e, &t[i], m->slot, known - 1 + i, why));
    const uint32_t n = m->guesses ? guesses_right(e, a, m, t) : 1;
    for (uint32_t i = 0; i < n && token_came(e, a, &t[i], n - 1 - i); i++) continue;
    return 0;
}

/* t[0..n): of the move's last rows. The last of the prompt is a token like any other; those before only have to be told. */
static int take_judged(struct engine *e, const struct move *m, const struct token *t, uint32_t n, struct err *why)
{
    const uint32_t first = m->position + m->rows - n;
    for (uint32_t i = 0; i < n; i++) {
        struct live *a = expected(e, m->slot);
        if (!a || a->state == LEAVING) return 0;
        TRY(check_token(e, &t[i], m->slot, first + i, why));
        if (t[i].id != judged_at(a, first + i)) return not_awaited(&t[i], why);
        if (first + i < a->judged_seen) continue; /* of an ask that had to begin again */
        a->judged_seen++;
        const struct said said = {a->number, t[i].id, &t[i]};
        if (first + i + 1 == a->ids.n) TRY(check_order(e, a, &t[i], why));
        if (first + i + 1 == a->ids.n) token_came(e, a, &t[i], 0);
        else if (a->listener.token) a->listener.token(a->listener.user, &said);
    }
    return 0;
}

/* A token that is missing would be waited for without end. */
static int check_count(const struct engine *e, const struct result *m, struct err *why)
{
    const struct schedule_batch *b = schedule_find(e->scheduler, m->batch);
    uint32_t wanted = 0;
    for (uint32_t i = 0; b && i < b->n_moves; i++) wanted += rows_wanted(expected(e, b->moves[i].slot), &b->moves[i]);
    if (b && m->n_tokens != wanted)
        return fail(why, E_WIRE, "%u tokens came back with micro-batch %llu, which wants %u", m->n_tokens,
                    (unsigned long long)m->batch, wanted);
    return 0;
}

/* e->result is there. */
static int took_result(struct engine *e, struct err *why)
{
    const struct happened back = {.what = BATCH_BACK, .at_ns = clock_now(e->clock), .number = e->result.batch};
    const struct schedule_batch *b = schedule_find(e->scheduler, e->result.batch);
    const struct token *t = e->result.tokens;
    TRY(check_count(e, &e->result, why));
    TRY(schedule_done(e->scheduler, e->result.batch, why));
    tell_watchers(&e->watchers, &back);
    guesses_back(e, e->result.batch);
    rows_came_home(e, b);
    for (const struct move *m = b->moves; m < b->moves + b->n_moves; m++) {
        const struct live *a = expected(e, m->slot);
        const uint32_t n = rows_wanted(a, m);
        if (a && a->ask.judged) TRY(take_judged(e, m, t, n, why));
        else if (m->want_token) TRY(take_tokens(e, m, t, why));
        t += n;
    }
    return 0;
}

static int take_result(struct engine *e, struct frame *f, struct err *why)
{
    TRY(result_read(&e->result, f, why));
    return took_result(e, why);
}

static int take_scored(struct engine *e, int worker, struct frame *f, struct err *why)
{
    bool done;
    TRY(divided_head_take(e->head, worker, f, &done, &e->result, why));
    return done ? took_result(e, why) : 0;
}

/* ---- scores ---- */

int answer_scores(void *engine, const struct logits *m, struct err *why)
{
    struct engine *e = engine;
    struct err mine;
    struct live *a = expected(e, m->slot);
    if (a && a->state == LEAVING) return 0;
    if (!a || !a->ask.want_scores || m->position > a->scores_seen || m->first || m->n != e->pipe->model->config.vocab)
        return fail(why, E_WIRE, "%u scores came for slot %u at position %u, where none are awaited", m->n, m->slot, m->position);
    if (m->position < a->scores_seen) return 0; /* of an ask that had to begin again */
    a->scores_seen++;
    a->fingerprint = hash_fold(a->fingerprint, m->hash);
    if (a->listener.scores && a->listener.scores(a->listener.user, m->position, m->scores, m->n, &mine))
        live_leave(e, a, FINISH_FAILED, &mine);
    return 0;
}

static int take_scores(struct engine *e, int worker, struct frame *f, struct err *why)
{
    struct logits m;
    if (e->head) {
        e->totals.home_bytes += f->head.body_bytes;
        return divided_head_scores(e->head, worker, f, why);
    }
    TRY(logits_read(&m, f, why));
    return answer_scores(e, &m, why);
}

int answer_take(struct engine *e, const struct member *from, struct frame *f, struct err *why)
{
    const bool last = e->route && from->worker == route_last(e->route);
    switch (f->head.type) {
    case M_PICTURE_ROWS:
        if (e->pictures) return pictures_take(e->pictures, from->worker, f, why);
        break;
    case M_SCORE:
        if (e->head && last) return divided_head_ask(e->head, f, why);
        break;
    case M_SCORED:
        if (e->head) return take_scored(e, from->worker, f, why);
        break;
    case M_ROW_HASHES: return verify_hashes(e, from, f, why);
    case M_CHECK: return verify_checked(e, from, f, why);
    case M_RESULT:
        if (last) return take_result(e, f, why);
        break;
    case M_LOGITS:
        if (last || e->head) return take_scores(e, from->worker, f, why);
        break;
    default: break;
    }
    return fail(why, E_WIRE, "%s came from %s in the middle of a run", message_name(f->head.type), from->name);
}
