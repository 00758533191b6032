/* tests/support/leader.c — see leader.h.
 *
 * What must hold: a line is told finished once in a life, and done once; every token is the golden one, in order, none twice; epochs rise; when all is answered no slot and no page is held by anybody; nobody is found to compute wrongly but who does;
 * a run, or a replica, ends for no other reason than that workers serve somebody else, or that the disk is full. */
#include "tests/support/leader.h"

#include "coordinator/cluster/recover.h"
#include "partition/file/gguf_hashes.h"
#include "tests/support/leftovers.h"
#include "tests/support/world.h"
#include "transport/links/faulty.h"
#include "transport/links/port.h"

#include <errno.h>
#include <stdlib.h>

#define MS 1000000ull

static void note(const struct leader *l, const char *what, uint64_t a, uint64_t b)
{
    world_note(l->world, "coordinator", l->index + 1, what, a, b);
}

static uint64_t now_ns(const struct leader *l)
{
    return clock_now(sim_clock(l->world->sim));
}

static uint64_t leader_now(void *user)
{
    const struct leader *l = user;
    return now_ns(l) + l->stepped_ns;
}

int leader_broken(struct leader *l, struct err *why)
{
    if (!l->world->obedience.broken.code) l->world->obedience.broken = *why;
    return l->world->obedience.broken.code = why->code = E_INTERNAL;
}

/* ---- the job ---- */

static uint32_t row_id(const struct world_picture *p, uint32_t row)
{
    return HASH_PICTURE | (uint32_t)hash_fold(hash_fold(p->pixels.low, p->pixels.high), row);
}

void line_golden(struct line *a, const struct world *w)
{
    uint64_t history = HISTORY_EMPTY, said = 0, seen = 0;
    uint32_t position = 0, last = a->id[a->n - 1];
    for (const struct picture_span *s = a->span; position < a->n; position++) {
        const bool shows = s < a->span + a->n_spans && position >= s->first;
        const struct world_picture *p = shows ? &w->things->picture[s->picture] : NULL;
        const uint32_t row = shows ? position - (uint32_t)s->first : 0;
        history = history_after(history, p ? row_id(p, row) : a->id[position]);
        if (p) seen = hash_fold(seen, p->row[row]);
        s += shows && row + 1 == s->n;
    }
    a->golden_end = FINISH_LENGTH;
    a->n_golden = 0;
    for (; a->n_golden < a->most; position++) {
        if (a->n + a->n_golden > a->leader->wanted.context) {
            a->golden_end = FINISH_CONTEXT;
            return;
        }
        const uint32_t id = hash_token(&w->model->config, w->obedience.counts, history, seen, last, a->key + said, position - 1);
        if (id == HASH_EOS) {
            a->golden_end = FINISH_STOP;
            return;
        }
        a->golden[a->n_golden++] = last = id;
        said += a->biased ? id + 1 : 0;
        history = history_after(history, id);
    }
}

bool line_is_poisoned(const struct line *a)
{
    bool shows = false;
    for (size_t i = 0; i < a->n_spans; i++) shows |= a->span[i].picture == 0;
    return shows && a->leader->world->poisoned;
}

static void draw_picture(struct line *a, uint32_t which)
{
    a->span[a->n_spans++] = (struct picture_span){.first = a->n, .n = WORLD_PICTURE_ROWS, .picture = which};
    for (int i = 0; i < WORLD_PICTURE_ROWS; i++) a->id[a->n++] = 0;
}

/* Some begin alike, for more than a block of rows, and some of these with a picture. */
static void draw_line(struct line *a, struct leader *l, int i)
{
    struct world *w = l->world;
    const uint32_t context = l->wanted.context, common = dice(&w->dice, 3) ? 0 : 64 + dice(&w->dice, 80);
    *a = (struct line){.leader = l, .key = 1000 + (uint64_t)i, .grumpy = !dice(&w->dice, 8), .biased = !dice(&w->dice, 3)};
    if (l->sees && common) draw_picture(a, w->poisoned + dice(&w->dice, 2));
    for (; a->n < common && a->n + 70 < context; a->n++) a->id[a->n] = a->n < 100 ? 7 : 7 + (uint32_t)i % 2;
    const uint32_t pictures = l->album ? LEADER_PICTURES - 1 : l->sees ? dice(&w->dice, LEADER_PICTURES) : 0;
    for (uint32_t left = pictures; left && a->n + 40 < context; left--) {
        draw_picture(a, dice(&w->dice, w->poisoned ? 6 : WORLD_PICTURES));
        if (dice(&w->dice, 2)) a->id[a->n++] = dice(&w->dice, 256);
    }
    for (uint32_t rows = 1 + dice(&w->dice, 24); rows; rows--, a->n++) a->id[a->n] = dice(&w->dice, 256);
    a->most = 1 + dice(&w->dice, dice(&w->dice, 3) ? 24 : 60);
    if (l->album) a->most = i ? 1 + a->most / 8 : 60;
    line_golden(a, w);
}

int leader_least_workers(const struct leader *l)
{
    return l->world->workers / l->replicas - l->spare;
}

int leader_draw(struct leader *l, struct world *w, int index, struct err *why)
{
    *l = (struct leader){.world = w, .index = index, .lines = 2 + (int)dice(&w->dice, LEADER_LINES - 1)};
    l->clock = (struct clock){.now = leader_now, .user = l};
    l->wanted = (struct capacity){.context = 200 + dice(&w->dice, LEADER_ROWS - 200), .sequences = 1 + dice(&w->dice, 4),
                                  .rows = 2 + dice(&w->dice, 15), .in_flight = dice(&w->dice, 5)};
    l->wanted.blocks = dice(&w->dice, 2) ? 0 : capacity_blocks_least(&l->wanted) + dice(&w->dice, 6);
    l->sees = !dice(&w->dice, 3) || w->poisoned;
    l->album = l->sees && dice(&w->dice, 2);
    if (l->sees) l->wanted.rows += WORLD_PICTURE_ROWS;
    l->replicas = dice(&w->dice, 3) ? 1 : 1 + (int)dice(&w->dice, (uint32_t)(w->workers < LEADER_REPLICAS ? w->workers : LEADER_REPLICAS));
    l->verify = dice(&w->dice, 4) ? 0 : 1 + dice(&w->dice, 3);
    l->spare = w->workers > 1 && l->replicas == 1 && !dice(&w->dice, 3);
    l->fewer = dice(&w->dice, 2);
    l->has_job = dice(&w->dice, 2) && !w->wrong;
    l->slowly = dice(&w->dice, 2);
    l->no_reuse = !dice(&w->dice, 6);
    l->back_ns = index ? now_ns(l) + dice(&w->dice, 4000) * MS : 0;
    for (int i = 0; i < l->lines; i++) draw_line(&l->line[i], l, i);
    return l->has_job ? world_job_draw(&l->job, l, why) : 0;
}

/* ---- listening ---- */

static bool hear(void *user, const struct said *said)
{
    struct line *a = user;
    struct leader *l = a->leader;
    struct err why;
    if (a->grumpy && dice(&l->world->dice, 2)) return false;
    if (l->world->wrong) return true; /* until it is put aside */
    note(l, "hears of line, token", (uint64_t)(a - l->line), said->id);
    if (a->finished || a->said >= a->n_golden || a->golden[a->said] != said->id) {
        fail(&why, E_INTERNAL, "line %td: token %u is %u, a quiet run says %u of %u", a - l->line, a->said, said->id,
             a->said < a->n_golden ? a->golden[a->said] : 0, a->n_golden);
        leader_broken(l, &why);
    }
    a->said++;
    l->tokens++;
    return true;
}

static void hear_end(void *user, const struct ended *ended)
{
    struct line *a = user;
    struct leader *l = a->leader;
    struct err why;
    if (l->closing) return;
    note(l, "hears the end of line, as", (uint64_t)(a - l->line), ended->how);
    if (a->finished++) fail(&why, E_INTERNAL, "line %td is finished twice", a - l->line), leader_broken(l, &why);
    if (line_is_poisoned(a)) {
        if (ended->how != FINISH_FAILED) fail(&why, E_INTERNAL, "line %td is answered, and its picture never was", a - l->line), leader_broken(l, &why);
        a->done = true;
        l->poisoned++;
        return;
    }
    if (ended->how == FINISH_FAILED) {
        a->asked = false; /* with the run, or because it is blamed: leader_step tells */
        return;
    }
    a->done = true;
    if (l->world->wrong || (a->said == a->n_golden && ended->how == a->golden_end)) return;
    fail(&why, E_INTERNAL, "line %td ends as %d after %u tokens, a quiet run as %d after %u", a - l->line, ended->how, a->said,
         a->golden_end, a->n_golden);
    leader_broken(l, &why);
}

/* They stay with the line until it is answered; the spans name them as the engine does. */
static int give_pictures(struct leader *l, struct line *a, struct picture_span spans[LEADER_PICTURES], struct err *why)
{
    struct picture_spans known = {spans, a->n_spans, LEADER_PICTURES};
    a->pictures.side = l->world->things->encoder->config.image;
    for (size_t i = a->pictures.n; i < a->n_spans; i++)
        TRY(prompt_pictures_add(&a->pictures, l->world->things->picture[a->span[i].picture].path, why));
    for (size_t i = 0; i < a->n_spans; i++) spans[i] = a->span[i], spans[i].picture = i;
    return prompt_pictures_give(&a->pictures, fleet_pictures(l->fleet), 0, &known, 0, why);
}

static void take_pictures_back(struct leader *l, struct line *a)
{
    prompt_pictures_take_back(&a->pictures, l->fleet ? fleet_pictures(l->fleet) : NULL);
    prompt_pictures_close(&a->pictures);
    a->pictures = (struct prompt_pictures){0};
}

static void watch(void *user, const struct happened *what)
{
    struct leader *l = user;
    l->pictures += what->what == PICTURE_SENT;
    if (what->what == PICTURE_SENT) note(l, "sends picture, to worker", what->number, what->amount);
}

static int ask(struct leader *l, struct line *a, struct err *why)
{
    const struct listener listener = {hear, NULL, hear_end, a, NULL};
    uint32_t all[2 * LEADER_ROWS];
    memcpy(all, a->id, a->n * sizeof *all);
    memcpy(all + a->n, a->golden, a->said * sizeof *all);
    struct picture_span spans[LEADER_PICTURES];
    TRY(give_pictures(l, a, spans, why));
    const struct ask ask = {.ids = all, .n = a->n + a->said, .spans = spans, .n_spans = a->n_spans, .begun = a->said,
                            .most = a->most - a->said, .key = a->key, .sampling = {.repeat_penalty = 1}, .priority = (int)(a->key % 3), .wish.frequency = a->biased};
    a->asked = true;
    a->finished = 0;
    note(l, "asks line, behind tokens", (uint64_t)(a - l->line), a->said);
    return fleet_ask(l->fleet, &ask, &listener, &a->number, why);
}

/* ---- a life ---- */

static int first_worker(const struct leader *l, int replica)
{
    return l->world->workers * replica / l->replicas;
}

/* Of the workers its share, from `first` on. */
static int begin_pipe(struct leader *l, int replica, int first, int n, struct err *why)
{
    static const char *addresses[WORLD_WORKERS];
    struct world *w = l->world;
    struct pipeline *p = l->pipe[replica] = calloc(1, sizeof *p);
    struct port *port;
    if (!p) return fail(why, E_MEMORY, "no memory for a pipeline");
    p->model = w->things->model;
    p->encoder = l->sees ? w->things->encoder : NULL;
    p->wish = (struct cluster_wish){.patience_seconds = 900, .wait_seconds = 900, .threads = 1, .send_weights = true, .spare = l->spare,
                                    .plan.vision.how = dice(&w->dice, 3)};
    if (l->sees && n - l->spare > 1 && !w->wrong) p->wish.plan.vision_workers = !dice(&w->dice, 4);
    TRY(sim_driven(w->sim, &port, &l->process[replica], why));
    if (l->process[replica] >= WORLD_PROCESSES) return fail(why, E_INTERNAL, "more processes than a world can have");
    w->machine[l->process[replica]] = l->index;
    TRY(roster_open(&p->roster, port, &l->clock, why));
    const struct fault_wish twice = {.what = FAULT_DOUBLE, .skip = dice(&w->dice, 60)};
    if (w->obedience.twice) TRY(port_make_faulty(port, &twice, why));
    for (int i = first; i < first + n; i++) {
        addresses[i] = w->worker[i].address;
        TRY(roster_add(p->roster, addresses[i], why));
    }
    if (l->fewer) p->wish.addresses = addresses + first, p->wish.n_addresses = n;
    p->places = n;
    p->workers = p->workers_wanted = p->workers_named = n - l->spare;
    p->crew = calloc((size_t)n + 1, sizeof *p->crew);
    p->offers = calloc((size_t)n + 1, sizeof *p->offers);
    return recover_open(p, &l->wanted, why);
}

static int begin(struct leader *l, struct err *why)
{
    l->lives++;
    l->closing = false;
    for (int i = 0; i < l->lines; i++) {
        struct line *a = &l->line[i];
        a->asked = a->done = false;
        a->said = 0;
        a->finished = 0;
    }
    note(l, "begins life", l->lives, 0);
    l->state = LEADER_LAUNCHING;
    for (int i = 0; i < l->replicas; i++) {
        l->epoch[i] = 0;
        l->way[i] = 0;
        l->lost[i] = false;
        TRY(begin_pipe(l, i, first_worker(l, i), first_worker(l, i + 1) - first_worker(l, i), why));
    }
    return l->has_job ? world_job_open(&l->job, why) : 0;
}

/* failure: what the workers are told; `dies`: they are told nothing. */
static int put_down(struct leader *l, const struct err *failure, bool dies, struct err *why)
{
    l->closing = true;
    if (l->fleet) {
        const struct engine_totals t = fleet_totals(l->fleet);
        l->rows += t.rows, l->verified += t.verified.answers, l->named += t.verified.wrong;
    }
    for (int i = 0; i < l->replicas && dies; i++)
        if (l->pipe[i]) sim_end(l->world->sim, l->process[i]);
    fleet_close(&l->fleet);
    for (int i = 0; i < l->lines; i++) take_pictures_back(l, &l->line[i]);
    const int code = l->has_job ? world_job_close(&l->job, why) : 0;
    for (int i = 0; i < l->replicas; i++) {
        struct pipeline *p = l->pipe[i];
        if (!p) continue;
        l->losses += p->losses;
        l->epochs += p->epoch;
        if (dies) roster_close(&p->roster);
        for (int c = 0; c < CHAINS; c++) gguf_hashes_close(&p->hashes[c]); /* nothing is kept for other worlds */
        p->model = NULL;
        p->encoder = NULL;
        pipeline_close(&l->pipe[i], failure);
    }
    l->state = LEADER_AWAY;
    l->back_ns = now_ns(l) + (500 + dice(&l->world->dice, 4000)) * MS;
    return code;
}

int leader_killed(struct leader *l, struct err *why)
{
    if (l->state == LEADER_AWAY || l->state == LEADER_OVER) return 0;
    note(l, "is killed", 0, 0);
    l->job.disk.stopped = l->has_job;
    TRY(put_down(l, NULL, true, why));
    if (l->has_job) torn_disk_crash(&l->job.disk);
    return 0;
}

int leader_close(struct leader *l, struct err *why)
{
    const int code = l->state != LEADER_AWAY && l->state != LEADER_OVER ? put_down(l, NULL, true, why) : 0;
    world_job_end(&l->job);
    return code;
}

static int launch_one(struct leader *l, int replica, int ms, struct err *why)
{
    struct pipeline *p = l->pipe[replica];
    struct event e;
    TRY(roster_next(p->roster, &e, ms, why));
    const int code = recover_event(p, &e, why);
    if (l->world->tells && e.why.text[0] && e.kind != EVENT_NONE) printf("                 coordinator %d: %s\n", l->index + 1, e.why.text);
    event_free(&e);
    *recover_news(p) = 0;
    return code;
}

static int launch(struct leader *l, int ms, struct err *why)
{
    bool whole = true;
    for (int i = 0; i < l->replicas; i++) TRY(launch_one(l, i, l->replicas > 1 ? 1 : ms, why));
    for (int i = 0; i < l->replicas; i++) whole &= l->pipe[i]->whole;
    if (!whole) return 0;
    const struct engine_setup setup = {.end_of_turn = -1, .eos = HASH_EOS, .lookup = l->world->obedience.counts,
                                       .no_prefix_reuse = l->no_reuse, .verify = l->verify};
    for (int i = 0; i < l->replicas; i++) note(l, "has workers, pages", (uint64_t)l->pipe[i]->workers, l->pipe[i]->plan.capacity.blocks);
    l->state = LEADER_AT_WORK;
    TRY(fleet_open(&l->fleet, l->pipe, l->replicas, &setup, why));
    fleet_watch(l->fleet, watch, l);
    return l->has_job ? world_job_begin(&l->job, why) : 0;
}

static bool finds_busy(const struct leader *l, const struct err *why)
{
    return why->code == E_LINK && why->about == ABOUT_BUSY && (l->world->leaders > 1 || l->lives > 1); /* or serve a dead one */
}

static bool is_full(const struct leader *l, const struct err *why)
{
    return why->code == E_FILE && l->job.disk.refused && strstr(why->text, strerror(ENOSPC));
}

/* What ended the run may be: that it will be tried again. */
static int run_failed(struct leader *l, int code, struct err *why)
{
    struct world *w = l->world;
    if (l->job.disk.stopped && !w->obedience.broken.code) return leader_killed(l, why);
    const bool busy = finds_busy(l, why);
    const bool no_room = is_full(l, why);
    note(l, busy ? "finds workers busy" : no_room ? "finds the disk full" : "ends its run", (uint64_t)code, 0);
    if (w->tells) printf("                 %s\n", why->text);
    if (w->obedience.broken.code) return *why = w->obedience.broken, why->code;
    struct err unheard_of;
    fail(&unheard_of, E_INTERNAL, "coordinator %d: %.400s", l->index + 1, why->text);
    if (!busy && !no_room) return *why = unheard_of, leader_broken(l, why);
    l->busy += busy;
    const int kept = busy && l->has_job ? world_job_stop(&l->job, &unheard_of) : 0;
    if (kept && l->job.disk.stopped) return leader_killed(l, why);
    if (kept && !is_full(l, &unheard_of)) return *why = unheard_of, leader_broken(l, why);
    return put_down(l, why, false, why);
}

/* Of a job whose lines failed it is to be tried again. */
static int all_done(struct leader *l, struct err *why)
{
    bool over = true;
    if (fleet_is_busy(l->fleet)) return 0;
    for (int i = 0; i < l->replicas; i++)
        if (!l->lost[i] && !nothing_is_left(fleet_engine(l->fleet, i)))
            return fail(why, E_INTERNAL, "a slot or a page is held by nobody"), leader_broken(l, why);
    const bool all_answered = l->sees && !l->has_job && !l->blamed && !l->world->poisoned;
    if (all_answered && pictures_underway(fleet_pictures(l->fleet)))
        return fail(why, E_INTERNAL, "a picture is under way for nobody"), leader_broken(l, why);
    if (l->has_job) TRY(world_job_finish(&l->job, &over, why));
    note(l, over ? "has done its job" : "tries again what failed", 0, 0);
    TRY(put_down(l, NULL, false, why));
    if (over) l->state = LEADER_OVER;
    return 0;
}

/* A line that failed alone was computed where workers were lost three times: it is asked again. */
static int blamed(struct leader *l, struct err *why)
{
    for (int i = 0; i < l->lines; i++) {
        struct line *a = &l->line[i];
        if (a->asked || a->done || !a->finished) continue;
        uint32_t losses = 0;
        for (int k = 0; k < l->replicas; k++) losses += l->pipe[k]->losses + l->lost[k];
        if (losses <= SUSPECTED_MOST || l->world->poisoned) return fail(why, E_INTERNAL, "line %d failed alone", i), leader_broken(l, why);
        take_pictures_back(l, a); /* one of them may be to blame, as long as somebody holds it */
        a->finished = 0;
        l->blamed++;
    }
    return 0;
}

/* The others go on without it. */
static int lost_for_good(struct leader *l, struct err *why)
{
    for (int i = 0; i < l->replicas; i++) {
        const struct err *over = &fleet_engine(l->fleet, i)->over;
        if (l->lost[i] || !fleet_lost(l->fleet, i)) continue;
        if (!finds_busy(l, over)) return fail(why, E_INTERNAL, "replica %d is lost: %.400s", i + 1, over->text), leader_broken(l, why);
        note(l, "does without replica", (uint64_t)i, 0);
        l->lost[i] = true;
        l->alone++;
    }
    return 0;
}

static int ask_lines(struct leader *l, int ms, bool *over, struct err *why)
{
    for (int i = 0; i < l->lines && (!l->album || fleet_unanswered(l->fleet) <= l->wanted.sequences); i++)
        if (!l->line[i].asked && !l->line[i].done && !dice(&l->world->dice, l->slowly ? 40 : 3)) TRY(ask(l, &l->line[i], why));
    TRY(fleet_turn(l->fleet, ms, why));
    TRY(blamed(l, why));
    *over = true;
    for (int i = 0; i < l->lines; i++) {
        *over &= l->line[i].done;
        if (l->line[i].done) take_pictures_back(l, &l->line[i]);
    }
    return 0;
}

static int work(struct leader *l, int ms, struct err *why)
{
    bool over;
    TRY(l->has_job ? world_job_turn(&l->job, ms, &over, why) : ask_lines(l, ms, &over, why));
    TRY(lost_for_good(l, why));
    return over ? all_done(l, why) : 0;
}

/* Here nobody does anything else than what docs/WIRE.md says, so who is found to have is a mistake of whoever found it. */
static int check_members(struct leader *l, int replica, struct err *why)
{
    const struct roster *r = l->pipe[replica]->roster;
    const struct obedient *worker = &l->world->worker[first_worker(l, replica)];
    for (int i = 1; i <= roster_size(r); i++) {
        const struct member *m = roster_member(r, i);
        if (m->standing != LOST || m->lost_by != E_WIRE || worker[m->place].wrong) continue;
        return fail(why, E_INTERNAL, "%s broke the protocol", m->name), leader_broken(l, why);
    }
    return 0;
}

static int check_epoch(struct leader *l, struct err *why)
{
    for (int i = 0; i < l->replicas; i++) {
        const uint32_t before = l->epoch[i], now = l->epoch[i] = l->pipe[i]->epoch;
        TRY(check_members(l, i, why));
        if (now < before) return fail(why, E_INTERNAL, "epoch %u follows %u", now, before), leader_broken(l, why);
        if (now > before) note(l, "begins epoch", now, (uint64_t)i);
        l->moved += l->pipe[i]->way && l->way[i] != l->pipe[i]->way;
        l->way[i] = l->pipe[i]->way;
    }
    return 0;
}

int leader_step(struct leader *l, int ms, struct err *why)
{
    int code = 0;
    if (l->state == LEADER_AWAY && now_ns(l) >= l->back_ns) code = begin(l, why);
    else if (l->state == LEADER_LAUNCHING) code = launch(l, ms, why);
    else if (l->state == LEADER_AT_WORK) code = work(l, ms, why);
    if (!code && l->state != LEADER_AWAY && l->state != LEADER_OVER) code = check_epoch(l, why);
    if (!code && l->world->obedience.broken.code) return *why = l->world->obedience.broken, why->code;
    return code ? run_failed(l, code, why) : 0;
}

bool leader_gave_up(const struct leader *l, uint64_t run, int node)
{
    for (int i = 0; i < l->replicas && !l->stepped_ns; i++) {
        struct roster *r = l->pipe[i] ? l->pipe[i]->roster : NULL;
        if (!r || roster_port(r)->run != run || node < 1 || node > roster_size(r)) continue;
        const struct member *m = roster_member(r, node);
        if (m->standing == LOST && m->silence.silent_ns > 3000 * MS) return true;
    }
    return false;
}
