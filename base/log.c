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
#include <sys/ioctl.h>
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
    p->terminal = isatty(STDERR_FILENO);
}

/* How much of a line of UTF-8 is seen: a line that wraps could not be rewritten. */
static size_t visible(const char *text, size_t columns)
{
    size_t n = 0;
    for (; text[n]; n++)
        if (((unsigned char)text[n] & 0xc0) != 0x80 && columns-- == 0) break;
    return n;
}

void progress_say(struct progress *p, const char *text)
{
    struct winsize size = {0};
    char line[512];
    if (!p->terminal) return log_info("%s", text);
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || size.ws_col < 2) size.ws_col = 80;
    const int n = snprintf(line, sizeof line, "\r%.*s\x1b[K", (int)visible(text, size.ws_col - 1u), text);
    if (n < (int)sizeof line) p->drawn |= put_now(line, (size_t)n);
}

static void draw(struct progress *p, uint64_t done)
{
    double seconds = (double)(p->shown_ns - p->started_ns) / 1e9;
    double rate = seconds > 0 ? (double)done / seconds : 0;
    const double left = p->total > done ? (double)(p->total - done) / rate : 0;
    char until[32] = "";
    if (done || !p->total) snprintf(until, sizeof until, ", %.0f s left", left); /* before the first nobody knows */
    int percent = p->total ? (int)((double)done * 100 / (double)p->total) : 100;
    char per_second[48], bytes[24], line[256];
    if (!strcmp(p->unit, "B")) snprintf(per_second, sizeof per_second, "%s/s", show_bytes(bytes, (uint64_t)rate));
    else snprintf(per_second, sizeof per_second, "%.1f %s/s", rate, p->unit);
    snprintf(line, sizeof line, "%s %d%%, %s%s", p->label, percent, per_second, until);
    progress_say(p, line);
}

bool progress_due(struct progress *p)
{
    const uint64_t now = clock_ns();
    if (log_level() < LOG_INFO || now - p->started_ns < 1000000000ull) return false;
    if (now - p->shown_ns < (p->terminal ? 250000000ull : 10000000000ull)) return false;
    p->shown_ns = now;
    return true;
}

void progress_at(struct progress *p, uint64_t done)
{
    if (progress_due(p)) draw(p, done);
}

void progress_end(struct progress *p)
{
    if (p->drawn) put_now("\r\x1b[K", 4);
    p->drawn = false;
}
