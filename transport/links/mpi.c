/* transport/links/mpi.c — nodes are the ranks of one MPI job: 0 coordinates, the others work. See transport.h; docs/WIRE.md,
 * "Over MPI". The only file with mpi.h, and a file of its own when linked (mpi_plugin.h). Written for
 * Open MPI 4.1, uses nothing that is not in MPI 3.
 *
 * Waiting. MPI moves data only inside its own calls, and its blocking calls spin: a rank that waits in MPI_Recv takes the
 * core that another rank computes on. So we look, and sleep between looks: a 32nd of the time that nothing has happened
 * for, at least 20 us, at most 25 ms. A wait gets longer by a 64th on average, and a rank with nothing to do at all costs
 * a third of a percent of a core, most of it the kernel's for waking it. Heartbeats do not count as something: they come from idle
 * peers too. The sleep is a poll of an eventfd, so port_wake ends it at once.
 *
 * Receiving. MPI_Improbe tells size and sender of what has come, then MPI_Imrecv takes it into a frame of that size. Receives
 * posted ahead would need a buffer of the largest body for each, and gain one look: a message that meets a posted receive
 * is matched inside an MPI call too, and we make none in between. A few are under way at once, and are handed out in the
 * order in which they were matched, which is the order in which each rank sent.
 *
 * Parts. Rank 0 may give some of its ranks to a port of their own, for a replica. There is still one world and one thread: whichever port
 * looks takes what has come, of whomever, and puts it with the port of that rank.
 *
 * Failing. Open MPI 4.1 has no failure detector: sends to a dead rank report success or never complete, and mpirun ends
 * the job about a second later. So this kind never says M_LOST; whoever misses a heartbeat shuns that rank (port_shun). From then on there
 * is no orderly end: MPI is left as it is when the port is closed, and the process ends by mpi_leave, after it has said why. */
#define _GNU_SOURCE /* ppoll */
#include "transport/links/mpi_plugin.h"
#include "transport/links/port.h"

#include "base/clock.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/version.h"

#include <mpi.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#define TAG 1
#define ARRIVALS 4
#define NAP_LEAST 20000u          /* ns */
#define NAP_MOST 25000000u
#define GOODBYE_NS 20000000000ull /* for the slowest rank to say it is done too; a dead one mpirun notices sooner */
#define GOODBYE_TOLD_NS 200000000ull /* the same where we are told to end: mpirun tells all when one is lost, and kills them a second later */

/* What this process has of MPI, whoever of its ports asks. */
struct mpi_world {
    struct mpi_port *whole;
    struct mpi_port **of; /* [ranks]: to which port each belongs; NULL: to none any more, and what it sends is dropped */
    int ranks, wake_fd;
    struct mpi_mates mates;
    uint64_t stirred_ns; /* when something happened last */
    bool broken;         /* MPI itself refused something: there is no orderly end any more */
    int n_sends;
    MPI_Request *sends;     /* [ranks * PORT_WINDOW] */
    struct frame **sending; /* the same */
    int *which;             /* the same: of those, which are done */
    uint32_t *window;       /* [ranks]: sends under way to each */
    int n_arrivals;              /* the oldest first */
    MPI_Request receives[ARRIVALS];
    struct frame *arriving[ARRIVALS];
};

struct mpi_port {
    struct port port; /* first, so that a port of this kind is a struct mpi_port */
    struct mpi_world *world;
    struct queue come; /* not opened yet: their heads say how many bytes came, and from whom */
    struct err wrong;  /* code other than 0: a rank of ours sent what cannot be taken in, and nobody was told */
    int wrong_rank;
};

static struct mpi_port *mpi_of(const struct port *p)
{
    return (struct mpi_port *)p;
}

static int refused(struct mpi_world *w, const char *what, int code, struct err *why)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int n = 0;
    w->broken = true;
    MPI_Error_string(code, text, &n);
    return fail(why, E_LINK, "MPI could not %s: %s", what, text);
}

static void stir(struct mpi_world *w, unsigned type)
{
    if (type != M_PING && type != M_PONG) w->stirred_ns = clock_ns();
}

/* ---- going out ---- */

static int complete_sends(struct mpi_world *w, struct err *why)
{
    int done = 0;
    if (!w->n_sends) return 0;
    int code = MPI_Testsome(w->n_sends, w->sends, &done, w->which, MPI_STATUSES_IGNORE);
    if (code) return refused(w, "send a frame", code, why);
    if (done < 1) return 0;
    for (int i = 0; i < done; i++) {
        struct frame **f = &w->sending[w->which[i]];
        w->window[(*f)->head.to]--;
        stir(w, (*f)->head.type);
        frame_free(*f);
        *f = 0;
    }
    int kept = 0;
    for (int i = 0; i < w->n_sends; i++) {
        if (!w->sending[i]) continue;
        w->sends[kept] = w->sends[i];
        w->sending[kept++] = w->sending[i];
    }
    w->n_sends = kept;
    return 0;
}

static int mpi_push(struct port *p, struct err *why)
{
    struct mpi_world *w = mpi_of(p)->world;
    TRY(complete_sends(w, why));
    for (int to = 0; to < p->nodes; to++) {
        struct peer *peer = peer_of(p, to);
        while (peer && peer->out.n && w->window[to] < PORT_WINDOW) {
            struct frame *f = peer->out.first;
            int n = FRAME_HEAD_BYTES + (int)f->head.body_bytes; /* FRAME_BODY_MOST is far below INT_MAX */
            int code = MPI_Isend(f->bytes, n, MPI_BYTE, to, TAG, MPI_COMM_WORLD, &w->sends[w->n_sends]);
            if (code) return refused(w, "send a frame", code, why);
            w->sending[w->n_sends++] = queue_take(&peer->out);
            w->window[to]++;
            stir(w, f->head.type);
        }
    }
    return 0;
}

/* All ranks are connected, or MPI_Init had not returned. */
static bool mpi_reachable(const struct port *p, int to)
{
    return mpi_of(p)->world->of[to] == mpi_of(p);
}

static bool mpi_sent(const struct port *p)
{
    const struct mpi_world *w = mpi_of(p)->world;
    for (int to = 0; w->n_sends && to < w->ranks; to++)
        if (w->window[to] && w->of[to] == mpi_of(p)) return false;
    return true;
}

/* ---- coming in ---- */

/* The message stays where it is: nothing this size is taken in. Whose rank it was is told. */
static void leave_it(struct mpi_world *w, int from, int n, uint64_t most)
{
    char name[32];
    struct mpi_port *m = w->of[from] ? w->of[from] : w->whole;
    w->broken = true;
    m->wrong_rank = from;
    fail(&m->wrong, E_WIRE, "%s sent %d bytes; a frame has %d to %llu", node_name(name, from), n, FRAME_HEAD_BYTES,
         (unsigned long long)(FRAME_HEAD_BYTES + most));
}

/* Starts receiving the next message, if there is one and a place for it. */
static int take_in(struct mpi_world *w, bool *any, struct err *why)
{
    MPI_Message message;
    MPI_Status status;
    int there = 0, n = 0;
    *any = false;
    if (w->n_arrivals == ARRIVALS) return 0;
    int code = MPI_Improbe(MPI_ANY_SOURCE, TAG, MPI_COMM_WORLD, &there, &message, &status);
    if (code) return refused(w, "look for frames", code, why);
    if (!there) return 0;
    MPI_Get_count(&status, MPI_BYTE, &n);
    const struct mpi_port *of = w->of[status.MPI_SOURCE];
    const uint64_t most = of ? of->port.max_body : FRAME_BODY_MOST; /* what is dropped is dropped whatever it is */
    if (n < FRAME_HEAD_BYTES || (uint64_t)n - FRAME_HEAD_BYTES > most) return leave_it(w, status.MPI_SOURCE, n, most), 0;
    struct frame *f = frame_new(0, (size_t)n - FRAME_HEAD_BYTES);
    if (!f) return w->broken = true, fail(why, E_MEMORY, "no memory for a frame of %d bytes", n);
    code = MPI_Imrecv(f->bytes, n, MPI_BYTE, &message, &w->receives[w->n_arrivals]);
    if (code) return frame_free(f), refused(w, "receive a frame", code, why);
    f->head.from = (uint16_t)status.MPI_SOURCE;
    w->arriving[w->n_arrivals++] = f;
    *any = true;
    return 0;
}

static void give(struct mpi_world *w, struct frame *f)
{
    struct mpi_port *of = w->of[f->head.from];
    if (of) queue_put(&of->come, f);
    else frame_free(f);
}

/* The oldest arrival goes to the port of its rank, if all of it has come. */
static int hand_up(struct mpi_world *w, bool *any, struct err *why)
{
    int done = 0;
    if (!w->n_arrivals) return 0;
    int code = MPI_Test(&w->receives[0], &done, MPI_STATUS_IGNORE);
    if (code) return refused(w, "receive a frame", code, why);
    if (!done) return 0;
    struct frame *f = w->arriving[0];
    w->n_arrivals--;
    memmove(w->receives, w->receives + 1, (size_t)w->n_arrivals * sizeof *w->receives);
    memmove(w->arriving, w->arriving + 1, (size_t)w->n_arrivals * sizeof *w->arriving);
    stir(w, f->bytes[FRAME_TYPE_AT]); /* unopened yet: good enough for a nap */
    give(w, f);
    *any = true;
    return 0;
}

/* What is arriving is fetched without pause; else the longer nothing happened, the longer the nap. */
static void nap(struct mpi_world *w, uint64_t until)
{
    uint64_t now = clock_ns(), ns = w->n_arrivals ? 0 : (now - w->stirred_ns) / 32;
    struct pollfd woken = {.fd = w->wake_fd, .events = POLLIN};
    if (ns < NAP_LEAST) ns = NAP_LEAST;
    if (ns > NAP_MOST) ns = NAP_MOST;
    if (until <= now) return;
    if (ns > until - now) ns = until - now;
    struct timespec t = {.tv_nsec = (long)ns};
    uint64_t wakes;
    if (ppoll(&woken, 1, &t, 0) == 1 && read(w->wake_fd, &wakes, sizeof wakes) == sizeof wakes) w->stirred_ns = now;
}

/* One look and one nap: port.c goes round until it has what it wants. */
static int mpi_pull(struct port *p, struct frame **out, size_t *n, int *from, uint64_t until, struct err *why)
{
    struct mpi_port *m = mpi_of(p);
    bool any;
    TRY(take_in(m->world, &any, why));
    TRY(hand_up(m->world, &any, why));
    if (m->wrong.code) {
        *from = m->wrong_rank;
        const struct err wrong = m->wrong;
        m->wrong.code = 0;
        return fail(why, wrong.code, "%s", wrong.text);
    }
    *out = queue_take(&m->come);
    if (*out) *n = FRAME_HEAD_BYTES + (*out)->head.body_bytes, *from = (*out)->head.from;
    else if (!any && !atomic_load(&p->woken)) nap(m->world, until);
    return 0;
}

/* As pull looks and naps, for several ports. */
static void mpi_wait(struct port *const *ports, int n, uint64_t until)
{
    struct mpi_world *w = mpi_of(ports[0])->world;
    while (clock_ns() < until) {
        int there = 0;
        for (int i = 0; i < n; i++) {
            const struct mpi_port *m = mpi_of(ports[i]);
            if (m->come.n || m->wrong.code || atomic_load(&m->port.woken)) return;
            if (mpi_push(ports[i], NULL)) return; /* what fails here fails again in port_recv, which says so */
        }
        if (!w->n_arrivals && (MPI_Iprobe(MPI_ANY_SOURCE, TAG, MPI_COMM_WORLD, &there, MPI_STATUS_IGNORE) || there)) return;
        nap(w, until);
        if (w->n_arrivals) return;
    }
}

/* ---- the rest of a port's life ---- */

static void mpi_wake(struct port *p)
{
    uint64_t one = 1;
    if (write(mpi_of(p)->world->wake_fd, &one, sizeof one) < 0) return; /* full: it is awake already */
}

/* All ranks leave together. Until everyone is there we go on receiving, or a rank that still sends would wait for ever. */
static int goodbye(struct mpi_world *w, struct err *why)
{
    MPI_Request everyone;
    const uint64_t begun = clock_ns();
    int there = 0;
    int code = MPI_Ibarrier(MPI_COMM_WORLD, &everyone);
    if (code) return refused(w, "leave", code, why);
    memset(w->of, 0, (size_t)w->ranks * sizeof *w->of);
    while (!there || w->n_sends || w->n_arrivals) {
        bool any;
        TRY(complete_sends(w, why));
        TRY(take_in(w, &any, why));
        TRY(hand_up(w, &any, why));
        if (w->whole->wrong.code) return *why = w->whole->wrong, why->code;
        if (!there && (code = MPI_Test(&everyone, &there, MPI_STATUS_IGNORE))) return refused(w, "leave", code, why);
        if (clock_ns() - begun > GOODBYE_TOLD_NS && interrupt_seen()) return fail(why, E_LINK, "mpirun ends its ranks: one of them was lost, or it was told to end");
        if (clock_ns() - begun > GOODBYE_NS)
            return fail(why, E_LINK, "a rank did not come to the end of the run within %d s", (int)(GOODBYE_NS / 1000000000));
        if (!any) nap(w, begun + GOODBYE_NS);
    }
    return 0;
}

static void world_free(struct mpi_world *w)
{
    if (w->wake_fd >= 0) close(w->wake_fd);
    free(w->of);
    free(w->sends);
    free(w->sending);
    free(w->which);
    free(w->window);
    free(w);
}

static void mpi_free(struct mpi_port *m)
{
    queue_clear(&m->come);
    port_free(&m->port);
}

static void mpi_close(struct port *p)
{
    struct mpi_port *m = mpi_of(p);
    struct mpi_world *w = m->world;
    struct err why = {0};
    for (int k = 0; k < p->nodes; k++) w->broken |= peer_lost(p, k);
    for (int k = 0; k < p->nodes; k++)
        if (w->of[k] == m) w->of[k] = NULL;
    if (w->whole != m) {
        mpi_free(m);
        return;
    }
    if (!w->broken && goodbye(w, &why)) {
        log_error("%s", why.text);
        w->broken = true;
    }
    if (w->broken) return; /* MPI_Finalize would wait for what cannot come, and buffers may still be in use */
    MPI_Finalize();
    mpi_free(m);
    world_free(w);
}

static int leave(int code)
{
    int began = 0, ended = 0;
    MPI_Initialized(&began);
    MPI_Finalized(&ended);
    if (!began || ended) return code;
    fflush(NULL); /* an abort writes nothing out */
    MPI_Abort(MPI_COMM_WORLD, code ? code : E_LINK);
    return code; /* not reached */
}

static const struct kind over_mpi = {.name = "mpi", .fixed = true, .reachable = mpi_reachable, .push = mpi_push, .pull = mpi_pull,
                                     .wait = mpi_wait, .wake = mpi_wake, .sent = mpi_sent, .close = mpi_close};

static int check_ranks(int provided, int ranks, struct err *why)
{
    if (provided < MPI_THREAD_FUNNELED)
        return fail(why, E_LINK, "this MPI does not allow a program with threads (level %d, wanted %d)", provided, MPI_THREAD_FUNNELED);
    if (ranks < 2)
        return fail(why, E_LINK, "MPI started 1 rank; it takes one to coordinate and one or more to work: type mpirun -n 4 before the "
                                 "program's name for three workers, or leave mpirun out to work in this process");
    if (ranks > WORKERS_MOST + 1)
        return fail(why, E_LINK, "MPI started %d ranks, one of which coordinates; a run has at most %d workers", ranks, WORKERS_MOST);
    return 0;
}

/* By all ranks together. Without an answer of MPI's a rank is alone. */
static struct mpi_mates find_mates(int rank)
{
    MPI_Comm here;
    struct mpi_mates m = {1, 0};
    int first = rank; /* the lowest rank of this machine: they are sorted */
    if (MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &here)) return m;
    MPI_Comm_size(here, &m.workers);
    MPI_Comm_rank(here, &m.number);
    MPI_Bcast(&first, 1, MPI_INT, 0, here);
    MPI_Comm_free(&here);
    if (first == 0) m.workers--, m.number--;
    return m;
}

static struct mpi_mates mates_of(const struct port *p)
{
    return mpi_of(p)->world->mates;
}

static int world_new(struct mpi_world **out, int ranks, struct mpi_mates mates, struct err *why)
{
    const size_t sends = (size_t)ranks * PORT_WINDOW;
    struct mpi_world *w = *out = calloc(1, sizeof *w);
    if (!w) return fail(why, E_MEMORY, "no memory for %d ranks", ranks);
    w->ranks = ranks;
    w->mates = mates;
    w->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    w->stirred_ns = clock_ns();
    if (w->wake_fd < 0) return fail_errno(why, E_INTERNAL, "cannot make an eventfd");
    w->of = calloc((size_t)ranks, sizeof *w->of);
    w->sends = calloc(sends, sizeof *w->sends);
    w->sending = calloc(sends, sizeof *w->sending);
    w->which = calloc(sends, sizeof *w->which);
    w->window = calloc((size_t)ranks, sizeof *w->window);
    return w->of && w->sends && w->sending && w->which && w->window ? 0 : fail(why, E_MEMORY, "no memory for %d ranks", ranks);
}

static int mpi_new(struct port **out, int rank, int ranks, struct mpi_mates mates, struct err *why)
{
    struct mpi_world *w;
    struct mpi_port *m = calloc(1, sizeof *m);
    if (!m) return fail(why, E_MEMORY, "no memory for a port");
    int code = world_new(&w, ranks, mates, why);
    if (!code) code = port_init(&m->port, &over_mpi, NULL, rank, ranks, why);
    if (code) {
        mpi_free(m);
        if (w) world_free(w);
        return code;
    }
    m->world = w;
    w->whole = m;
    for (int k = 0; k < ranks; k++) w->of[k] = m;
    *out = &m->port;
    return 0;
}

/* What its ranks sent and nobody opened yet goes with them. */
static int part_of(struct port **out, struct port *whole, const bool *has, struct err *why)
{
    struct mpi_world *w = mpi_of(whole)->world;
    struct mpi_port *m = calloc(1, sizeof *m);
    if (!m) return fail(why, E_MEMORY, "no memory for a port");
    m->world = w;
    const int code = port_init_part(&m->port, whole, has, why);
    if (code) return mpi_free(m), code;
    for (int k = 0; k < w->ranks; k++)
        if (has[k]) w->of[k] = m;
    for (uint32_t n = w->whole->come.n; n; n--) give(w, queue_take(&w->whole->come));
    *out = &m->port;
    return 0;
}

static int open_rank(struct port **out, struct err *why)
{
    int provided = 0, rank = 0, ranks = 0, began = 0;
    const char *size = getenv("OMPI_COMM_WORLD_SIZE");
    if (size && !strcmp(size, "1")) return check_ranks(MPI_THREAD_FUNNELED, 1, why); /* no need to start MPI for that */
    MPI_Initialized(&began);
    if (began) return fail(why, E_INTERNAL, "MPI serves one port per process, and had one already");
    int code = MPI_Init_thread(0, 0, MPI_THREAD_FUNNELED, &provided);
    if (code) return fail(why, E_LINK, "MPI could not start (code %d)", code);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    code = check_ranks(provided, ranks, why);
    const struct mpi_mates mates = code ? (struct mpi_mates){0} : find_mates(rank); /* all ranks come here before one can fail alone */
    if (!code) code = mpi_new(out, rank, ranks, mates, why);
    if (code) return MPI_Finalize(), code;
    prctl(PR_SET_TIMERSLACK, 1000ul, 0, 0, 0); /* else the kernel adds 50 us to each nap */
    return 0;
}

const struct mpi_plugin gemmapipe_mpi = {.version = GEMMAPIPE_VERSION, .open = open_rank, .part = part_of, .mates = mates_of, .leave = leave};
