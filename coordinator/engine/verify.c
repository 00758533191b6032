/* coordinator/engine/verify.c — see verify.h. */
#include "coordinator/engine/verify.h"

#include "base/log.h"
#include "coordinator/cluster/recover.h"
#include "coordinator/engine/live.h"
#include "coordinator/engine/verdict.h"

#include <stdlib.h>
#include <string.h>

enum { PASSES = 4, TRIALS_MOST = 64 };
#define HASHES_MOST ((size_t)64 << 20) /* bytes of hashes; more only for one trial */
#define SLOWER_MUCH 1.05

/* When and where the rows of a trial were computed, of each time. */
struct pass {
    int replica;
    uint32_t epoch; /* 0: nothing was sent yet */
};

struct trial {
    struct trial *next;
    struct ids ids;
    struct picture_spans spans; /* held */
    uint32_t judged; /* of the ids, the last */
    uint32_t rows, layers;
    struct pass pass[PASSES];
    struct computing of[PASSES];
    int n;             /* passes begun */
    bool running;      /* the last of them is an ask under way */
    bool waits;        /* for its layers to lie elsewhere */
    struct verdict so_far; /* OPEN: of the passes there are */
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
        uint32_t epoch, losses, blamed; /* of the pipeline; blamed: one of its workers in this epoch */
        const struct member **by; /* [layers + 1] who computes in this epoch */
        enum { NOT_KNOWN, CAN_MOVE, CANNOT_MOVE } moves; /* its layers, in this epoch */
        uint64_t move_check;   /* of weights, before layers move; 0: they do not */
        uint64_t idle_ns;      /* since then there is nothing to do */
        int way;               /* in which they are to lie then */
    } of[PIPELINES_MOST];
    const struct member *named[2]; /* of which one computes wrongly */
    bool full;                 /* there was no room for one more trial */
    bool interrupts;           /* layers were moved while there was something to do */
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
    const struct member **by = e->verify->of[e->setup.replica].by = calloc(e->pipe->model->config.layers + 1, sizeof *by);
    if (!by) return fail(why, E_MEMORY, "no memory to compare answers");
    verify_engine(e);
    return 0;
}

/* ---- trials ---- */

static void trial_free(struct trial *t)
{
    for (int i = 0; i < PASSES; i++) free(t->of[i].hash), free(t->of[i].chance), free(t->of[i].by);
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
    struct computing *c = &t->of[t->n];
    t->pass[t->n] = (struct pass){.replica = replica};
    *c = (struct computing){calloc(t->layers + 1, sizeof *c->by), calloc((size_t)t->rows * t->layers, sizeof *c->hash),
                            calloc(t->rows, sizeof *c->chance)};
    if (!c->hash || !c->chance || !c->by) return false; /* freed with the trial */
    t->n++;
    t->waits = false;
    return t->running = true;
}

static size_t hash_bytes(const struct trial *t)
{
    return (size_t)t->rows * (t->layers * sizeof *t->of->hash + sizeof *t->of->chance);
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
    v->full = !room_for(v, t);
    if (v->full) return trial_free(t);
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

/* Who comes back after it was lost is the same machine: the first member of its place stands for all of them. */
static const struct member *machine_of(const struct engine *e, const struct member *m)
{
    const struct roster *r = e->pipe->roster;
    for (int i = 1; m && i < m->node; i++)
        if (roster_member(r, i)->place == m->place) return roster_member(r, i);
    return m;
}

/* NULL: several do. */
static const struct member *who_computes(const struct engine *e, uint32_t layer)
{
    const int w = plan_holder(&e->pipe->plan, layer, e->pipe->model->config.layers);
    return w < 0 ? NULL : machine_of(e, e->pipe->crew[w]);
}

/* All of it goes out in this epoch: after a new beginning once more. It may have been handed over, too. */
static void pass_goes(const struct engine *e, struct trial *t)
{
    struct pass *p = &t->pass[t->n - 1];
    struct computing *c = &t->of[t->n - 1];
    if (p->replica == e->setup.replica && p->epoch == e->pipe->epoch) return;
    *p = (struct pass){e->setup.replica, e->pipe->epoch};
    memset(c->hash, 0, (size_t)t->rows * t->layers * sizeof *c->hash);
    memset(c->chance, 0, t->rows * sizeof *c->chance);
    for (uint32_t layer = 0; layer <= t->layers; layer++) c->by[layer] = who_computes(e, layer);
}

void verify_sent(struct engine *e, const struct schedule_batch *b)
{
    struct sent *s = NULL;
    for (uint32_t i = 0; e->verify && i < b->n_moves; i++) {
        const struct move *m = &b->moves[i];
        struct live *a = e->in_slot[m->slot];
        if (!(e->work.segments[i].flags & SEG_HASHED)) continue;
        if (!s && !(s = sent_new(e, b))) return;
        pass_goes(e, a->trial);
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
                t->of[s->of[i].pass].hash[(size_t)(s->of[i].position + r) * t->layers + m->first + k] = row_hash_get(m, row + r, k) | 1;
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
    if (t->position < a->trial->rows) a->trial->of[a->trial->n - 1].chance[t->position] = bits | 1u << 31; /* it is never positive */
}

/* ---- again ---- */

static int count_left(const struct verify *v)
{
    int n = 0;
    for (int r = 0; r < v->replicas; r++) n += v->of[r].engine != NULL;
    return n;
}

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

/* How much would be found out if these computed it once more; 0: nothing. At first it is whatever moves; of a layer that is open who never
 * computed it is worth more than who did once, and may not do the same again. */
static uint32_t worth(const struct trial *t, const struct member *const *by)
{
    const bool open = t->so_far.is == OPEN;
    uint32_t moved = 0, seen = 0;
    for (uint32_t layer = 0; layer <= t->layers; layer++) moved += by[layer] != t->of[0].by[layer];
    for (int i = 0; open && i < t->n; i++) seen += t->of[i].by[t->so_far.layer] == by[t->so_far.layer];
    return !open ? moved : seen < 2 ? 2 - seen : 0;
}

static bool layers_in(const struct engine *e, int way, const struct member **by)
{
    if (!recover_way(e->pipe, way, by)) return false;
    for (uint32_t i = 0; i <= e->pipe->model->config.layers; i++) by[i] = machine_of(e, by[i]);
    return true;
}

/* The way in which most would be found out about this trial; -1: there is none. In the present one only if nothing is better. */
static int best_way(const struct engine *e, const struct trial *t)
{
    const struct member **by = calloc(t->layers + 1, sizeof *by);
    int best = -1;
    uint32_t most = 0;
    for (int way = 0; by && way < recover_ways(e->pipe); way++) {
        const uint32_t is = layers_in(e, way, by) ? worth(t, by) : 0;
        if (is > most) most = is, best = way;
    }
    free(by);
    return best;
}

static bool can_move(const struct engine *e)
{
    struct replica_check *c = &e->verify->of[e->setup.replica];
    const struct trial as_now = {.layers = e->pipe->model->config.layers, .of[0].by = (const void **)c->by};
    if (c->moves == NOT_KNOWN) c->moves = best_way(e, &as_now) < 0 ? CANNOT_MOVE : CAN_MOVE;
    return c->moves == CAN_MOVE;
}

/* Of a pipeline that is alone. */
static bool waits_for_others(const struct engine *e, const struct trial *t)
{
    return worth(t, e->verify->of[e->setup.replica].by) < (t->so_far.is == OPEN ? 2 : 1) && can_move(e);
}

static void go_on(struct engine *e, struct trial *t)
{
    t->waits = count_left(e->verify) == 1 && waits_for_others(e, t);
    if (!t->waits) compute_again(e, t);
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
    if (t->n == 1) return go_on(e, t);
    for (int i = 0; i < 2; i++) {
        struct replica_check *c = &v->of[t->pass[t->n - 2 + i].replica];
        t->check[i] = c->wanted = c->begun + 1;
    }
}

/* ---- who is wrong ---- */

static void blame(struct verify *v, struct trial *t, const struct verdict *is)
{
    struct engine *e = v->of[t->pass[is->wrong].replica].engine;
    const struct member *m = t->of[is->wrong].by[is->layer]; /* NULL: several have parts of the head, and it is one of these */
    struct err why;
    char what[32] = "the head";
    struct member *now = NULL;
    for (int i = 1; i <= roster_size(e->pipe->roster) && m; i++)
        if (roster_member(e->pipe->roster, i)->place == m->place) now = roster_member(e->pipe->roster, i);
    if (now && now->standing == LOST) return; /* another answer found it, or it is gone anyway */
    if (is->layer < t->layers) snprintf(what, sizeof what, "layer %u", is->layer);
    v->counts.wrong++;
    fail(&why, E_WIRE, "%s computed %s of row %u of an answer otherwise than when it was computed again", now ? now->name : "a worker", what, is->row);
    if (!now) return log_warn("%s", why.text);
    roster_lose(e->pipe->roster, now, &why);
    v->of[t->pass[is->wrong].replica].blamed = e->pipe->epoch;
}

/* Two machines once, however many answers show it. */
static void name_both(struct verify *v, const struct trial *t)
{
    const struct verdict *is = &t->so_far;
    const struct member *m[2] = {t->of[is->other].by[is->layer], t->of[is->wrong].by[is->layer]};
    const bool told = (v->named[0] == m[0] && v->named[1] == m[1]) || (v->named[0] == m[1] && v->named[1] == m[0]);
    memcpy(v->named, m, sizeof m);
    if (!told) log_warn("from layer %u on %s and %s differ, each time in the same way: one of them computes wrongly, and a third would tell which", is->layer,
             m[0] ? m[0]->name : "some", m[1] ? m[1]->name : "others");
}

static void conclude(struct engine *e, struct trial *t)
{
    struct verify *v = e->verify;
    const struct verdict is = t->so_far = verdict_of(t->of, t->n, t->rows, t->layers);
    if (is.is == OPEN && t->n < PASSES) return go_on(e, t);
    v->counts.answers++;
    if (is.is == WRONG) blame(v, t, &is);
    if (is.is == OPEN) name_both(v, t);
    trial_end(v, t);
}

/* Not while somebody is on the way out: what is left of his is forgotten then. */
static bool is_known(const struct verify *v, const struct trial *t)
{
    bool known = true;
    for (int i = 0; i < t->n; i++) {
        const struct replica_check *c = &v->of[t->pass[i].replica];
        known &= c->blamed != c->engine->pipe->epoch && (i < t->n - 2 || c->done >= t->check[i - t->n + 2]);
    }
    return known;
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

/* ---- layers elsewhere ---- */

/* One that is open comes first: somebody computes wrongly. */
static struct trial *who_waits(const struct engine *e, bool *some)
{
    struct trial *found = NULL;
    *some = false;
    for (struct trial *t = e->verify->trials; t; t = t->next) {
        *some |= t->waits || t->n > 1;
        if (t->waits && (!found || found->so_far.is != OPEN || t->so_far.is == OPEN)) found = t;
    }
    return found;
}

/* Nobody is interrupted but where too many wait. */
static bool may_move(const struct engine *e, const struct replica_check *c)
{
    return e->verify->full || (!e->n_live && clock_now(e->clock) - c->idle_ns >= (uint64_t)e->setup.verify_idle_ms * 1000000);
}

static void move(struct engine *e, int way)
{
    struct verify *v = e->verify;
    v->interrupts = e->n_live;
    v->full = false;
    recover_move(e->pipe, way);
}

/* What is of no more use than in the present way is computed there. */
static void cannot_move(struct engine *e, struct trial *t)
{
    if (t->so_far.is != OPEN || worth(t, e->verify->of[e->setup.replica].by)) return compute_again(e, t);
    name_both(e->verify, t);
    trial_end(e->verify, t);
}

/* The weights of the old way are looked at before they go. */
static void move_layers(struct engine *e, struct replica_check *c)
{
    struct verify *v = e->verify;
    const struct pipeline *p = e->pipe;
    bool some;
    struct trial *t = who_waits(e, &some);
    if (e->n_live) c->idle_ns = clock_now(e->clock);
    if (!t) c->move_check = 0, v->full = false;
    if (p->hands_over || count_left(v) > 1 || !may_move(e, c)) return;
    if (t && !c->move_check) {
        c->way = best_way(e, t);
        if (c->way < 0 || c->way == p->way) return cannot_move(e, t);
        c->move_check = c->wanted = c->begun + 1;
    }
    if (t && c->done >= c->move_check) move(e, c->way);
    if (!some && p->way && p->slower > SLOWER_MUCH && (v->interrupts || e->setup.verify_idle_ms)) move(e, 0);
}

static void compute_what_waited(struct engine *e, struct replica_check *c)
{
    for (struct trial *t = e->verify->trials, *next; t; t = next) {
        next = t->next;
        if (t->waits && !waits_for_others(e, t)) compute_again(e, t);
    }
    c->epoch = e->pipe->epoch;
}

int verify_step(struct engine *e, struct err *why)
{
    struct verify *v = e->verify;
    if (!v) return 0;
    struct replica_check *c = &v->of[e->setup.replica];
    if (!c->owed && c->wanted > c->begun) TRY(send_checks(e, c, why));
    if (c->epoch != e->pipe->epoch) compute_what_waited(e, c);
    for (struct trial *t = v->trials, *next; t; t = next) {
        next = t->next;
        if (!t->running && !t->waits && t->pass[t->n - 1].replica == e->setup.replica && is_known(v, t)) conclude(e, t);
    }
    move_layers(e, c);
    return 0;
}

/* Layers that stay in the way that moves most: in `where`, or nothing. */
static void list_what_stays(const struct engine *e, char *where, size_t room)
{
    const struct member **by = e->verify->of[e->setup.replica].by, **there;
    const uint32_t layers = e->pipe->model->config.layers;
    const struct trial as_now = {.layers = layers, .of[0].by = (const void **)by};
    uint32_t first = layers, end = 0;
    *where = 0;
    there = calloc(layers + 1, sizeof *there);
    if (!there || !layers_in(e, best_way(e, &as_now), there)) return free(there);
    for (uint32_t i = 0; i < layers; i++)
        if (there[i] == by[i]) first = i < first ? i : first, end = i + 1;
    const bool head = there[layers] == by[layers];
    if (first < end) snprintf(where, room, "; of layers %u to %u%s some stay where they are", first, end - 1, head ? " and the head" : "");
    else if (head) snprintf(where, room, "; the head stays where it is");
    free(there);
}

void verify_say_how(const struct engine *e)
{
    char but[120];
    if (!e->verify || !e->scheduler) return;
    if (!can_move(e)) {
        log_info("there is one copy of the model, and its layers cannot move to other workers, so answers are computed again by who computed them: "
                 "only faults that pass show, and damaged weights");
        return;
    }
    list_what_stays(e, but, sizeof but);
    log_info("layers move to other workers, when nothing else is to be done, and these compute answers again%s", but);
}

/* ---- engines ---- */

/* What is under way there will never be told. After a loss nobody knows who is right. */
static void forget(struct verify *v, int replica, bool asks_too, bool lost)
{
    for (struct sent **at = &v->sent, *s; (s = *at);) {
        if (s->replica != replica) at = &s->next;
        else *at = s->next, free(s);
    }
    for (struct trial *t = v->trials, *next; t; t = next) {
        bool of_it = false;
        next = t->next;
        for (int i = 0; i < t->n; i++) of_it |= t->pass[i].replica == replica;
        if (of_it && (asks_too || (lost && !t->running))) trial_end(v, t);
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
    forget(v, e->setup.replica, false, c->losses != e->pipe->losses);
    c->engine = e;
    c->losses = e->pipe->losses;
    c->wanted = c->begun + 1;
    c->move_check = 0;
    c->moves = NOT_KNOWN;
    for (uint32_t layer = 0; layer <= e->pipe->model->config.layers && e->pipe->whole; layer++) c->by[layer] = who_computes(e, layer);
}

void verify_gone(struct engine *e)
{
    if (!e->verify) return;
    forget(e->verify, e->setup.replica, true, true);
    e->verify->of[e->setup.replica].engine = NULL;
}

void verify_leave(struct engine *e)
{
    struct verify *v = e->verify;
    verify_gone(e);
    if (v) free(v->of[e->setup.replica].by), v->of[e->setup.replica].by = NULL;
    if (v && !--v->users) verify_close(v);
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
