/* base/barrier.h — where the threads of a team wait for each other, many thousand times a second.
 *
 * A waiting thread spins for some ten microseconds, then offers its core to whoever else wants it, again and again, for a
 * millisecond, and only then sleeps. Sleeping at nearly every barrier made a step of decode take up to a fifth longer;
 * spinning without the offer is worse where cores are shared: the thread that everybody waits for does not get one
 * (docs/SPEED.md 15).
 *
 * A team of more threads than cores, or one that shares them with such others, sleeps at once: whoever is awaited is then most likely one that has no core yet, and all who
 * look for it to arrive keep it from getting one. So does, fifty times, who offered its core and did not get it back at once: where much else runs a
 * core that was offered comes back after everybody else's turn, a thread that sleeps when it is woken (docs/SPEED.md 46). */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct barrier {
    _Atomic uint32_t arrived, round, sleepers, naps; /* naps: waits that are still to be slept through */
    uint32_t cores; /* that the team has, as far as is known */
    pthread_mutex_t lock;
    pthread_cond_t next;
};

/* `crowded`: other teams compute on the same cores, and there are not enough for all. */
void barrier_open(struct barrier *b, bool crowded);
void barrier_close(struct barrier *b);

/* Returns when `threads` threads have called it as often as this one; each must say the same number. What they wrote before
 * is then seen by all. */
void barrier_wait(struct barrier *b, uint32_t threads);
