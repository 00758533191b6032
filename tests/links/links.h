/* tests/links/links.h — roles that several nodes play at once, one call per node: threads in links_test.c, ranks in
 * mpi_links.c. Every role returns 0, or says in one sentence what it saw. */
#pragma once

#include "base/clock.h"
#include "transport/links/port.h"
#include "transport/links/transport.h"
#include "transport/wire/wire.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define RUN 0x7e577e57u
#define ROUTE 1 /* what has a route goes on this one, of this plan and epoch */
#define PLAN 5
#define ROUTE_EPOCH 3
#define PATIENCE_MS 20000 /* machines with few cores play many nodes */
#define MAX_BODY (8u << 20) /* for port_limits, before the first role: a neighbour may be ahead of us */
#define MAX_QUEUED 1000

/* A frame of n bytes whose content follows from who sends the how-manieth. */
static inline struct frame *marked_frame(int from, uint32_t count, size_t n)
{
    struct frame *f = frame_new(M_WORK, n);
    f->head.route = ROUTE;
    uint64_t x = (uint64_t)from * 2654435761u + count * 40503u + 1;
    for (size_t i = 0; i < n; i += 8) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        memcpy(frame_body(f) + i, &x, n - i < 8 ? n - i : 8);
    }
    return f;
}

static inline int check_marked(struct frame *f, uint32_t count, size_t n, struct err *why)
{
    struct frame *want = marked_frame(f->head.from, count, n);
    bool same = f->head.type == M_WORK && f->head.body_bytes == n && !memcmp(frame_body(f), frame_body(want), n);
    frame_free(want);
    return same ? 0 : fail(why, E_WIRE, "frame %u from node %u is not what was sent (%s, %llu bytes, wanted %zu)", count, f->head.from,
                           message_name(f->head.type), (unsigned long long)f->head.body_bytes, n);
}

/* The next frame, which must be a `type` from `from`. */
static inline int await(struct port *p, struct frame **out, enum message type, int from, struct err *why)
{
    TRY(port_recv(p, out, PATIENCE_MS, why));
    if (!*out) return fail(why, E_LINK, "node %d waited in vain for %s from node %d", port_self(p), message_name(type), from);
    if ((*out)->head.type == type && (*out)->head.from == from) return 0;
    int code = fail(why, E_LINK, "node %d waited for %s from node %d, but %s came from node %u", port_self(p), message_name(type), from,
                    message_name((*out)->head.type), (*out)->head.from);
    frame_free(*out);
    *out = 0;
    return code;
}

static inline int await_and_free(struct port *p, enum message type, int from, struct err *why)
{
    struct frame *f = 0;
    TRY(await(p, &f, type, from, why));
    frame_free(f);
    return 0;
}

static inline int send_empty(struct port *p, int to, enum message type, struct err *why)
{
    struct frame *f = 0;
    TRY(empty_write(&f, type, why));
    f->head.route = message_has_route(type) ? ROUTE : 0;
    int code = port_send(p, to, &f, why);
    frame_free(f);
    return code;
}

/* Node 0 greets and hears HELLO of all; a worker is greeted, answers, and connects to its next stage. */
static inline int greet_role(struct port *p, int nodes, uint64_t run, char (*addresses)[100], struct err *why)
{
    struct frame *f = 0;
    if (port_self(p) == 0) {
        port_run(p, run, 1);
        TRY(port_route(p, ROUTE, PLAN, ROUTE_EPOCH, why));
        for (int k = 1; k < nodes; k++) {
            TRY(greet_write(&f, &(struct greet){(uint16_t)k, (uint16_t)nodes, 1, run, {0}}, why));
            TRY(port_send(p, k, &f, why));
        }
        for (int k = 1; k < nodes; k++) {
            TRY(port_recv(p, &f, PATIENCE_MS, why));
            if (!f || f->head.type != M_HELLO) return fail(why, E_LINK, "%s came instead of HELLO", f ? message_name(f->head.type) : "nothing");
            frame_free(f);
        }
        return 0;
    }
    TRY(await_and_free(p, M_GREET, 0, why));
    TRY(port_route(p, ROUTE, PLAN, ROUTE_EPOCH, why));
    TRY(hello_write(&f, &(struct hello){.build = "test"}, why));
    TRY(port_send(p, 0, &f, why));
    int next = port_self(p) + 1;
    return next < nodes ? port_reach(p, next, addresses[next], why) : 0;
}

/* Sizes around every border there is, and some megabytes. */
static const size_t awkward_sizes[] = {0, 1, 3, 4, 63, 64, 65, 4095, 4096, 4097, 65535, 65536, 65537, 1000003, 4000000};
#define AWKWARD_SIZES (sizeof awkward_sizes / sizeof *awkward_sizes)

/* The next marked frame. A node that is ahead may already ask what comes after: that is put aside, and back. */
static inline int next_marked(struct port *p, struct frame **out, struct err *why)
{
    struct queue early = {0};
    int code;
    while (!(code = port_recv(p, out, PATIENCE_MS, why)) && *out && (*out)->head.type != M_WORK) queue_put(&early, *out);
    while (early.n) queue_put(&p->inbox, queue_take(&early));
    return code || *out ? code : fail(why, E_LINK, "node %d waited in vain for a frame", port_self(p));
}

/* All frames of all sizes from 0 to the last node along the ring, and back to 0. */
static inline int sizes_role(struct port *p, int nodes, struct err *why)
{
    int self = port_self(p), previous = (self + nodes - 1) % nodes, next = (self + 1) % nodes;
    for (uint32_t i = 0; i < AWKWARD_SIZES; i++) {
        struct frame *f = marked_frame(self, i, awkward_sizes[i]);
        TRY(port_send(p, next, &f, why));
    }
    for (uint32_t i = 0; i < AWKWARD_SIZES; i++) {
        struct frame *f = 0;
        TRY(next_marked(p, &f, why));
        if (f->head.from != previous) return fail(why, E_LINK, "a frame came from node %u, not from %d", f->head.from, previous);
        TRY(check_marked(f, i, awkward_sizes[i], why));
        frame_free(f);
    }
    return port_flush(p, PATIENCE_MS, why);
}

/* Everyone sends all its frames before it reads any: round the ring, from 0 to everyone and from everyone to 0. Nothing
 * stands still, each frame comes once, and those of one node in order. */
static inline int ring_role(struct port *p, int nodes, uint32_t frames, size_t bytes, struct err *why)
{
    int self = port_self(p), next = (self + 1) % nodes;
    uint32_t counts[16] = {0}, awaited = 0;
    for (uint32_t i = 0; i < frames; i++)
        for (int to = 0; to < nodes; to++) {
            if (to == self || (to != next && to != 0 && self != 0)) continue;
            struct frame *f = marked_frame(self, i, bytes);
            TRY(port_send(p, to, &f, why));
        }
    for (int from = 0; from < nodes; from++)
        if (from != self && (self == 0 || from == 0 || from + 1 == self)) awaited += frames;
    while (awaited-- > 0) {
        struct frame *f = 0;
        TRY(next_marked(p, &f, why));
        TRY(check_marked(f, counts[f->head.from]++, bytes, why));
        frame_free(f);
    }
    return port_flush(p, PATIENCE_MS, why);
}

/* Leave together: the workers report and stop when told, 0 waits for all reports. */
static inline int stop_role(struct port *p, int nodes, struct err *why)
{
    if (port_self(p) == 0) {
        for (int k = 1; k < nodes; k++) TRY(send_empty(p, k, M_STOP, why));
        for (int k = 1; k < nodes; k++) {
            struct frame *f = 0;
            do {
                frame_free(f);
                TRY(port_recv(p, &f, PATIENCE_MS, why));
            } while (f && f->head.type == M_LOST); /* left already, after its report */
            if (!f || f->head.type != M_REPORT) return fail(why, E_LINK, "%s came instead of REPORT", f ? message_name(f->head.type) : "nothing");
            frame_free(f);
        }
        return 0;
    }
    struct frame *f = 0;
    do {
        frame_free(f);
        TRY(port_recv(p, &f, PATIENCE_MS, why));
    } while (f && f->head.type == M_LOST); /* a neighbour that was told first */
    if (!f || f->head.type != M_STOP) return fail(why, E_LINK, "%s came instead of STOP", f ? message_name(f->head.type) : "nothing");
    frame_free(f);
    TRY(report_write(&f, &(struct report){0}, why));
    TRY(port_send(p, 0, &f, why));
    return port_flush(p, PATIENCE_MS, why);
}

static inline double cpu_seconds(void) /* of this process, all threads */
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}
