/* worker/aside.c — what takes long is done aside, by a thread of its own, while this one keeps the port: it never computes, loads, maps
 * or gives memory back, so whoever asks for a sign of life gets it within moments.
 *
 *   port thread (run_aside)                                       the thread aside (run_await, run_look, run_errand)
 *   errands first ◄────────────────────────────────────────────── what only this thread may do: send, open a route
 *   port_recv ──► PING ─► PONG
 *             ──► STOP, FAULT, a later GREET, the coordinator lost: over ──► its next call fails with that
 *             ──► anything else ────────────────────────────────► in-tray
 *
 * The one who is aside is waited for in any case, also when all is over: what it has in hand is the run's. The in-tray is bounded by what
 * an honest coordinator has under way at once. */
#include "worker/run.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdlib.h>
#include <sys/resource.h>

int run_expect(const struct frame *f, unsigned type, struct err *why)
{
    if (f->head.type == type) return 0;
    return fail(why, E_WIRE, "%s came where %s was expected", message_name(f->head.type), message_name(type));
}

/* ---- the thread aside ---- */

/* Under the lock. */
static int why_over(const struct aside *a, struct err *why)
{
    if (a->over) *why = a->why;
    return a->over;
}

/* Under the lock. Everything it gets done shows as a step. */
static struct frame *next_in(struct run *r)
{
    struct aside *a = &r->aside;
    if (!a->n) return NULL;
    struct frame *f = a->in[a->first];
    a->first = (a->first + 1) % ASIDE_IN;
    a->n--;
    return f;
}

static int look(struct run *r, bool wait, struct frame **out, struct err *why)
{
    struct aside *a = &r->aside;
    atomic_fetch_add(&r->steps, 1);
    pthread_mutex_lock(&a->lock);
    a->idle = wait;
    while (wait && !a->over && !a->n) pthread_cond_wait(&a->changed, &a->lock);
    a->idle = false;
    const int code = why_over(a, why);
    *out = code ? NULL : next_in(r);
    pthread_mutex_unlock(&a->lock);
    return code;
}

int run_look(struct run *r, struct frame **out, struct err *why)
{
    return look(r, false, out, why);
}

int run_await(struct run *r, struct frame **out, struct err *why)
{
    return look(r, true, out, why);
}

int run_errand(struct run *r, errand *what, void *with, struct err *why)
{
    struct aside *a = &r->aside;
    pthread_mutex_lock(&a->lock);
    int code = why_over(a, why);
    if (!code) {
        a->errand = what;
        a->with = with;
        port_wake(r->port);
        while (a->errand) pthread_cond_wait(&a->changed, &a->lock);
        code = a->errand_code;
        if (code) *why = a->errand_why;
    }
    pthread_mutex_unlock(&a->lock);
    return code;
}

struct outgoing {
    int to;
    struct frame *frame;
};

static int send_out(struct run *r, void *with, struct err *why)
{
    struct outgoing *o = with;
    return port_send(r->port, o->to, &o->frame, why);
}

int run_send(struct run *r, int to, struct frame *f, struct err *why)
{
    struct outgoing o = {to, f};
    const int code = run_errand(r, send_out, &o, why);
    if (code) frame_free(o.frame);
    return code;
}

static void *go_aside(void *user)
{
    struct run *r = user;
    struct err why = {0};
    const int code = r->aside.what(r, &why);
    pthread_mutex_lock(&r->aside.lock);
    r->aside.done = true;
    if (code && !r->aside.over) r->aside.why = why;
    if (code && !r->aside.over) r->aside.over = code;
    pthread_mutex_unlock(&r->aside.lock);
    port_wake(r->port);
    return NULL;
}

/* ---- the port thread ---- */

static bool run_errand_waiting(struct run *r)
{
    struct aside *a = &r->aside;
    pthread_mutex_lock(&a->lock);
    if (a->errand) {
        a->errand_code = a->errand(r, a->with, &a->errand_why);
        a->errand = NULL;
        pthread_cond_broadcast(&a->changed);
    }
    const bool done = a->done;
    pthread_mutex_unlock(&a->lock);
    return done;
}

static void end_with(struct aside *a, int code, const struct err *why)
{
    pthread_mutex_lock(&a->lock);
    if (!a->over) a->over = code, a->why = *why;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
}

static int put_in(struct run *r, struct frame **f, struct err *why)
{
    struct aside *a = &r->aside;
    pthread_mutex_lock(&a->lock);
    const bool room = a->n < ASIDE_IN;
    if (room) a->in[(a->first + a->n++) % ASIDE_IN] = *f;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
    if (!room && (*f)->head.from) return 0; /* another worker's, which nobody answers for */
    if (!room) return fail(why, E_WIRE, "more than %d frames came before one was answered", ASIDE_IN);
    *f = NULL;
    return 0;
}

/* Of a process that finds its memory, or reads from what it has mapped, it is the kernel that counts the steps. */
static int answer_ping(struct run *r, struct frame *ping, struct err *why)
{
    struct rusage used = {0};
    getrusage(RUSAGE_SELF, &used);
    pthread_mutex_lock(&r->aside.lock);
    const bool idle = r->aside.idle;
    pthread_mutex_unlock(&r->aside.lock);
    if (!idle) r->aside.faults = (uint64_t)(used.ru_minflt + used.ru_majflt); /* who waits has some too, and gets nothing done by them */
    const struct ping state = {.busy = idle ? 0 : BUSY_LOADING, .steps = atomic_load(&r->steps) + r->aside.faults};
    return bond_pong(&r->bond, ping, state, why);
}

int run_hear(struct run *r, struct frame **f, struct err *why)
{
    struct fault fault;
    if ((*f)->head.from == 0 && (*f)->head.type != M_LOST) bond_heard(&r->bond, *f);
    switch ((*f)->head.type) {
    case M_PING:
        TRY(answer_ping(r, *f, why));
        break;
    case M_FAULT:
        TRY(fault_read(&fault, *f, why));
        return fail(why, E_WORKER, "the coordinator ended the run: %s", fault.text);
    case M_LOST:
        if ((*f)->head.from == 0 && r->greet.nodes) return fail(why, E_WORKER, "the coordinator is gone; the run is over before it began");
        break;
    case M_ASSIGN: r->assigned = true; return 0;
    case M_STOP: return DISMISSED;
    case M_GREET:
        frame_free(r->greeting);
        r->greeting = *f;
        *f = NULL;
        return r->greet.nodes ? GREETED_AGAIN : 0;
    default: return 0;
    }
    frame_free(*f);
    *f = NULL;
    return 0;
}

static bool is_of_a_meeting(const struct run *r, const struct frame *f)
{
    return !r->assigned && (f->head.type == M_PROBE || f->head.type == M_PROBED || f->head.type == M_LOST);
}

/* Before all are ready other workers have nothing to say to this one but how long their way takes, and what they say all the same is not
 * its fault: whoever breaks the protocol is lost. */
static int hear_one(struct run *r, struct frame **f, struct err *why)
{
    pthread_mutex_lock(&r->aside.lock);
    const int wait_ms = r->aside.done ? 2 : 500; /* done: only a neighbour is awaited */
    pthread_mutex_unlock(&r->aside.lock);
    const int code = port_recv(r->port, f, wait_ms, why), culprit = port_culprit(r->port);
    if (code && (code != E_WIRE || culprit <= 0)) return code;
    if (code) {
        log_debug("%s", why->text);
        *f = frame_new(M_LOST, 0);
        if (*f) (*f)->head.from = (uint16_t)culprit;
    }
    if (!*f || !(*f)->head.from) return 0;
    if ((*f)->head.type == M_LOST) neighbours_lost(&r->neighbours, (*f)->head.from);
    if (is_of_a_meeting(r, *f)) return 0;
    frame_free(*f);
    *f = NULL;
    return 0;
}

static int keep_the_port(struct run *r, struct err *why)
{
    struct frame *f = NULL;
    if (worker_is_to_end(&r->worker->options)) return fail(why, E_INTERRUPTED, "stopped by a signal");
    TRY(hear_one(r, &f, why));
    pthread_mutex_lock(&r->aside.lock);
    const bool idle = r->aside.idle;
    pthread_mutex_unlock(&r->aside.lock);
    int code = bond_check(&r->bond, idle, why);
    if (!code) code = neighbours_look(&r->neighbours, r->port, why);
    if (!code && f && !f->head.from) code = run_hear(r, &f, why);
    if (!code && f) code = put_in(r, &f, why);
    frame_free(f);
    return code;
}

int run_aside(struct run *r, int (*what)(struct run *r, struct err *why), struct err *why)
{
    struct aside *a = &r->aside;
    *a = (struct aside){.what = what};
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->changed, NULL);
    int code = pthread_create(&a->thread, NULL, go_aside, r) ? fail_errno(why, E_INTERNAL, "cannot start a thread to load with") : 0;
    while (!code && !(run_errand_waiting(r) && (a->over || neighbours_met(&r->neighbours, r->port)))) {
        struct err mine = {0};
        const int ended = keep_the_port(r, &mine);
        if (ended && a->over) sleep_ns(1000000); /* there is nobody to hear any more */
        if (ended) end_with(a, ended, &mine);
    }
    if (!code) {
        pthread_join(a->thread, NULL);
        code = why_over(a, why);
    }
    if (!code && a->n) code = fail(why, E_WIRE, "%s came out of turn", message_name(a->in[a->first]->head.type));
    for (struct frame *f; (f = next_in(r));) frame_free(f);
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->lock);
    return code;
}
