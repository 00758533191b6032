/* coordinator/report/trace.h — a run as a file of trace events for a browser's viewer (Perfetto, chrome://tracing).
 *
 * Process 0 is the coordinator: asks (called "request" in the file) from when they come until they end, pictures and
 * micro-batches from when they leave until they are back, written as they happen. Process k is worker k: what it computed
 * from when to when, fetched at the end; of a second replica worker k is process 1001 + k, and so on. Times are microseconds since the run began. */
#pragma once

#include "coordinator/cluster/timeline.h"
#include "coordinator/engine/watch.h"

struct trace;

/* The file has its name when trace_finish has been there. Times are told since zero_ns. each_alone: what is told of replicas is told of one
 * after the other, so each has counters of its own. */
int trace_open(struct trace **out, const char *path, uint64_t zero_ns, bool each_alone, struct err *why);
void trace_abandon(struct trace **t); /* a run that failed leaves none */

/* A watcher of the engine; `user` is the trace. */
void trace_watch(void *user, const struct happened *what);

/* Adds what the workers of one replica did. */
void trace_add(struct trace *t, const struct pipeline *p, const struct timeline *line, int replica, int replicas);

/* Closes the file. NULL is fine: nobody asked for one. */
int trace_finish(struct trace **t, struct err *why);
