/* coordinator/engine/fleet.h — replicas: several pipelines that hold the same model, one thread that keeps all of them busy, one queue.
 *
 *                        ┌─ has room, and could begin it first ─► engine ─ pipeline 1
 *   ask ─► the queue ────┤                                        engine ─ pipeline 2
 *              ▲         └─ …                                     engine ─ pipeline 3
 *              └── its pipeline is being mended, or is lost for good; it gave up its slot ──┘
 *
 * Its interface is the engine's, and of one pipeline it is the engine and nothing else. Asks are given out as late as they can begin, so
 * whoever is faster gets more. A picture that one encoder has turned into rows is known to all. Neither seeds nor
 * keys depend on who computes, so answers do not either, to the last bit.
 *
 * A pipeline that lost a worker is mended while the others go on; those whose answers it computed go to the others as these have room, and
 * are computed again there from their ids. One that cannot be mended is left, and only with the last one the run is over.
 * Threads: one; only fleet_wake may be called from others. No call waits but fleet_turn. */
#pragma once

#include "coordinator/engine/engine.h"

struct fleet;

/* setup->pipe is not looked at: pipe[n] are, all launched for the same model and capacity. */
int fleet_open(struct fleet **out, struct pipeline *const *pipe, int n, const struct engine_setup *setup, struct err *why);
void fleet_close(struct fleet **f); /* as engine_close */

void fleet_watch(struct fleet *f, watcher *watch, void *user); /* all engines, as engine_watch */
struct pictures *fleet_pictures(struct fleet *f);
int fleet_ask(struct fleet *f, const struct ask *ask, const struct listener *listener, uint64_t *number, struct err *why);
void fleet_cancel(struct fleet *f, uint64_t number);
void fleet_enough(struct fleet *f, uint64_t number);
int fleet_turn(struct fleet *f, int timeout_ms, struct err *why);
void fleet_wake(struct fleet *f);
uint32_t fleet_unanswered(const struct fleet *f);
bool fleet_is_busy(const struct fleet *f);
struct engine_totals fleet_totals(const struct fleet *f); /* of all together; epoch: of the one that has begun anew most often */

int fleet_size(const struct fleet *f);
struct engine *fleet_engine(const struct fleet *f, int replica); /* from 0: to count what is its own. The fleet turns it */
struct pipeline *fleet_pipe(const struct fleet *f, int replica);
int fleet_stages(const struct fleet *f); /* workers of all replicas */
/* They, one after the other, by number from 0: whose it is, and which one there; NULL: there are no more. */
struct pipeline *fleet_stage(const struct fleet *f, int stage, int *worker);
bool fleet_lost(const struct fleet *f, int replica); /* for good */
