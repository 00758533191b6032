/* tests/links/mpi_links.c — the claims about links where the nodes are MPI ranks. Run by mpi_links.sh under mpirun; rank 0
 * prints. An argument names what to do other than the claims: idle SECONDS, killed, oversized, parts. */
#include "tests/links/links.h"
#include "transport/links/port.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static struct port *port;
static int failed;

static bool coordinates(void)
{
    return port_self(port) == 0;
}

/* Waits for word from rank 0. A neighbour that had it first may have begun its next part already: what it sent is kept
 * for that part, where port_recv finds it. */
static int await_word(enum message type, struct err *why)
{
    struct queue early = {0};
    struct frame *f = 0;
    int code = 0;
    do {
        if (f) queue_put(&early, f);
        code = port_recv(port, &f, 20000, why);
    } while (!code && f && (f->head.from != 0 || f->head.type != type));
    if (!code && !f) code = fail(why, E_LINK, "rank %d waited in vain for %s", port_self(port), message_name(type));
    frame_free(f);
    while (early.n) queue_put(&port->inbox, queue_take(&early));
    return code;
}

/* All ranks have played; rank 0 asks each whether it saw what it should, and prints one line. It asks when its own part is
 * over, so that no answer comes between the frames of a part. */
static void claim(const char *name, uint64_t start, int code, const struct err *mine)
{
    struct err why = {0};
    struct fault m = {.code = (uint32_t)code};
    struct frame *f = 0;
    snprintf(m.text, sizeof m.text, "%s", code ? mine->text : "");
    if (!coordinates()) {
        if (await_word(M_REPORT_ASK, &why)) fprintf(stderr, "rank %d: %s\n", port_self(port), why.text);
        if (!fault_write(&f, &m, &why)) port_send(port, 0, &f, &why);
        if (await_word(M_STOP, &why)) fprintf(stderr, "rank %d: %s\n", port_self(port), why.text);
        return;
    }
    for (int k = 1; k < port_nodes(port); k++) send_empty(port, k, M_REPORT_ASK, &why);
    for (int k = 1; k < port_nodes(port); k++) {
        struct fault theirs = {0};
        int said = port_recv(port, &f, 20000, &why);
        if (!said && f) said = fault_read(&theirs, f, &why);
        frame_free(f);
        if ((said || theirs.code) && !m.code) m.code = 1, snprintf(m.text, sizeof m.text, "%s", said ? why.text : theirs.text);
    }
    if (m.code) printf("  %s\n", m.text);
    printf("%s %s (%.0f ms)\n", m.code ? "FAIL" : "ok", name, (double)(clock_ns() - start) / 1e6);
    failed += m.code != 0;
    for (int k = 1; k < port_nodes(port); k++) send_empty(port, k, M_STOP, &why);
}

#define CLAIM(name, call)                                                                                              \
    do {                                                                                                               \
        struct err why_ = {0}, *why = &why_;                                                                           \
        uint64_t start_ = clock_ns();                                                                                  \
        int code_ = call;                                                                                              \
        claim(#name, start_, code_, why);                                                                                      \
    } while (0)

static void *wake_later(void *p)
{
    sleep_ns(100000000);
    port_wake(p);
    return 0;
}

/* The others wait for word meanwhile. */
static int wake_role(struct err *why)
{
    if (!coordinates()) return 0;
    struct frame *f = 0;
    pthread_t thread;
    uint64_t start = clock_ns();
    if (pthread_create(&thread, 0, wake_later, port)) abort();
    int code = port_recv(port, &f, 5000, why);
    double ms = (double)(clock_ns() - start) / 1e6;
    pthread_join(thread, 0);
    frame_free(f);
    return code || (!f && ms > 90 && ms < 2000) ? code : fail(why, E_LINK, "woke after %.0f ms%s", ms, f ? " by a frame" : "");
}

static int limit_role(struct err *why)
{
    if (!coordinates()) return 0;
    struct frame *f = marked_frame(0, 0, 5000);
    struct err no = {0};
    port_limits(port, 4999, 10);
    int code = port_send(port, 1, &f, &no);
    port_limits(port, MAX_BODY, MAX_QUEUED);
    frame_free(f);
    return code == E_WIRE && f ? 0 : fail(why, E_LINK, "a body over the limit was sent: %d %s", code, no.text);
}

/* Frames of the epoch before are dropped: rank 0 sends three, then greets everyone into the next. */
static int epoch_role(struct err *why)
{
    uint64_t dropped = port_counters(port).dropped;
    struct frame *f = 0;
    if (coordinates()) {
        for (int k = 1; k < port_nodes(port); k++) {
            port_run(port, RUN + 1, 1);
            for (int i = 0; i < 3; i++) TRY(send_empty(port, k, M_PING, why));
            port_run(port, RUN, 2);
            TRY(greet_write(&f, &(struct greet){(uint16_t)k, (uint16_t)port_nodes(port), 1, RUN, {0}}, why));
            TRY(port_send(port, k, &f, why));
        }
        return 0;
    }
    TRY(await_and_free(port, M_GREET, 0, why));
    uint64_t now = port_counters(port).dropped - dropped;
    return now == 3 ? 0 : fail(why, E_LINK, "rank %d dropped %llu frames of another run, not 3", port_self(port), (unsigned long long)now);
}

/* All ranks of a test are on one machine, and so is the coordinator. */
static int mates_role(struct err *why)
{
    const struct mpi_mates m = port_mpi_mates(port);
    const int workers = port_nodes(port) - 1, number = port_self(port) - 1;
    return m.workers == workers && m.number == number
               ? 0
               : fail(why, E_LINK, "rank %d is worker %d of %d here, not %d of %d", port_self(port), m.number, m.workers, number, workers);
}

static int circle_role(struct err *why)
{
    const int nodes = port_nodes(port), self = port_self(port);
    struct frame *f = NULL;
    TRY(send_empty(port, (self + 1) % nodes, M_WORK, why));
    TRY(next_marked(port, &f, why));
    const int from = f->head.from;
    frame_free(f);
    return from == (self + nodes - 1) % nodes ? 0 : fail(why, E_LINK, "rank %d heard rank %d", self, from);
}

/* More ranks than any table was once made for. */
static void many(void)
{
    static char no_addresses[WORKERS_MOST + 1][100];
    CLAIM(more_than_sixty_four_ranks_are_greeted, greet_role(port, port_nodes(port), RUN, no_addresses, why));
    CLAIM(more_than_sixty_four_ranks_hear_each_other, circle_role(why));
}

static void claims(void)
{
    int nodes = port_nodes(port);
    char no_addresses[16][100] = {""};
    port_limits(port, MAX_BODY, MAX_QUEUED);
    CLAIM(every_rank_is_greeted, greet_role(port, nodes, RUN, no_addresses, why));
    CLAIM(ranks_know_how_many_work_on_their_machine, mates_role(why));
    CLAIM(frames_of_every_size_arrive_whole_and_in_order, sizes_role(port, nodes, why));
    CLAIM(a_ring_where_all_send_before_they_read_does_not_stand_still, ring_role(port, nodes, 300, 10000, why));
    CLAIM(large_frames_all_at_once_do_not_stand_still, ring_role(port, nodes, 20, 1500000, why));
    CLAIM(a_wake_ends_the_wait, wake_role(why));
    CLAIM(a_body_over_the_limit_is_refused_by_the_sender, limit_role(why));
    CLAIM(frames_of_another_run_are_dropped_and_a_greeting_opens_an_epoch, epoch_role(why));
}

/* What waiting costs: each rank waits for a frame that does not come. */
static int idle(double seconds, struct err *why)
{
    struct frame *f = 0;
    struct report m = {0};
    TRY(port_recv(port, &f, 200, why)); /* past the start-up of MPI */
    double cpu = cpu_seconds();
    TRY(port_recv(port, &f, (int)(seconds * 1000), why));
    double share = (cpu_seconds() - cpu) / seconds * 100;
    m.busy_ns = (uint64_t)(share * 1e6);
    if (!coordinates()) {
        TRY(report_write(&f, &m, why));
        TRY(port_send(port, 0, &f, why));
        return await_and_free(port, M_STOP, 0, why);
    }
    double most = share;
    for (int k = 1; k < port_nodes(port); k++) {
        TRY(port_recv(port, &f, PATIENCE_MS, why));
        if (!f) return fail(why, E_LINK, "a rank did not report");
        TRY(report_read(&m, f, why));
        frame_free(f);
        if ((double)m.busy_ns / 1e6 > most) most = (double)m.busy_ns / 1e6;
    }
    printf("%s a_waiting_rank_leaves_the_core_to_others (at most %.2f%% of a core)\n", most < 2 ? "ok" : "FAIL", most);
    failed += most >= 2;
    for (int k = 1; k < port_nodes(port); k++) TRY(send_empty(port, k, M_STOP, why));
    return 0;
}

/* Rank 1 dies; the others notice nothing themselves and are ended by mpirun or by the heartbeat's mpi_leave. */
static int killed(struct err *why)
{
    struct frame *f = 0;
    char no_addresses[16][100] = {""};
    TRY(greet_role(port, port_nodes(port), RUN, no_addresses, why));
    if (port_self(port) == 1) kill(getpid(), SIGKILL);
    TRY(port_recv(port, &f, 5000, why));
    if (coordinates()) fprintf(stderr, "worker 1 does not answer\n");
    mpi_leave(E_WORKER);
    return 0;
}

/* Rank 1 believes in a larger limit than rank 0. MPI keeps the message, so there is no orderly end afterwards. */
static int oversized(struct err *why)
{
    struct frame *f = NULL;
    struct err no = {0};
    char no_addresses[16][100] = {""};
    port_limits(port, coordinates() ? 4999 : MAX_BODY, MAX_QUEUED);
    TRY(greet_role(port, port_nodes(port), RUN, no_addresses, why));
    if (!coordinates()) {
        f = marked_frame(1, 0, 5000);
        TRY(port_send(port, 0, &f, why));
        TRY(port_recv(port, &f, PATIENCE_MS, why)); /* until rank 0 ends the job */
        return 0;
    }
    const int code = port_recv(port, &f, PATIENCE_MS, &no), culprit = port_culprit(port);
    printf("code %d, culprit %d, then %d: %s\n", code, culprit, send_empty(port, 1, M_STOP, NULL), no.text);
    fflush(stdout);
    mpi_leave(E_WIRE);
    return 0;
}

#define SAID 50

/* Rank 0 hears so many frames by this port, of this rank alone. */
static int hear_all(struct port *p, int *heard, int rank, struct err *why)
{
    for (;;) {
        struct frame *f = NULL;
        TRY(port_recv(p, &f, 0, why));
        if (!f) return 0;
        const int from = f->head.from;
        frame_free(f);
        if (from != rank) return fail(why, E_LINK, "the port of rank %d heard rank %d", rank, from);
        ++*heard;
    }
}

/* Of 3 ranks rank 2 becomes a port of its own, in the middle of what both say. */
static int parts_role(struct err *why)
{
    char no_addresses[16][100] = {""};
    const bool has[3] = {false, false, true};
    struct port *both[2] = {port};
    struct err no = {0};
    int heard[2] = {0};
    TRY(greet_role(port, 3, RUN, no_addresses, why));
    if (!coordinates()) {
        TRY(await_and_free(port, M_PING, 0, why)); /* not while others are greeted */
        for (int i = 0; i < SAID; i++) TRY(send_empty(port, 0, M_PONG, why));
        return await_and_free(port, M_STOP, 0, why);
    }
    for (int k = 1; k < 3; k++) TRY(send_empty(port, k, M_PING, why));
    TRY(port_part_mpi(&both[1], port, has, why));
    while ((heard[0] < SAID || heard[1] < SAID) && ports_wait(both, 2, PATIENCE_MS))
        for (int i = 0; i < 2; i++) TRY(hear_all(both[i], &heard[i], i + 1, why));
    if (port_has(port, 2) || port_has(both[1], 1) || !send_empty(port, 2, M_STOP, &no) || !send_empty(both[1], 1, M_STOP, &no))
        return fail(why, E_LINK, "a rank belongs to two ports");
    for (int i = 0; i < 2; i++) {
        TRY(send_empty(both[i], i + 1, M_STOP, why));
        TRY(port_flush(both[i], PATIENCE_MS, why));
    }
    port_close(&both[1]);
    return heard[0] == SAID && heard[1] == SAID ? 0 : fail(why, E_LINK, "%d and %d of %d frames came", heard[0], heard[1], SAID);
}

static int parts(struct err *why)
{
    const int code = parts_role(why);
    if (coordinates()) printf("%s a_part_of_a_port_hears_its_own_ranks_alone\n", code ? "FAIL" : "ok");
    return code;
}

int main(int argc, char **argv)
{
    struct err failure = {0};
    const char *what = argc > 1 ? argv[1] : "claims";
    setvbuf(stdout, 0, _IOLBF, 0);
    if (!strcmp(what, "launched")) return mpi_launched() ? 0 : 1;
    int code = port_open_mpi(&port, &failure);
    if (!code && !strcmp(what, "claims")) claims();
    if (!code && !strcmp(what, "many")) many();
    if (!code && !strcmp(what, "idle")) code = idle(argc > 2 ? atof(argv[2]) : 3, &failure);
    if (!code && !strcmp(what, "killed")) code = killed(&failure);
    if (!code && !strcmp(what, "oversized")) code = oversized(&failure);
    if (!code && !strcmp(what, "parts")) code = parts(&failure);
    if (code) fprintf(stderr, "%s\n", failure.text);
    if (code && port) mpi_leave(code);
    port_close(&port);
    return code ? code : failed != 0;
}
