/* coordinator/engine/verify.c — see verify.h. */
#include "coordinator/engine/verify.h"

#include "base/log.h"
#include "coordinator/engine/live.h"

#include <stdlib.h>
#include <string.h>

enum { PASSES = 4, TRIALS_MOST = 64 };
#define HASHES_MOST ((size_t)64 << 20) /* bytes of hashes; more only for one trial */

/* One time that the rows of a trial were computed. */
struct pass {
    int replica;
    uint64_t *hash;   /* [rows, layers]; 0: not computed */
    uint32_t *chance; /* [rows] the bits of the log-probability of the token behind the row, and one; 0: none was told */
};

struct trial {
    struct trial *next;
    struct ids ids;
    struct picture_spans spans; /* held */
    uint32_t judged; /* of the ids, the last */
    uint32_t rows, layers;
    struct pass pass[PASSES];
    int n;             /* passes begun */
    bool running;      /* the last of them is an ask under way */
    uint64_t check[2]; /* of the replicas of the last two passes: the look at weights that was begun after them */
};

/* A micro-batch with rows to be hashed. */
struct sent {
    struct sent *next;
    uint64_t batch;
    int replica;
    uint32_t left; /* workers that have not told theirs */
    uint32_t rows, n;
    struct { struct trial *trial; int pass; uint32_t position, rows; } of[];
};

struct verify {
    uint32_t every, came, users;
    struct verify_counts counts;
    struct trial *trials;
    uint32_t n_trials;
    struct sent *sent;
    int replicas;
    struct replica_check {
        struct engine *engine; /* NULL: gone */
        uint64_t wanted, begun, done; /* looks at weights, by number */
        uint32_t owed;         /* answers to the one under way */
        uint32_t answers;      /* finished since the last */
    } of[PIPELINES_MOST];
};

int verify_join(struct engine *e, struct verify *beside, struct err *why)
{
    if (!e->setup.verify || !e->pipe->model) return 0;
    if (e->pipe->plan.capacity.rows > WIRE_SEGMENTS)
        return fail(why, E_USAGE, "answers can be compared where a micro-batch has %d rows at most, and it has %u", WIRE_SEGMENTS, e->pipe->plan.capacity.rows);
    e->verify = beside ? beside : calloc(1, sizeof *beside);
    if (!e->verify) return fail(why, E_MEMORY, "no memory to compare answers");
    e->verify->every = e->setup.verify;
    e->verify->users++;
    verify_engine(e);
    return 0;
}

/* ---- trials ---- */

static void trial_free(struct trial *t)
{
    for (int i = 0; i < PASSES; i++) free(t->pass[i].hash), free(t->pass[i].chance);
    ids_free(&t->ids);
    picture_spans_free(&t->spans);
    free(t);
}

/* Whoever speaks of it forgets it. */
static void trial_end(struct verify *v, struct trial *t)
{
    struct trial **at = &v->trials;
    while (*at != t) at = &(*at)->next;
    *at = t->next;
    v->n_trials--;
    for (struct sent *s = v->sent; s; s = s->next)
        for (uint32_t i = 0; i < s->n; i++)
            if (s->of[i].trial == t) s->of[i].trial = NULL;
    for (int r = 0; r < v->replicas; r++) {
        struct engine *e = v->of[r].engine;
        for (struct live *a = e ? e->first : NULL; a; a = a->after)
            if (a->trial == t) a->trial = NULL;
        for (; e && t->spans.n; t->spans.n--) pictures_release(e->pictures, (uint32_t)t->spans.span[t->spans.n - 1].picture);
    }
    trial_free(t);
}

static void verify_close(struct verify *v)
{
    while (v->trials) trial_end(v, v->trials);
    for (struct sent *s; (s = v->sent);) v->sent = s->next, free(s);
    free(v);
}

struct verify_counts verify_counts(const struct verify *v)
{
    return v ? v->counts : (struct verify_counts){0};
}

static bool pass_begin(struct trial *t, int replica)
{
    struct pass *p = &t->pass[t->n];
    *p = (struct pass){replica, calloc((size_t)t->rows * t->layers, sizeof *p->hash), calloc(t->rows, sizeof *p->chance)};
    if (!p->hash || !p->chance) return false; /* freed with the trial */
    t->n++;
    return t->running = true;
}

static size_t hash_bytes(const struct trial *t)
{
    return (size_t)t->rows * (t->layers * sizeof *t->pass->hash + sizeof *t->pass->chance);
}

static bool room_for(const struct verify *v, const struct trial *one_more)
{
    size_t bytes = 2 * hash_bytes(one_more);
    for (const struct trial *t = v->trials; t; t = t->next) bytes += 2 * hash_bytes(t);
    return !v->trials || (v->n_trials < TRIALS_MOST && bytes <= HASHES_MOST);
}

static bool hold_pictures(struct engine *e, struct trial *t, const struct live *a)
{
    struct err why;
    for (size_t i = 0; i < a->spans.n; i++) {
        if (picture_spans_add(&t->spans, a->spans.span[i], &why)) return false;
        pictures_hold(e->pictures, (uint32_t)a->spans.span[i].picture);
    }
    return true;
}

void verify_came(struct engine *e, struct live *a)
{
    struct verify *v = e->verify;
    const struct ask *ask = &a->ask;
    if (!v || a->ask.judged || ask->want_scores || ask->drawn) return;
    if (++v->came % v->every) return;
    struct trial *t = calloc(1, sizeof *t);
    if (!t) return;
    t->rows = live_rows_most(e, a);
    t->layers = e->pipe->model->config.layers;
    if (!room_for(v, t)) return trial_free(t);
    t->next = v->trials;
    v->trials = t;
    v->n_trials++;
    if (hold_pictures(e, t, a) && pass_begin(t, e->setup.replica)) a->trial = t;
    else trial_end(v, t);
}

/* ---- what comes home ---- */

static struct part text_part(const struct engine *e, int worker)
{
    return e->pipe->plan.of[worker].part[CHAIN_TEXT];
}

static struct sent *sent_new(const struct engine *e, const struct schedule_batch *b)
{
    struct sent *s = calloc(1, sizeof *s + b->n_moves * sizeof *s->of);
    if (!s) return NULL;
    *s = (struct sent){.next = e->verify->sent, .batch = b->id, .replica = e->setup.replica};
    for (uint32_t i = 0; i < e->route->n; i++) s->left += text_part(e, e->route->worker[i]).end > text_part(e, e->route->worker[i]).first;
    return s;
}

void verify_sent(struct engine *e, const struct schedule_batch *b)
{
    struct sent *s = NULL;
    for (uint32_t i = 0; e->verify && i < b->n_moves; i++) {
        const struct move *m = &b->moves[i];
        struct live *a = e->in_slot[m->slot];
        if (!(e->work.segments[i].flags & SEG_HASHED)) continue;
        if (!s && !(s = sent_new(e, b))) return;
        a->trial->pass[a->trial->n - 1].replica = e->setup.replica; /* it may have been handed over */
        s->of[s->n].trial = a->trial, s->of[s->n].pass = a->trial->n - 1, s->of[s->n].position = m->position, s->of[s->n++].rows = m->rows;
        s->rows += m->rows;
    }
    if (s) e->verify->sent = s;
}

static void put_hashes(const struct sent *s, const struct row_hashes *m)
{
    uint32_t row = 0;
    for (uint32_t i = 0; i < s->n; row += s->of[i++].rows) {
        struct trial *t = s->of[i].trial;
        for (uint32_t r = 0; t && r < s->of[i].rows && s->of[i].position + r < t->rows; r++)
            for (uint32_t k = 0; k < m->layers; k++)
                t->pass[s->of[i].pass].hash[(size_t)(s->of[i].position + r) * t->layers + m->first + k] = row_hash_get(m, row + r, k) | 1;
    }
}

int verify_hashes(struct engine *e, const struct member *from, struct frame *f, struct err *why)
{
    struct verify *v = e->verify;
    struct row_hashes m;
    TRY(row_hashes_read(&m, f, why));
    struct sent **at = v ? &v->sent : NULL;
    while (v && *at && ((*at)->batch != m.batch || (*at)->replica != e->setup.replica)) at = &(*at)->next;
    if (!v || !*at) return fail(why, E_WIRE, "hashes came of micro-batch %llu, where none are awaited", (unsigned long long)m.batch);
    struct sent *s = *at;
    const struct part part = from->worker < 0 ? (struct part){0} : text_part(e, from->worker);
    if (m.first != part.first || m.layers != part.end - part.first || m.rows != s->rows)
        return fail(why, E_WIRE, "hashes came of %u rows and %u layers from %u on, wanted %u rows and layers %u to %u", m.rows, m.layers, m.first,
                    s->rows, part.first, part.end);
    put_hashes(s, &m);
    if (--s->left) return 0;
    *at = s->next;
    free(s);
    return 0;
}

void verify_token(const struct live *a, const struct token *t)
{
    uint32_t bits;
    memcpy(&bits, &t->logprob, sizeof bits);
    if (t->position < a->trial->rows) a->trial->pass[a->trial->n - 1].chance[t->position] = bits | 1u << 31; /* it is never positive */
}

/* ---- again ---- */

/* Passes 1 and 3 by one, 2 and 4 by the other, where there are two; else each by another, as far as there are more. */
static int who_is_next(const struct verify *v, const struct trial *t)
{
    int left[PIPELINES_MOST], n = 0;
    for (int r = 0; r < v->replicas; r++)
        if (v->of[r].engine) left[n++] = r;
    const int first = t->pass[0].replica;
    int k = 0;
    while (left[k] != first) k++; /* it is there: else the trial was forgotten */
    return left[(k + t->n) % n];
}

static bool heard_again(void *user, const struct said *said)
{
    struct engine *e = user;
    const struct live *a = live_find(e, said->number);
    if (a && a->trial) verify_token(a, said->token);
    return true;
}

static void compute_again(struct engine *e, struct trial *t)
{
    struct verify *v = e->verify;
    const int replica = who_is_next(v, t);
    struct engine *by = v->of[replica].engine;
    struct err why;
    const struct ask again = {.ids = t->ids.id, .n = t->ids.n, .spans = t->spans.span, .n_spans = t->spans.n, .judged = t->judged,
                              .salt = (uint64_t)(uintptr_t)t ^ *e->numbers << 40, .only = by->setup.told_when ? replica + 1 : 0, .again = true};
    const struct listener hears = {.token = heard_again, .user = by};
    const int code = pass_begin(t, replica) ? engine_ask(by, &again, &hears, NULL, &why) : fail(&why, E_MEMORY, "no memory for an answer's hashes");
    if (code) log_debug("an answer is not computed again: %s", why.text), trial_end(v, t);
    else by->last->trial = t;
}

void verify_finished(struct engine *e, struct live *a, bool answered)
{
    struct verify *v = e->verify;
    struct trial *t = a->trial;
    a->trial = NULL;
    if (v && answered && !a->ask.judged) v->of[e->setup.replica].answers++;
    if (!t) return;
    struct err why;
    int code = answered && a->made ? 0 : -1;
    for (size_t i = 0; i < a->ids.n && !code && t->n == 1; i++) code = ids_push(&t->ids, a->ids.id[i], &why);
    if (code) return trial_end(v, t);
    if (t->n == 1) t->judged = a->made;
    t->running = false;
    if (t->n == 1) return compute_again(e, t);
    for (int i = 0; i < 2; i++) {
        struct replica_check *c = &v->of[t->pass[t->n - 2 + i].replica];
        t->check[i] = c->wanted = c->begun + 1;
    }
}

/* ---- who is wrong ---- */

/* The first layer after which some row is not the same; `layers` where only what was made of the last one is not; UINT32_MAX: all is equal. */
static uint32_t first_difference(const struct trial *t, int one, int other, uint32_t *row)
{
    const struct pass *a = &t->pass[one], *b = &t->pass[other];
    for (uint32_t layer = 0; layer < t->layers; layer++)
        for (*row = 0; *row < t->rows; ++*row) {
            const size_t at = (size_t)*row * t->layers + layer;
            if (a->hash[at] && b->hash[at] && a->hash[at] != b->hash[at]) return layer;
        }
    for (*row = 0; *row < t->rows; ++*row)
        if (a->chance[*row] && b->chance[*row] && a->chance[*row] != b->chance[*row]) return t->layers;
    return UINT32_MAX;
}

/* NULL: several have parts of the head, and it is one of these. */
static struct member *who_computes(const struct engine *e, uint32_t layer)
{
    struct member *found = NULL;
    const bool head = layer == e->pipe->model->config.layers;
    for (int w = 0; w < e->pipe->workers; w++) {
        const struct part part = text_part(e, w);
        if (head ? part.back >= part.back_end : layer < part.first || layer >= part.end) continue;
        if (found) return NULL;
        found = e->pipe->crew[w];
    }
    return found;
}

static void blame(struct verify *v, struct trial *t, int pass, uint32_t layer, uint32_t row)
{
    struct engine *e = v->of[t->pass[pass].replica].engine;
    struct member *m = who_computes(e, layer);
    struct err why;
    char what[32] = "the head";
    if (layer < t->layers) snprintf(what, sizeof what, "layer %u", layer);
    v->counts.wrong++;
    fail(&why, E_WIRE, "%s computed %s of row %u of an answer otherwise than when it was computed again", m ? m->name : "a worker", what, row);
    if (m) roster_lose(e->pipe->roster, m, &why);
    else log_warn("%s", why.text);
}

/* Two replicas differ, and each did it twice; or a third one decides. */
static void judge(struct verify *v, struct trial *t)
{
    uint32_t row;
    const uint32_t layer = first_difference(t, 0, 1, &row);
    uint32_t ignored;
    if (t->pass[0].replica == t->pass[1].replica) blame(v, t, 1, layer, row);
    else if (t->n == 3) blame(v, t, first_difference(t, 0, 2, &ignored) == UINT32_MAX ? 1 : 0, layer, row);
    else if (first_difference(t, 0, 2, &ignored) != UINT32_MAX) blame(v, t, 0, layer, row);
    else if (first_difference(t, 1, 3, &ignored) != UINT32_MAX) blame(v, t, 1, layer, row);
    else log_warn("replicas %d and %d differ from layer %u on, each time in the same way: one of them computes wrongly, and a third would tell which",
                  t->pass[0].replica + 1, t->pass[1].replica + 1, layer);
}

static void conclude(struct engine *e, struct trial *t)
{
    struct verify *v = e->verify;
    uint32_t row;
    const bool equal = first_difference(t, 0, 1, &row) == UINT32_MAX;
    int left = 0;
    for (int r = 0; r < v->replicas; r++) left += v->of[r].engine != NULL;
    const int wanted = equal || t->pass[0].replica == t->pass[1].replica ? 2 : left > 2 ? 3 : 4;
    if (t->n < wanted) return compute_again(e, t);
    v->counts.answers++;
    if (!equal) judge(v, t);
    trial_end(v, t);
}

static bool is_known(const struct verify *v, const struct trial *t)
{
    for (int i = 0; i < 2; i++)
        if (v->of[t->pass[t->n - 2 + i].replica].done < t->check[i]) return false;
    return true;
}

/* ---- weights ---- */

int verify_checked(struct engine *e, const struct member *from, struct frame *f, struct err *why)
{
    struct verify *v = e->verify;
    struct replica_check *c = v ? &v->of[e->setup.replica] : NULL;
    struct check m;
    TRY(check_read(&m, f, why));
    if (!c || !c->owed) return v ? 0 : fail(why, E_WIRE, "%s came, and nobody asked for it", message_name(f->head.type));
    if (m.damaged) {
        v->counts.wrong++;
        return fail(why, E_WIRE, "%s: %s is not in its memory as it was loaded; of %u answers since its memory was looked at last some may be wrong",
                    from->name, m.text, c->answers);
    }
    if (--c->owed) return 0;
    c->done = c->begun;
    c->answers = 0;
    v->counts.checks++;
    return 0;
}

static int send_checks(struct engine *e, struct replica_check *c, struct err *why)
{
    c->begun++;
    for (int w = 0; w < e->pipe->workers; w++) {
        struct frame *f = NULL;
        if (!pipeline_computes(e->pipe, w)) continue;
        TRY(check_write(&f, &(struct check){0}, why));
        TRY(pipeline_send(e->pipe, w, &f, why));
        c->owed++;
    }
    return 0;
}

int verify_step(struct engine *e, struct err *why)
{
    struct verify *v = e->verify;
    if (!v) return 0;
    struct replica_check *c = &v->of[e->setup.replica];
    if (!c->owed && c->wanted > c->begun) TRY(send_checks(e, c, why));
    for (struct trial *t = v->trials, *next; t; t = next) {
        next = t->next;
        if (!t->running && t->pass[t->n - 1].replica == e->setup.replica && is_known(v, t)) conclude(e, t);
    }
    return 0;
}

/* ---- engines ---- */

/* What is under way there will never be told. */
static void forget(struct verify *v, int replica, bool asks_too)
{
    for (struct sent **at = &v->sent, *s; (s = *at);) {
        if (s->replica != replica) at = &s->next;
        else *at = s->next, free(s);
    }
    for (struct trial *t = v->trials, *next; t; t = next) {
        bool of_it = false;
        next = t->next;
        for (int i = 0; i < t->n; i++) of_it |= t->pass[i].replica == replica;
        if (of_it && (asks_too || !t->running)) trial_end(v, t);
    }
    v->of[replica].owed = 0;
    v->of[replica].done = v->of[replica].wanted = v->of[replica].begun;
}

void verify_engine(struct engine *e)
{
    struct verify *v = e->verify;
    if (!v) return;
    struct replica_check *c = &v->of[e->setup.replica];
    if (e->setup.replica >= v->replicas) v->replicas = e->setup.replica + 1;
    forget(v, e->setup.replica, false);
    c->engine = e;
    c->wanted = c->begun + 1;
}

void verify_gone(struct engine *e)
{
    if (!e->verify) return;
    forget(e->verify, e->setup.replica, true);
    e->verify->of[e->setup.replica].engine = NULL;
}

void verify_leave(struct engine *e)
{
    verify_gone(e);
    if (e->verify && !--e->verify->users) verify_close(e->verify);
    e->verify = NULL;
}

uint32_t verify_pending(const struct engine *e)
{
    const struct verify *v = e->verify;
    uint32_t n = 0;
    if (!v || !v->of[e->setup.replica].engine) return 0;
    for (const struct trial *t = v->trials; t; t = t->next) n += !t->running && t->pass[t->n - 1].replica == e->setup.replica;
    for (const struct sent *s = v->sent; s; s = s->next) n += s->replica == e->setup.replica;
    return n;
}
