/* base/log.c — see log.h. */
#include "base/log.h"

#include "base/clock.h"
#include "base/plain_text.h"
#include "base/size_text.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME_ROOM 48

static struct {
    char who[NAME_ROOM]; /* under the lock: a worker is named while its other threads speak */
    pthread_mutex_t lock;
    atomic_int level;
} log_state = {"gemmapipe", PTHREAD_MUTEX_INITIALIZER, LOG_INFO};

void log_open(const char *who, enum log_level level)
{
    pthread_mutex_lock(&log_state.lock);
    snprintf(log_state.who, sizeof log_state.who, "%s", who);
    pthread_mutex_unlock(&log_state.lock);
    log_state.level = (int)level;
}

enum log_level log_level(void)
{
    return (enum log_level)log_state.level;
}

static void copy_name(char out[NAME_ROOM])
{
    pthread_mutex_lock(&log_state.lock);
    memcpy(out, log_state.who, NAME_ROOM);
    pthread_mutex_unlock(&log_state.lock);
}

static void put(const char *text, size_t n)
{
    while (n > 0) {
        ssize_t k = write(STDERR_FILENO, text, n);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return; /* nobody to tell */
        text += k;
        n -= (size_t)k;
    }
}

/* Not at all if the terminal was stopped: no work waits for Ctrl-Q because of a number. */
static bool put_now(const char *text, size_t n)
{
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&p, 1, 0) <= 0) return false;
    put(text, n);
    return true;
}

void log_line(enum log_level level, const char *format, ...)
{
    if (level > log_level()) return;
    char line[1024], who[NAME_ROOM];
    copy_name(who);
    int n = snprintf(line, sizeof line, "%s: %s", who, level == LOG_WARN ? "warning: " : "");
    va_list args;
    va_start(args, format);
    int m = vsnprintf(line + n, sizeof line - (size_t)n - 1, format, args);
    va_end(args);
    if (m < 0) return;
    size_t end = plain_text(line, strlen(line), false);
    line[end++] = '\n';
    put(line, end);
}

void progress_begin(struct progress *p, const char *label, const char *unit, uint64_t total)
{
    *p = (struct progress){.label = label, .unit = unit, .total = total, .started_ns = clock_ns()};
    p->shown_ns = p->started_ns;
}

static void draw(struct progress *p, uint64_t done, uint64_t now, bool terminal)
{
    double seconds = (double)(now - p->started_ns) / 1e9;
    double rate = seconds > 0 ? (double)done / seconds : 0;
    const double left = p->total > done ? (double)(p->total - done) / rate : 0;
    char until[32] = "";
    if (done || !p->total) snprintf(until, sizeof until, ", %.0f s left", left); /* before the first nobody knows */
    int percent = p->total ? (int)((double)done * 100 / (double)p->total) : 100;
    char per_second[48], bytes[24], line[256];
    if (!strcmp(p->unit, "B")) snprintf(per_second, sizeof per_second, "%s/s", show_bytes(bytes, (uint64_t)rate));
    else snprintf(per_second, sizeof per_second, "%.1f %s/s", rate, p->unit);
    if (terminal) {
        int n = snprintf(line, sizeof line, "\r%s %3d%%  %s%s \x1b[K", p->label, percent, per_second, until);
        p->drawn |= put_now(line, (size_t)n);
    } else {
        log_info("%s %d%%, %s%s", p->label, percent, per_second, until);
    }
}

void progress_at(struct progress *p, uint64_t done)
{
    if (log_level() < LOG_INFO) return;
    bool terminal = isatty(STDERR_FILENO);
    uint64_t now = clock_ns();
    if (now - p->started_ns < 1000000000ull) return;
    if (now - p->shown_ns < (terminal ? 250000000ull : 10000000000ull)) return;
    p->shown_ns = now;
    draw(p, done, now, terminal);
}

void progress_end(struct progress *p)
{
    if (p->drawn) put_now("\r\x1b[K", 4);
    p->drawn = false;
}
