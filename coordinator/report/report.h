/* coordinator/report/report.h — the closing table: what was planned beside what happened. */
#ifndef COORDINATOR_REPORT_REPORT_H
#define COORDINATOR_REPORT_REPORT_H

#include "coordinator/engine/serve.h"

/* Asks the workers for their counters and prints to stderr. `requests` gives the times to first token. */
int report_print(struct pipeline *p, const struct server *s, const struct request *requests, size_t n, struct err *why);

/* The encoder's stages alone, for runs without text: pictures, seconds, and how much overlapped. */
int report_pictures(struct pipeline *p, struct err *why);

#endif
