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

struct mpi_port {
    struct port port; /* first, so that a port of this kind is a struct mpi_port */
    int wake_fd;
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

static struct mpi_port *mpi_of(const struct port *p)
{
    return (struct mpi_port *)p;
}

static int refused(struct mpi_port *m, const char *what, int code, struct err *why)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int n = 0;
    m->broken = true;
    MPI_Error_string(code, text, &n);
    return fail(why, E_LINK, "MPI could not %s: %s", what, text);
}

static void stir(struct mpi_port *m, unsigned type)
{
    if (type != M_PING && type != M_PONG) m->stirred_ns = clock_ns();
}

/* ---- going out ---- */

static int complete_sends(struct mpi_port *m, struct err *why)
{
    int done = 0;
    if (!m->n_sends) return 0;
    int code = MPI_Testsome(m->n_sends, m->sends, &done, m->which, MPI_STATUSES_IGNORE);
    if (code) return refused(m, "send a frame", code, why);
    if (done < 1) return 0;
    for (int i = 0; i < done; i++) {
        struct frame **f = &m->sending[m->which[i]];
        m->window[(*f)->head.to]--;
        stir(m, (*f)->head.type);
        frame_free(*f);
        *f = 0;
    }
    int kept = 0;
    for (int i = 0; i < m->n_sends; i++) {
        if (!m->sending[i]) continue;
        m->sends[kept] = m->sends[i];
        m->sending[kept++] = m->sending[i];
    }
    m->n_sends = kept;
    return 0;
}

static int mpi_push(struct port *p, struct err *why)
{
    struct mpi_port *m = mpi_of(p);
    TRY(complete_sends(m, why));
    for (int to = 0; to < p->nodes; to++) {
        struct peer *peer = peer_of(p, to);
        while (peer && peer->out.n && m->window[to] < PORT_WINDOW) {
            struct frame *f = peer->out.first;
            int n = FRAME_HEAD_BYTES + (int)f->head.body_bytes; /* FRAME_BODY_MOST is far below INT_MAX */
            int code = MPI_Isend(f->bytes, n, MPI_BYTE, to, TAG, MPI_COMM_WORLD, &m->sends[m->n_sends]);
            if (code) return refused(m, "send a frame", code, why);
            m->sending[m->n_sends++] = queue_take(&peer->out);
            m->window[to]++;
            stir(m, f->head.type);
        }
    }
    return 0;
}

static bool mpi_reachable(const struct port *p, int to)
{
    (void)p, (void)to; /* all ranks are connected, or MPI_Init had not returned */
    return true;
}

static bool mpi_sent(const struct port *p)
{
    return mpi_of(p)->n_sends == 0;
}

/* ---- coming in ---- */

/* Starts receiving the next message, if there is one and a place for it. *from is set if the sender broke the rules. */
static int take_in(struct mpi_port *m, bool *any, int *from, struct err *why)
{
    MPI_Message message;
    MPI_Status status;
    int there = 0, n = 0;
    *any = false;
    if (m->n_arrivals == ARRIVALS) return 0;
    int code = MPI_Improbe(MPI_ANY_SOURCE, TAG, MPI_COMM_WORLD, &there, &message, &status);
    if (code) return refused(m, "look for frames", code, why);
    if (!there) return 0;
    MPI_Get_count(&status, MPI_BYTE, &n);
    if (n < FRAME_HEAD_BYTES || (uint64_t)n - FRAME_HEAD_BYTES > m->port.max_body) {
        char name[32];
        m->broken = true; /* the message stays where it is: nothing this size is taken in */
        *from = status.MPI_SOURCE;
        return fail(why, E_WIRE, "%s sent %d bytes; a frame has %d to %llu", node_name(name, *from), n, FRAME_HEAD_BYTES,
                    (unsigned long long)(FRAME_HEAD_BYTES + m->port.max_body));
    }
    struct frame *f = frame_new(0, (size_t)n - FRAME_HEAD_BYTES);
    if (!f) return m->broken = true, fail(why, E_MEMORY, "no memory for a frame of %d bytes", n);
    code = MPI_Imrecv(f->bytes, n, MPI_BYTE, &message, &m->receives[m->n_arrivals]);
    if (code) return frame_free(f), refused(m, "receive a frame", code, why);
    m->arriving[m->n_arrivals++] = f;
    *any = true;
    return 0;
}

/* The oldest arrival, if all of it has come. */
static int oldest(struct mpi_port *m, struct frame **out, size_t *n, int *from, struct err *why)
{
    MPI_Status status;
    int done = 0, bytes = 0;
    *out = 0;
    if (!m->n_arrivals) return 0;
    int code = MPI_Test(&m->receives[0], &done, &status);
    if (code) return refused(m, "receive a frame", code, why);
    if (!done) return 0;
    MPI_Get_count(&status, MPI_BYTE, &bytes);
    *n = (size_t)bytes;
    *from = status.MPI_SOURCE;
    *out = m->arriving[0];
    m->n_arrivals--;
    memmove(m->receives, m->receives + 1, (size_t)m->n_arrivals * sizeof *m->receives);
    memmove(m->arriving, m->arriving + 1, (size_t)m->n_arrivals * sizeof *m->arriving);
    stir(m, (*out)->bytes[FRAME_TYPE_AT]); /* unopened yet: good enough for a nap */
    return 0;
}

/* What is arriving is fetched without pause; else the longer nothing happened, the longer the nap. */
static void nap(struct mpi_port *m, uint64_t until)
{
    uint64_t now = clock_ns(), ns = m->n_arrivals ? 0 : (now - m->stirred_ns) / 32;
    struct pollfd woken = {.fd = m->wake_fd, .events = POLLIN};
    if (ns < NAP_LEAST) ns = NAP_LEAST;
    if (ns > NAP_MOST) ns = NAP_MOST;
    if (until <= now) return;
    if (ns > until - now) ns = until - now;
    struct timespec t = {.tv_nsec = (long)ns};
    uint64_t wakes;
    if (ppoll(&woken, 1, &t, 0) == 1 && read(m->wake_fd, &wakes, sizeof wakes) == sizeof wakes) m->stirred_ns = now;
}

/* One look and one nap: port.c goes round until it has what it wants. */
static int mpi_pull(struct port *p, struct frame **out, size_t *n, int *from, uint64_t until, struct err *why)
{
    struct mpi_port *m = mpi_of(p);
    bool any;
    TRY(take_in(m, &any, from, why));
    TRY(oldest(m, out, n, from, why));
    if (!*out && !any && !atomic_load(&p->woken)) nap(m, until);
    return 0;
}

/* ---- the rest of a port's life ---- */

static void mpi_wake(struct port *p)
{
    uint64_t one = 1;
    if (write(mpi_of(p)->wake_fd, &one, sizeof one) < 0) return; /* full: it is awake already */
}

/* All ranks leave together. Until everyone is there we go on receiving, or a rank that still sends would wait for ever. */
static int goodbye(struct mpi_port *m, struct err *why)
{
    MPI_Request everyone;
    const uint64_t begun = clock_ns();
    int there = 0;
    int code = MPI_Ibarrier(MPI_COMM_WORLD, &everyone);
    if (code) return refused(m, "leave", code, why);
    m->port.max_body = FRAME_BODY_MOST; /* what comes now is dropped whatever it is */
    while (!there || m->n_sends || m->n_arrivals) {
        struct frame *f;
        size_t n;
        int from;
        bool any;
        TRY(complete_sends(m, why));
        TRY(take_in(m, &any, &from, why));
        TRY(oldest(m, &f, &n, &from, why));
        bool got = f != 0;
        frame_free(f);
        if (!there && (code = MPI_Test(&everyone, &there, MPI_STATUS_IGNORE))) return refused(m, "leave", code, why);
        if (clock_ns() - begun > GOODBYE_TOLD_NS && interrupt_seen()) return fail(why, E_LINK, "mpirun ends its ranks: one of them was lost, or it was told to end");
        if (clock_ns() - begun > GOODBYE_NS)
            return fail(why, E_LINK, "a rank did not come to the end of the run within %d s", (int)(GOODBYE_NS / 1000000000));
        if (!any && !got) nap(m, begun + GOODBYE_NS);
    }
    return 0;
}

static void mpi_free(struct mpi_port *m)
{
    if (m->wake_fd >= 0) close(m->wake_fd);
    free(m->sends);
    free(m->sending);
    free(m->which);
    free(m->window);
    port_free(&m->port);
}

static void mpi_close(struct port *p)
{
    struct mpi_port *m = mpi_of(p);
    struct err why = {0};
    for (int k = 0; k < p->nodes; k++) m->broken |= peer_lost(p, k);
    if (!m->broken && goodbye(m, &why)) {
        log_error("%s", why.text);
        m->broken = true;
    }
    if (m->broken) return; /* MPI_Finalize would wait for what cannot come, and buffers may still be in use */
    MPI_Finalize();
    mpi_free(m);
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
                                     .wake = mpi_wake, .sent = mpi_sent, .close = mpi_close};

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
    return mpi_of(p)->mates;
}

static int mpi_prepare(struct mpi_port *m, int rank, int ranks, struct err *why)
{
    const size_t sends = (size_t)ranks * PORT_WINDOW;
    m->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    m->stirred_ns = clock_ns();
    TRY(port_init(&m->port, &over_mpi, NULL, rank, ranks, why));
    if (m->wake_fd < 0) return fail_errno(why, E_INTERNAL, "cannot make an eventfd");
    m->sends = calloc(sends, sizeof *m->sends);
    m->sending = calloc(sends, sizeof *m->sending);
    m->which = calloc(sends, sizeof *m->which);
    m->window = calloc((size_t)ranks, sizeof *m->window);
    return m->sends && m->sending && m->which && m->window ? 0 : fail(why, E_MEMORY, "no memory for %d ranks", ranks);
}

static int mpi_new(struct port **out, int rank, int ranks, struct mpi_mates mates, struct err *why)
{
    struct mpi_port *m = calloc(1, sizeof *m);
    if (!m) return fail(why, E_MEMORY, "no memory for a port");
    m->mates = mates;
    int code = mpi_prepare(m, rank, ranks, why);
    if (code) mpi_free(m);
    else *out = &m->port;
    return code;
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

const struct mpi_plugin gemmapipe_mpi = {.version = GEMMAPIPE_VERSION, .open = open_rank, .mates = mates_of, .leave = leave};
