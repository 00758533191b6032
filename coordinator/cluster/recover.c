/* coordinator/cluster/recover.c — see recover.h. What is done is decided in remedy.c; here it is done. */
#include "coordinator/cluster/recover.h"

#include "base/limits.h"
#include "base/log.h"
#include "coordinator/cluster/joiners.h"
#include "coordinator/cluster/launch.h"
#include "coordinator/cluster/planning.h"
#include "coordinator/cluster/probing.h"
#include "coordinator/cluster/remedy.h"

#include <stdlib.h>
#include <string.h>

#define WAITING_TOLD_NS 1000000000ull       /* after so long */
#define WAITING_TOLD_AGAIN_NS 3000000000ull /* if it is others, or for another reason */
#define RESTARTS_MOST 3                     /* of processes started here, in RESTARTS_NS: who dies again and again is not helped by that */
#define RESTARTS_NS 60000000000ull
#define REFUSED_NS 1000000000ull /* until an address that would not have us is tried again; each time twice as long, five times at most */
#define REFUSED_MOST 5
#define LOOK_NS 50000000ull
#define LET_IN_NS 30000000000ull
#define BORN_NS 15000000000ull /* for a process started here to answer, on however busy a machine: one that was stopped before it did would be waited for in vain */
#define UNANSWERED_MOST 16 /* who said that they are there and did not answer: strangers, or out of reach */

struct place { /* of a worker that was wished for */
    struct member *member; /* who is there now */
    uint64_t call_ns;      /* when another one may be called for, if it is lost */
    uint32_t refused, broke; /* so often it would not have us; it broke the protocol */
};

struct recovery {
    struct capacity wanted;
    struct place *place; /* [places]: those of the pipeline, then of whoever joined */
    int places;
    uint64_t joined_ns;  /* when somebody did last */
    uint64_t planned_ns, looked_ns; /* looked: around */
    uint64_t left_ns;    /* when it was looked last whether others can do without who is to end; 0: not yet */
    int way;             /* in which the layers are to lie, once all that is under way is home */
    bool leaving, handed; /* somebody is to end; this epoch began because of that, or to move layers, and those who were here can do it */
    int empty;           /* places whose member is lost */
    struct probing *probing; /* these two NULL: hearing, or whole */
    struct launch *launch;
    bool only_measure, only_hear, measured;
    bool first, too_few, waits; /* waits: and it was said */
    uint64_t begun_ns, heard_ns, lost_ns; /* the first launch; this epoch's greeting; the first loss since the pipeline was whole */
    uint64_t restarted_ns[RESTARTS_MOST];
    uint32_t restarts;
    struct err loss; /* the last one */
    char news[sizeof((struct err *)0)->text + 100];
    char told[480]; /* who is still waited for, and when that was said */
    uint64_t told_ns;
};

static uint64_t now_ns(const struct pipeline *p)
{
    return clock_now(roster_clock(p->roster));
}

static int begin(struct pipeline *p, const struct capacity *wanted, struct err *why)
{
    struct recovery *r = p->recovery = calloc(1, sizeof *r);
    const int n = p->places;
    if (r) r->place = calloc((size_t)n + 1, sizeof *r->place);
    if (!r || !r->place) return fail(why, E_MEMORY, "no memory to keep track of %d workers", n);
    r->places = n;
    if (wanted) r->wanted = *wanted;
    r->only_measure = !wanted;
    r->first = true;
    r->begun_ns = r->heard_ns = now_ns(p);
    for (int i = 1; i <= roster_size(p->roster); i++) {
        struct member *m = roster_member(p->roster, i);
        if (m->place >= 0 && m->place < n) r->place[m->place].member = m; /* of a pipeline that was made up for a test or a simulation there are none */
    }
    return 0;
}

int recover_open(struct pipeline *p, const struct capacity *wanted, struct err *why)
{
    TRY(begin(p, wanted, why));
    return roster_greet(p->roster, ++p->epoch, why);
}

int recover_hear(struct pipeline *p, struct err *why)
{
    TRY(begin(p, NULL, why));
    p->recovery->only_hear = true;
    return roster_greet(p->roster, p->epoch, why);
}

void recover_close(struct pipeline *p)
{
    struct recovery *r = p->recovery;
    p->recovery = NULL;
    if (!r) return;
    launch_end(&r->launch);
    probing_close(&r->probing);
    free(r->place);
    free(r);
}

bool recover_measured(const struct pipeline *p)
{
    return p->recovery->measured;
}

char *recover_news(struct pipeline *p)
{
    return p->recovery->news;
}

static bool never_answered(const struct member *m)
{
    return !m->counted;
}

/* ---- others in the place of who is lost ---- */

/* When a process may be started again: the oldest of the last few starts must be long enough ago. */
static uint64_t restart_from(const struct recovery *r)
{
    const uint64_t oldest = r->restarted_ns[r->restarts % RESTARTS_MOST];
    return oldest ? oldest + RESTARTS_NS : 0;
}

static int call_one(struct pipeline *p, int place, uint64_t now, struct err *why)
{
    struct recovery *r = p->recovery;
    const char *address = r->place[place].member->address;
    if (p->local) {
        r->restarted_ns[r->restarts++ % RESTARTS_MOST] = now;
        TRY(local_workers_again(p->local, place + 1, &address, why));
    }
    TRY(roster_add(p->roster, address, why));
    struct member *m = roster_member(p->roster, roster_size(p->roster));
    m->place = place;
    r->place[place].member = m;
    r->empty--;
    return roster_greet_one(p->roster, m, why);
}

static int call_for_others(struct pipeline *p, struct err *why)
{
    struct recovery *r = p->recovery;
    const uint64_t now = now_ns(p);
    for (int i = 0; r->empty && i < p->places; i++) {
        const struct place *at = &r->place[i];
        if (at->member->standing != LOST || now < at->call_ns || (p->local && now < restart_from(r))) continue;
        TRY(call_one(p, i, now, why));
    }
    return 0;
}

/* ---- who comes by itself ---- */

static struct place *place_at(const struct recovery *r, const char *address)
{
    for (int i = 0; i < r->places; i++)
        if (!strcmp(r->place[i].member->address, address)) return &r->place[i];
    return NULL;
}

static int unanswered(const struct pipeline *p)
{
    int n = 0;
    for (int i = p->places; i < p->recovery->places; i++) n += p->recovery->place[i].member->standing == INVITED;
    return n;
}

/* A place that was not named. Who cannot be called is not let in, and nobody is troubled. */
static int know_joiner(struct pipeline *p, const struct joiner *j, struct err *why)
{
    if (!j->calls) return pipeline_know(p, j->address, NULL, why);
    return pipeline_know(p, j->address, j->name, why) && pipeline_know(p, j->address, j->host, why) ? why->code : 0;
}

static int call_joiner(struct pipeline *p, const struct joiner *j, struct err *why)
{
    const char *address = j->address, *name = j->calls ? j->name : address;
    struct recovery *r = p->recovery;
    struct err mine;
    struct place *known = place_at(r, address);
    if (known && (known->member->standing != LOST || now_ns(p) < known->call_ns)) return 0;
    if (!known) {
        struct place *more = unanswered(p) < UNANSWERED_MOST ? realloc(r->place, ((size_t)r->places + 1) * sizeof *more) : NULL;
        if (!more) return 0;
        r->place = more;
        known = &more[r->places];
        *known = (struct place){0};
    }
    if (know_joiner(p, j, &mine)) return log_warn("%s cannot join: %s", name, mine.text), 0;
    if (roster_add(p->roster, address, &mine)) return log_debug("%s cannot join: %s", name, mine.text), 0;
    struct member *m = roster_member(p->roster, roster_size(p->roster));
    m->place = (int)(known - r->place);
    if (j->calls) m->reach = REACH_NONE;
    known->member = m;
    if (m->place == r->places) r->places++;
    else if (m->place < p->places) r->empty--;
    return roster_greet_one(p->roster, m, why);
}

static int call_joiners(struct pipeline *p, struct err *why)
{
    struct joiner who;
    while (p->joiners && joiners_next(p->joiners, now_ns(p), &who)) TRY(call_joiner(p, &who, why));
    return 0;
}

/* There may be one more in the plan, or one less. */
static int want(struct pipeline *p, int more, struct err *why)
{
    struct member **crew = realloc(p->crew, (size_t)(p->workers_wanted + 2) * sizeof *crew);
    if (!crew) return fail(why, E_MEMORY, "no memory for another worker");
    p->crew = crew;
    p->workers_wanted += more;
    return 0;
}

/* ---- who is to compute ---- */

static bool is_here(const struct member *m)
{
    return m->standing == GREETED;
}

static int count_here(const struct pipeline *p)
{
    int n = 0;
    for (int i = 1; i <= roster_size(p->roster); i++) n += is_here(roster_member(p->roster, i));
    return n;
}

static bool is_among(struct member *const *crew, int n, const struct member *m)
{
    for (int i = 0; i < n; i++)
        if (crew[i] == m) return true;
    return false;
}

/* Who is here and not among these: of that place if there is one, else the first. */
static struct member *another(const struct pipeline *p, struct member *const *crew, int n, int place)
{
    struct member *found = NULL;
    for (int i = roster_size(p->roster); i > 0; i--) {
        struct member *m = roster_member(p->roster, i);
        if (!is_here(m) || is_among(crew, n, m)) continue;
        if (m->place == place) return m;
        found = m;
    }
    return found;
}

/* Who has layers keeps its place among the others, so that as few as possible travel; somebody new takes the place of who is gone. Before
 * there was a crew it is whoever is here, in the order in which they were asked for. */
static int choose_crew(const struct pipeline *p, struct member **crew)
{
    struct member *taken[WORKERS_MOST];
    int n = 0, n_taken = 0;
    for (int i = 0; i < p->workers; i++)
        if (p->crew[i] && is_here(p->crew[i])) taken[n_taken++] = p->crew[i];
    for (int i = 0; n < p->workers_wanted && (i < p->workers || i < p->workers_wanted); i++) {
        struct member *m = i < p->workers ? p->crew[i] : NULL;
        if (!m || !is_here(m)) {
            m = n_taken < p->workers_wanted ? another(p, taken, n_taken, m ? m->place : i) : NULL;
            if (!m) continue;
            taken[n_taken++] = m;
        }
        crew[n++] = m;
    }
    return n;
}

static void say_crew(const struct pipeline *p)
{
    if (p->recovery->first || p->workers == p->workers_wanted) return;
    log_info("planned anew for %d worker%s, of %d that were wanted", p->workers, p->workers == 1 ? "" : "s", p->workers_wanted);
}

static void set_crew(struct pipeline *p, struct member *const *crew, int n)
{
    for (int i = 1; i <= roster_size(p->roster); i++) roster_member(p->roster, i)->worker = -1;
    for (int i = 0; i < n; i++) {
        p->crew[i] = crew[i];
        if (crew[i]) crew[i]->worker = i;
    }
    p->workers = n;
}

static int plan_and_launch(struct pipeline *p, struct err *why)
{
    p->way = p->recovery->way;
    TRY(planning_with_answers(p, &p->recovery->wanted, why));
    say_crew(p);
    return launch_begin(&p->recovery->launch, p, why);
}

/* Under a wish for a split by hand, and with one worker, nothing follows from speeds but what to expect. */
static uint32_t measuring_ms(struct pipeline *p)
{
    const struct recovery *r = p->recovery;
    if (r->only_measure && !r->only_hear) return PROBING_MS;
    for (int i = 0; i < p->workers; i++)
        if (pipeline_place(p, i) >= p->places) return 0; /* who joined is known by no name under which anything could be kept */
    if (!r->first || !p->wish.probe || !p->model || speeds_known(p) || p->workers < 2 || p->wish.plan.cuts) return 0;
    return r->only_hear && p->wish.replicas == REPLICAS_AUTO ? PROBING_MS : probing_shadow(p); /* how many are best follows from speeds in any case */
}

/* All who live have answered: who they are makes the plan, and the plan says who gets what. */
static int all_joined(struct pipeline *p, struct err *why)
{
    struct recovery *r = p->recovery;
    struct member *crew[WORKERS_MOST], *before[WORKERS_MOST];
    const int n_before = p->workers;
    r->planned_ns = now_ns(p);
    int n = choose_crew(p, crew), code;
    memcpy(before, p->crew, (size_t)n_before * sizeof *before);
    set_crew(p, crew, n);
    const uint32_t measuring = measuring_ms(p);
    if (measuring) return probing_begin(&r->probing, p, measuring, r->only_hear || !r->only_measure, why);
    if (r->only_measure) return r->measured = true, 0;
    while ((code = plan_and_launch(p, why)) == E_USAGE && n > p->workers_named && n > 1) set_crew(p, crew, --n); /* so many are of no use */
    if (code != E_MEMORY || (r->first && !p->joiners) || r->launch) return code;
    r->too_few = true;
    log_debug("with those who are here: %s", why->text);
    set_crew(p, before, n_before);
    return 0;
}

static int take_measures(struct pipeline *p, struct event *e, struct err *why)
{
    struct recovery *r = p->recovery;
    bool done = false;
    if (e->kind == EVENT_FRAME) TRY(probing_frame(r->probing, e->who, e->frame, &done, why));
    if (!done) TRY(probing_wait(r->probing, &done, why));
    if (!done) return 0;
    if (probing_wants_neighbours(r->probing)) { /* by this plan; with what is found out it is made once more */
        if (!r->only_measure) TRY(planning_with_answers(p, &r->wanted, why));
        TRY(probing_neighbours(r->probing, &done, why));
        if (!done) return 0;
    }
    probing_close(&r->probing);
    r->measured = true;
    return r->only_measure ? 0 : plan_and_launch(p, why);
}

/* ---- a loss ---- */

static void tell_loss(struct pipeline *p, const struct member *m)
{
    struct recovery *r = p->recovery;
    const char *what = r->place[m->place].member->standing == LOST ? "who is left goes on"
                       : p->local ? "another process is started in its place" : "its address is invited again";
    snprintf(r->news, sizeof r->news, "%s: %s", r->loss.text, what);
}

#define PAST_MOST 4096 /* stages: a server lives long */

/* For the report. Without memory for it there is less to report. */
static void remember_stages(struct pipeline *p)
{
    struct past_stage *more = p->n_past + (size_t)p->workers > PAST_MOST ? NULL : realloc(p->past, (p->n_past + (size_t)p->workers) * sizeof *more);
    if (!more) return;
    p->past = more;
    for (int i = 0; i < p->workers; i++) {
        const struct member *m = p->crew[i];
        const uint64_t peak = m->report.peak_resident;
        p->past[p->n_past++] = (struct past_stage){p->epoch, m->node, pipeline_planned(p, i), peak > m->ready_bytes ? peak : m->ready_bytes};
    }
}

/* Its place is free for another. */
static int take_out(struct pipeline *p, const struct member *m, const struct err *because, struct err *why)
{
    struct recovery *r = p->recovery;
    if (!p->whole && !r->lost_ns) r->lost_ns = now_ns(p);
    r->first = false;
    r->loss = *because;
    if (m->place < p->places) r->empty++;
    else if (!never_answered(m)) TRY(want(p, -1, why));
    return 0;
}

static int let_go_of_leavers(struct pipeline *p, struct err *why)
{
    for (int i = 1; p->recovery->leaving && i <= roster_size(p->roster); i++) {
        struct member *m = roster_member(p->roster, i);
        struct err because;
        if (!m->leaves || m->standing == LOST) continue;
        fail(&because, E_WORKER, "%s was told to end", m->name);
        roster_let_go(p->roster, m);
        TRY(take_out(p, m, &because, why));
    }
    p->recovery->leaving = p->hands_over = false;
    return 0;
}

/* All greeted anew: what they say from now on is of this epoch. */
static int begin_anew(struct pipeline *p, struct err *why)
{
    struct recovery *r = p->recovery;
    r->handed = p->hands_over;
    r->way = 0;
    TRY(let_go_of_leavers(p, why));
    launch_end(&r->launch);
    probing_close(&r->probing);
    if (p->whole) r->lost_ns = now_ns(p), remember_stages(p), r->first = false;
    planning_crew_back(p);
    p->whole = false;
    p->epoch++;
    r->too_few = r->waits = false;
    r->heard_ns = now_ns(p);
    for (int i = 0; i < p->plan.n_routes; i++)
        TRY(port_route(roster_port(p->roster), pipeline_route(p, &p->plan.route[i]), p->plan.hash, p->epoch, why));
    for (int i = 1; i <= roster_size(p->roster); i++) {
        struct member *m = roster_member(p->roster, i);
        m->asked = m->reports; /* what it was asked is forgotten */
        m->unheeded = 0;
    }
    return roster_greet(p->roster, p->epoch, why);
}

static int take_loss(struct pipeline *p, const struct event *e, struct err *why)
{
    struct recovery *r = p->recovery;
    struct place *at = &r->place[e->who->place];
    const bool broke = e->why.code == E_WIRE, first = r->first && e->who->place < p->places; /* who was named, before anything was lost */
    const bool stranger = never_answered(e->who) && (broke || (e->why.code == E_USAGE && !first));
    const struct situation s = {
        .lost = stranger ? E_LINK : e->why.code,
        .working = e->who->worker >= 0 && (p->whole || r->launch || r->probing), .outlived = port_by_address(roster_port(p->roster)),
        .patience_ns = r->only_measure ? 0 : (uint64_t)p->wish.patience_seconds * 1000000000ull, .first = first,
    };
    const enum remedy remedy = remedy_of(&s);
    if (remedy == REMEDY_GIVE_UP) return *why = e->why, why->code;
    roster_shun(p->roster, e->who);
    TRY(take_out(p, e->who, &e->why, why));
    p->losses += s.working;
    at->broke += broke;
    if (broke || never_answered(e->who)) at->call_ns = now_ns(p) + (REFUSED_NS << (at->refused < REFUSED_MOST ? at->refused++ : REFUSED_MOST));
    TRY(call_for_others(p, why));
    if (s.working || !p->whole) tell_loss(p, e->who);
    else log_debug("%s", e->why.text);
    return remedy == REMEDY_BEGIN_ANEW ? begin_anew(p, why) : 0;
}

/* ---- who cannot reach each other ---- */

/* A measurement is not mended in its middle. */
static int take_apart(struct pipeline *p, const struct event *e, struct err *why)
{
    struct recovery *r = p->recovery;
    const struct member *a = e->who, *b = e->other;
    bool known;
    if (p->whole && !p->wish.patience_seconds) return roster_lose(p->roster, e->other, &e->why), 0;
    TRY(pipeline_note_apart(p, a, b, &known, why));
    if (known || a->worker < 0 || b->worker < 0) return 0;
    snprintf(r->news, sizeof r->news, "%s; what they have for each other passes through here", e->why.text);
    return begin_anew(p, why);
}

/* ---- who is to end ---- */

static int take_leave(struct pipeline *p, const struct event *e, struct err *why)
{
    struct recovery *r = p->recovery;
    if (p->whole && e->who->worker >= 0 && p->wish.patience_seconds) {
        r->leaving = true;
        r->left_ns = 0;
        p->hands_over = false; /* as things were before */
        return 0;
    }
    roster_let_go(p->roster, e->who);
    return take_loss(p, e, why);
}

static int crew_without_leavers(const struct pipeline *p, struct member **crew)
{
    int n = 0;
    for (int i = 0; i < p->workers; i++) {
        struct member *m = p->crew[i]->leaves ? another(p, crew, n, p->crew[i]->place) : p->crew[i];
        if (m) crew[n++] = m;
    }
    return n;
}

/* Whether the others can do without them is looked at again when somebody came. A process of this machine is started again in any case. */
static void look_who_leaves(struct pipeline *p, uint64_t now)
{
    struct recovery *r = p->recovery;
    struct member *crew[WORKERS_MOST];
    const bool first = !r->left_ns;
    if (!p->whole || !r->leaving || p->hands_over || (!first && r->joined_ns <= r->left_ns)) return;
    r->left_ns = now;
    p->hands_over = p->local || planning_is_possible(p, crew, crew_without_leavers(p, crew), &r->wanted);
    if (first && !p->hands_over) log_warn("a worker was told to end, and those who are left are too few without it: it goes on until another one comes, or its time is over");
}

int recover_hand_over(struct pipeline *p, struct err *why)
{
    struct recovery *r = p->recovery;
    const bool leaving = r->leaving;
    const int way = r->way;
    TRY(begin_anew(p, why));
    if (leaving) snprintf(r->news, sizeof r->news, "%s and hands over", r->loss.text);
    else r->way = way;
    return 0;
}

/* ---- layers elsewhere ---- */

int recover_ways(const struct pipeline *p)
{
    return p->whole && !p->recovery->leaving && p->wish.patience_seconds && port_by_address(roster_port(p->roster)) ? planning_ways(p) : 1;
}

bool recover_way(const struct pipeline *p, int way, const struct member **by)
{
    return planning_way(p, &p->recovery->wanted, way, by);
}

void recover_move(struct pipeline *p, int way)
{
    p->recovery->way = way;
    p->hands_over = true;
}

static int take_joined(struct pipeline *p, struct member *m, struct err *why)
{
    struct recovery *r = p->recovery;
    r->place[m->place].refused = r->place[m->place].broke;
    r->too_few = false;
    r->joined_ns = now_ns(p);
    if (m->place >= p->places && !m->counted) TRY(want(p, 1, why));
    m->counted = true;
    if (p->whole) log_info("%s is here, and has no part so far", m->name);
    return 0;
}

static int let_in(struct pipeline *p, bool idle, uint64_t now, struct err *why)
{
    struct recovery *r = p->recovery;
    const bool newer = r->joined_ns > r->planned_ns; /* who was here when the plan was made has no part because that was better */
    if (!p->whole || !newer || p->workers >= p->workers_wanted || !count_here(p) || now - r->joined_ns < SETTLE_NS) return 0;
    if (!idle && now - r->heard_ns < LET_IN_NS) return 0;
    snprintf(r->news, sizeof r->news, "more workers are here than have a part: planned anew with them");
    return begin_anew(p, why);
}

static void look_who_never_came(struct pipeline *p, uint64_t now)
{
    if (!p->local || !port_by_address(roster_port(p->roster))) return;
    for (int i = 1; i <= roster_size(p->roster); i++) {
        struct member *m = roster_member(p->roster, i);
        struct err why;
        if (m->standing != INVITED || m->place >= p->places || silence_ns(&m->silence, now) < BORN_NS) continue;
        fail(&why, E_WORKER, "worker %d (process %d of this machine) has not answered for %llu s since it was started", m->node,
             (int)local_workers_pid(p->local, m->place + 1), BORN_NS / 1000000000ull);
        roster_lose(p->roster, m, &why);
        return;
    }
}

int recover_look_around(struct pipeline *p, bool idle, struct err *why)
{
    struct recovery *r = p->recovery;
    const uint64_t now = now_ns(p);
    if (now - r->looked_ns < LOOK_NS) return 0;
    r->looked_ns = now;
    TRY(call_for_others(p, why));
    TRY(call_joiners(p, why));
    look_who_leaves(p, now);
    look_who_never_came(p, now);
    return p->hands_over ? 0 : let_in(p, idle, now, why);
}

/* ---- time passes ---- */

/* As many as there is room for, and how many more. */
static void name_the_silent(const struct pipeline *p, char *list, size_t room)
{
    int more = 0;
    size_t k = 0;
    for (int i = 1; i <= roster_size(p->roster); i++) {
        const struct member *m = roster_member(p->roster, i);
        const char *reason = port_silence(roster_port(p->roster), i);
        if (m->standing != INVITED) continue;
        const size_t left = more ? 0 : room - k - sizeof " and 1000 more";
        const int n = snprintf(list + k, left, "%s%s%s%s%s", k ? ", " : "", m->name, reason ? " (" : "", reason ? reason : "",
                               reason ? ")" : "");
        if (n < (int)left) k += (size_t)n;
        else more++;
    }
    if (more) snprintf(list + k, room - k, " and %d more", more);
    else list[k] = 0;
}

/* Before anybody was lost: they were asked for by name, and are told of by name. */
static int wait_for_the_silent(struct pipeline *p, struct err *why)
{
    struct recovery *r = p->recovery;
    const uint64_t waited = now_ns(p) - r->begun_ns;
    char list[sizeof r->told];
    name_the_silent(p, list, sizeof list);
    if (waited > (uint64_t)p->wish.wait_seconds * 1000000000ull)
        return *list ? fail_about(why, ABOUT_WAIT, E_LINK, "no answer within %d s from %s", p->wish.wait_seconds, list)
                     : fail_about(why, ABOUT_WAIT, E_LINK, "within %d s no workers joined that can hold the model together", p->wish.wait_seconds);
    if (waited < r->told_ns + (r->told_ns ? WAITING_TOLD_AGAIN_NS : WAITING_TOLD_NS) || !strcmp(r->told, list)) return 0;
    log_info("waiting for %s", list);
    strcpy(r->told, list);
    r->told_ns = waited;
    return 0;
}

static int give_up(const struct pipeline *p, struct err *why)
{
    return fail_about(why, ABOUT_PATIENCE, E_WORKER, "%s, and within %d s nobody came who could take over its part", p->recovery->loss.text,
                      p->wish.patience_seconds);
}

static void say_waits(struct pipeline *p)
{
    struct recovery *r = p->recovery;
    if (!r->waits) log_info("waiting for another worker, up to %d s", p->wish.patience_seconds);
    r->waits = true;
}

static int hear_on(struct pipeline *p, const struct event *e, struct err *why)
{
    struct recovery *r = p->recovery;
    const uint64_t now = now_ns(p);
    const struct situation s = {
        .outlived = port_by_address(roster_port(p->roster)), .patience_ns = (uint64_t)p->wish.patience_seconds * 1000000000ull,
        .wanted = p->workers_wanted, .here = count_here(p), .all = r->places + (p->joiners && !p->places), /* who joins may not be the last */ .awaited = roster_awaits(p->roster), .first = r->first,
        .too_few = r->too_few, .hearing_ns = r->handed && !p->local ? SETTLE_NS : now - r->heard_ns, .lost_ns = r->lost_ns ? now - r->lost_ns : 0,
    };
    switch (remedy_of(&s)) {
    case REMEDY_PLAN: return all_joined(p, why);
    case REMEDY_GIVE_UP: return give_up(p, why);
    case REMEDY_WAIT: say_waits(p); break;
    default: break;
    }
    return r->first && e->kind == EVENT_NONE ? wait_for_the_silent(p, why) : 0;
}

static void all_are_ready(struct pipeline *p)
{
    struct recovery *r = p->recovery;
    const double seconds = (double)(now_ns(p) - (r->lost_ns ? r->lost_ns : r->begun_ns)) / 1e9;
    launch_end(&r->launch);
    p->whole = true;
    if (!p->launch_seconds) p->launch_seconds = (double)(now_ns(p) - r->begun_ns) / 1e9;
    if (!r->lost_ns) return;
    p->lost_seconds += seconds;
    log_info("going on after %.1f s", seconds);
    r->lost_ns = 0;
}

static int deliver_on(struct pipeline *p, struct event *e, struct err *why)
{
    bool done;
    TRY(launch_take(p->recovery->launch, e, why));
    TRY(launch_done(p->recovery->launch, &done, why));
    if (done) all_are_ready(p);
    return 0;
}

static int take_event(struct pipeline *p, struct event *e, struct err *why)
{
    const struct recovery *r = p->recovery;
    switch (e->kind) {
    case EVENT_INTERRUPTED: *why = e->why; return why->code;
    case EVENT_LOST:
    case EVENT_FAULT: TRY(take_loss(p, e, why)); break;
    case EVENT_APART: TRY(take_apart(p, e, why)); break;
    case EVENT_LEAVES: TRY(take_leave(p, e, why)); break;
    case EVENT_JOINED: TRY(take_joined(p, e->who, why)); break;
    case EVENT_FRAME:
        if (e->frame->head.type == M_CHECK || e->frame->head.type == M_ROW_HASHES) break; /* nobody waits for it any more */
        if (!r->launch && !r->probing) return fail(why, E_WIRE, "%s came from %s out of turn", message_name(e->frame->head.type), e->who->name);
        break;
    default: break;
    }
    if (p->whole) return 0;
    TRY(recover_look_around(p, false, why));
    if (r->probing) return take_measures(p, e, why);
    if (!r->launch) TRY(hear_on(p, e, why));
    return r->launch ? deliver_on(p, e, why) : 0;
}

/* What a frame leads to is wrong because of who sent it. */
int recover_event(struct pipeline *p, struct event *e, struct err *why)
{
    struct err mine = {0};
    const int code = take_event(p, e, &mine);
    if (!code) return 0;
    if (e->kind == EVENT_FRAME && code == E_WIRE) return roster_judge(p->roster, e->who, code, &mine, why);
    return *why = mine, code;
}
