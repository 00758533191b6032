/* base/log.h — what the program says about itself, always on stderr; stdout belongs to results.
 *
 * Every line starts with who speaks ("gemmapipe", "worker 2"), so the output of several processes on one terminal
 * stays readable. Lines go out in one write each and are safe from any thread. What could move a terminal becomes a question mark. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_QUIET, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_open(const char *who, enum log_level level); /* `who` is copied; may be called again to rename */
enum log_level log_level(void);
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

/* Progress of one long job: on a terminal one line rewritten a few times a second, no longer than the terminal is wide (percent, rate,
 * time left), in a log one quiet line every ten seconds. Jobs that end within a second say nothing. One job at a time. */
struct progress {
    const char *label; /* "loading weights" */
    const char *unit;  /* "B" is shown with binary prefixes; any other word as it is */
    uint64_t total;
    uint64_t started_ns, shown_ns;
    bool terminal, drawn;
};

void progress_begin(struct progress *p, const char *label, const char *unit, uint64_t total);
void progress_at(struct progress *p, uint64_t done);
/* For who has more to say than how much is done: whether it is time to, and saying it. */
bool progress_due(struct progress *p);
void progress_say(struct progress *p, const char *text);
void progress_end(struct progress *p);
