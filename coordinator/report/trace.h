/* coordinator/report/trace.h — a run as a file of trace events, to be looked at in a browser's trace viewer (Perfetto, chrome://tracing).
 *
 * Process 0 is the coordinator: requests, pictures and micro-batches from when they leave until they are back, written as
 * they happen. Process k is worker k: what it computed from when to when, fetched at the end. Times are microseconds since
 * the run began. All functions take a NULL trace and do nothing: nobody asked for one. */
#ifndef COORDINATOR_REPORT_TRACE_H
#define COORDINATOR_REPORT_TRACE_H

#include "coordinator/cluster/pipeline.h"
#include "coordinator/engine/request.h"
#include "coordinator/engine/scheduler.h"

struct trace;

/* The file has its name when trace_finish has been there. */
int trace_open(struct trace **out, const char *path, struct err *why);
void trace_abandon(struct trace **t); /* a run that failed leaves none */

void trace_request_begins(struct trace *t, const struct request *r);
void trace_request_goes(struct trace *t, const struct request *r); /* its pictures are there */
void trace_first_token(struct trace *t, const struct request *r);
void trace_request_ends(struct trace *t, const struct request *r);
void trace_picture_sent(struct trace *t, uint32_t number, int node);
void trace_picture_back(struct trace *t, uint32_t number);
void trace_batch_sent(struct trace *t, const struct schedule_batch *b, struct request *const *requests); /* by number */
void trace_batch_back(struct trace *t, uint64_t id);

/* Fetches what the workers did and closes the file of p->trace, if there is one. Call it while nothing is under way. */
int trace_finish(struct pipeline *p, struct err *why);

#endif
