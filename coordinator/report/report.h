/* coordinator/report/report.h — the closing table: what was planned beside what happened. */
#pragma once

#include "coordinator/engine/engine.h"

struct run_report;

int run_report_open(struct run_report **out, struct err *why);
void run_report_close(struct run_report **r); /* sets *r to NULL; NULL is fine */

/* A watcher of the engine; `user` is the report. */
void run_report_watch(void *user, const struct happened *what);

/* Asks the workers for their counters and prints to stderr. */
int run_report_print(struct run_report *r, struct pipeline *p, const struct engine *e, struct err *why);

/* The encoder's stages alone, for runs without text: pictures, seconds, and how much overlapped. */
int report_pictures(struct pipeline *p, struct err *why);
