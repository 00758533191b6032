/* coordinator/cluster/local_workers.h — workers that the coordinator starts itself: processes of this machine, or threads of
 * this process.
 *
 * Every process started here ends with us: it is told to stop, then gets SIGTERM, then SIGKILL; and if we are killed, the
 * kernel kills it at once, whatever it does, and nothing of it is left. */
#pragma once

#include "base/error.h"
#include "transport/links/transport.h"
#include "worker/worker.h"

#include <limits.h>

#include <stdbool.h>
#include <sys/types.h>

struct local_workers;

/* n gemmapipe-worker processes that listen on sockets of this machine which only this user can connect to. *addresses has n addresses, which belong to
 * *out. `how` is for each of them and names at least one thread; its cores are those of all together, and each worker takes
 * the next ones. */
int local_workers_start(struct local_workers **out, int n, const struct worker_options *how, const char *const **addresses,
                        struct err *why);

/* The same as threads. *port is the coordinator's, and the caller closes it. */
int local_workers_start_threads(struct local_workers **out, int n, const struct worker_options *how, struct port **port,
                                struct err *why);

/* The number (1..n) of a process that has ended, each once, and how ("was ended by signal 9 (Killed)"); 0: no other has. */
int local_workers_ended(struct local_workers *c, char *how, size_t room);

/* Another process in the place of the one with this number, which is ended if it has not ended yet. *address is where it listens. */
int local_workers_again(struct local_workers *c, int number, const char **address, struct err *why);
pid_t local_workers_pid(const struct local_workers *c, int number); /* 0 for a thread */

/* Waits up to `patience_ms` for all to end by themselves, then makes them. Sets *c to NULL; NULL is fine. */
void local_workers_finish(struct local_workers **c, int patience_ms);

/* Where gemmapipe-worker lies: beside this program. */
int worker_program(char path[PATH_MAX], struct err *why);
