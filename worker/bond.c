/* worker/bond.c — see bond.h. */
#include "worker/bond.h"

#include "base/planted.h"

void bond_begin(struct bond *b, struct port *port, const struct clock *clock)
{
    *b = (struct bond){.port = port, .clock = clock, .leased_ns = clock_boot_now(clock)};
    silence_broken(&b->silence, clock_now(clock));
    silence_broken(&b->idleness, clock_now(clock));
}

void bond_heard(struct bond *b, const struct frame *f)
{
    silence_broken(&b->silence, clock_now(b->clock));
    if (f->head.type == M_ASSIGN || f->head.type == M_GREET) b->assigned = f->head.type == M_ASSIGN;
    if (f->head.type != M_PING) silence_broken(&b->idleness, clock_now(b->clock));
}

static int check_silence(struct bond *b, struct err *why)
{
    const bool outlives = port_outlives_peers(b->port);
    const uint64_t most = !outlives ? RANK_SILENT_NS : b->ready ? COORDINATOR_SILENT_NS : UNREADY_SILENT_NS;
    if (silence_ns(&b->silence, clock_now(b->clock)) <= most) return 0;
    if (!outlives) port_shun(b->port, 0); /* an orderly end would wait for it too */
    return fail(why, E_WORKER, "the coordinator was silent for %llu s; the run is over", (unsigned long long)(most / 1000000000ull));
}

int bond_check(struct bond *b, bool more_is_due, struct err *why)
{
    if (!more_is_due || (b->waits && !b->assigned)) silence_broken(&b->idleness, clock_now(b->clock));
    TRY(check_silence(b, why));
    if (silence_ns(&b->idleness, clock_now(b->clock)) > IDLE_NS)
        return fail(why, E_WORKER, "the coordinator gave nothing to do for %llu s; the run is over", IDLE_NS / 1000000000ull);
    return 0;
}

bool bond_holds(const struct bond *b)
{
    return clock_boot_now(b->clock) - b->leased_ns < LEASE_NS || PLANTED(LEASE_NOT_CHECKED);
}

/* A stamp is one of ours: never from the future. */
static void renew(struct bond *b, uint64_t stamp_ns)
{
    if (stamp_ns > b->leased_ns && stamp_ns <= clock_boot_now(b->clock)) b->leased_ns = stamp_ns;
}

int bond_pong(struct bond *b, struct frame *ping, struct ping state, struct err *why)
{
    struct ping asked;
    struct frame *f = NULL;
    TRY(ping_read(&asked, ping, why));
    renew(b, asked.stamp_ns);
    b->waits = asked.queue > 0;
    state.at_ns = asked.at_ns;
    state.stamp_ns = clock_boot_now(b->clock);
    TRY(ping_write(&f, M_PONG, &state, why));
    return port_send_off(b->port, 0, f, why);
}
