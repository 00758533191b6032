/* coordinator/cluster/local_workers.h — workers the coordinator starts itself: processes of this machine, or threads of this process.
 *
 * Every process started here ends with us: told to stop, else SIGTERM, else SIGKILL, and by the kernel if we are killed. */
#ifndef COORDINATOR_CLUSTER_LOCAL_WORKERS_H
#define COORDINATOR_CLUSTER_LOCAL_WORKERS_H

#include "base/error.h"
#include "transport/links/transport.h"
#include "worker/worker.h"

#include <stdbool.h>
#include <sys/types.h>

struct children;

/* `how` is for each worker, of at least one thread. Its cores are of all of them: each takes the next ones.
 *
 * n gemmapipe-worker processes that listen on sockets in a folder of their own; *addresses points to n addresses. */
int children_start(struct children **out, int n, const struct worker_options *how, const char *const **addresses, struct err *why);

/* n workers as threads; *port is the coordinator's door. */
int children_start_here(struct children **out, int n, const struct worker_options *how, struct port **port, struct err *why);

/* Which child (1..n) has ended, and how ("was ended by signal 9 (Killed)"); 0 if all live. */
int children_ended(struct children *c, char *how, size_t room);
pid_t children_pid(const struct children *c, int node);

/* Waits up to `patience_ms` for all to end by themselves, then makes them. */
void children_finish(struct children **c, int patience_ms);

#endif
