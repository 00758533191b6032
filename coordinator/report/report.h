/* coordinator/report/report.h — the closing table: what was planned beside what happened; and the same as JSON. */
#pragma once

#include "coordinator/cluster/other_ways.h"
#include "coordinator/engine/fleet.h"
#include "coordinator/report/tally.h"

struct run_report;

/* The file of the JSON, if one is wanted, is opened now, so that nobody learns at the end that it cannot be written. */
int run_report_open(struct run_report **out, const char *json, struct err *why);
void run_report_close(struct run_report **r); /* sets *r to NULL; NULL is fine */

/* The workers are ready and nothing was asked yet: notes what their counters say so far, and watches `f` from now on. */
int run_report_begin(struct run_report *r, struct fleet *f, struct err *why);

const struct tally *run_report_tally(const struct run_report *r);

/* Whoever asked knows what a request is. If this is never called each ask is one that was completed. */
struct report_requests {
    uint64_t completed, failed; /* in this run */
    uint64_t prompt_tokens;     /* of those completed: once for each, however many choices it has */
};
void run_report_requests(struct run_report *r, const struct report_requests *n);

/* What else there would have been, for a line of the table and of the JSON. */
void run_report_other_ways(struct run_report *r, const struct other_ways *o);

/* Asks the workers for their counters, prints to stderr if `table`, for each replica one, and writes the file of the JSON if there is one. */
int run_report_finish(struct run_report *r, const struct fleet *f, bool table, struct err *why);

/* The same in numbers, of which the tally has the rest. */
struct report_sum {
    double seconds; /* from the first ask to the last end */
    double bubble;  /* part of the stages' time */
    double wire_per_token;
};
int run_report_sum(struct run_report *r, const struct fleet *f, struct report_sum *out, struct err *why);

/* The encoder's stages alone, for runs without text: pictures, seconds, and how much overlapped. */
int report_pictures(struct pipeline *p, struct err *why);
