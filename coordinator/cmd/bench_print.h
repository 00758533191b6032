/* coordinator/cmd/bench_print.h — what was measured, as tables for people and as JSON for scripts; both on `to`. */
#pragma once

#include "coordinator/cmd/bench.h"
#include "worker/worker.h"

/* limits NULL: some worker is on another machine. */
void bench_print(FILE *to, const struct bench *b, const struct fleet *fleet, const struct worker_limits *limits);
void bench_print_json(FILE *to, const struct bench *b, const struct fleet *fleet, const struct worker_limits *limits);
