/* transport/wire/control.c — messages about the run itself: who takes part, who gets what, what went wrong. See wire.h. */
#include "transport/wire/wire.h"

#include "transport/wire/cursor.h"

void walk_mode(struct cursor *c, struct numeric_mode *m)
{
    walk_u8(c, &m->math);
    walk_u8(c, &m->kv);
    walk_u8(c, &m->wire);
    walk_zeros(c, 1);
}

static void walk_greet(struct cursor *c, void *message)
{
    struct greet *m = message;
    walk_u16(c, &m->node);
    walk_u16(c, &m->nodes);
    walk_u32(c, &m->numeric);
    walk_u64(c, &m->run);
    walk_mode(c, &m->mode);
    if (c->code) return;
    if (m->nodes < 2 || m->nodes > WORKERS_MOST + 1) cursor_refuse(c, "%u nodes; a run has 2 to %d", m->nodes, WORKERS_MOST + 1);
    else if (m->node < 1 || m->node >= m->nodes) cursor_refuse(c, "node %u of %u is not a worker's number", m->node, m->nodes);
}

static bool is_no_period(uint32_t us)
{
    return us && (us < PERIOD_LEAST_US || us > PERIOD_MOST_US);
}

static void walk_hello(struct cursor *c, void *message)
{
    struct hello *m = message;
    walk_u32(c, &m->pid);
    walk_u32(c, &m->threads);
    walk_u64(c, &m->memory);
    walk_u64(c, &m->member);
    walk_u32(c, &m->numeric);
    walk_u32(c, &m->share);
    walk_u32(c, &m->period);
    walk_u32(c, &m->tick);
    walk_u64(c, &m->group);
    walk_text(c, m->build, sizeof m->build, "a version");
    walk_text(c, m->host, sizeof m->host, "a host name");
    walk_text(c, m->isa, sizeof m->isa, "an instruction set");
    walk_text(c, m->cpu, sizeof m->cpu, "a processor");
    walk_text(c, m->blas, sizeof m->blas, "a library");
    if (c->code) return;
    if (!m->share != !m->period || is_no_period(m->period))
        cursor_refuse(c, "%u thousandths of a core in periods of %u us; a share has periods of %u to %u us", m->share, m->period, PERIOD_LEAST_US, PERIOD_MOST_US);
    else if (is_no_period(m->tick)) cursor_refuse(c, "ticks of %u us; %u to %u are possible", m->tick, PERIOD_LEAST_US, PERIOD_MOST_US);
}

static void walk_piece(struct cursor *c, void *message)
{
    struct piece *m = message;
    walk_u32(c, &m->tensor);
    walk_u32(c, &m->first_row);
    walk_u32(c, &m->rows);
    walk_zeros(c, 4);
    walk_u64(c, &m->hash);
    walk_u64(c, &m->n);
    if (c->direction == CURSOR_READ || m->bytes) walk_bytes(c, &m->bytes, m->n);
    else walk_room(c, &m->bytes, m->n);
}

static void walk_probed(struct cursor *c, void *message)
{
    struct probed *m = message;
    walk_count(c, &m->n, PROBE_POINTS, 16, "points");
    for (uint32_t i = 0; i < m->n && !c->code; i++) {
        walk_f64(c, &m->seconds[i]);
        walk_f64(c, &m->waited[i]);
        if (!(m->seconds[i] >= 0 && m->seconds[i] < 1e6)) cursor_refuse(c, "%g seconds for point %u", m->seconds[i], i);
        if (!(m->waited[i] >= 0 && m->waited[i] <= 1)) cursor_refuse(c, "others computed for %g of the time of point %u", m->waited[i], i);
    }
    walk_count(c, &m->bytes, PROBE_BYTES, 1, "bytes of filler");
    if (c->direction == CURSOR_READ || m->filler) walk_bytes(c, &m->filler, m->bytes);
    else walk_room(c, &m->filler, m->bytes);
}

static void walk_meet(struct cursor *c, void *message)
{
    struct meet *m = message;
    walk_u32(c, &m->node);
    walk_u32(c, &m->bytes);
    walk_bool(c, &m->call);
    walk_zeros(c, 3);
    for (size_t i = 0; i < sizeof m->key; i++) walk_u8(c, &m->key[i]);
    walk_text(c, m->address, sizeof m->address, "an address");
    if (!c->code && m->bytes > PROBE_BYTES) cursor_refuse(c, "%u bytes to travel, at most %u can be asked for", m->bytes, PROBE_BYTES);
}

static void walk_ready(struct cursor *c, void *message)
{
    struct ready *m = message;
    walk_u64(c, &m->resident);
    walk_f64(c, &m->seconds);
}

static void walk_fault(struct cursor *c, void *message)
{
    struct fault *m = message;
    walk_u32(c, &m->code);
    walk_text(c, m->text, sizeof m->text, "a sentence");
}

static void walk_unreachable(struct cursor *c, void *message)
{
    struct unreachable *m = message;
    walk_u32(c, &m->node);
    walk_bool(c, &m->wrong);
    walk_text(c, m->text, sizeof m->text, "a reason");
}

static void walk_nothing(struct cursor *c, void *message)
{
    (void)c, (void)message;
}

WALKED(greet, M_GREET, const)
WALKED(hello, M_HELLO, const)
WALKED(piece, M_PIECE, )
WALKED(probed, M_PROBED, )
WALKED(meet, M_MEET, const)
WALKED(ready, M_READY, const)
WALKED(unreachable, M_UNREACHABLE, const)

/* A fault often quotes what went wrong, bytes of files included; it must not be lost for a control character. */
int fault_write(struct frame **out, const struct fault *m, struct err *why)
{
    struct fault plain = *m;
    plain.text[sizeof plain.text - 1] = 0;
    for (char *s = plain.text; *s; s++)
        if ((unsigned char)*s < 32 || *s == 127) *s = ' ';
    return message_write(out, M_FAULT, walk_fault, &plain, why);
}

int fault_read(struct fault *m, struct frame *f, struct err *why)
{
    return message_read(f, M_FAULT, walk_fault, m, why);
}

int empty_write(struct frame **out, enum message type, struct err *why)
{
    return message_write(out, type, walk_nothing, 0, why);
}
