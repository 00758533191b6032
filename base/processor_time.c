/* base/processor_time.c — see processor_time.h. */
#include "base/processor_time.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>

#define TICKS_LEAST 20 /* fewer tell nothing: they are hundredths of a second */

static void add_thread(struct processor_time *t, const char *name)
{
    char path[300];
    uint64_t ran, waited;
    snprintf(path, sizeof path, "/proc/self/task/%.32s/schedstat", name);
    FILE *f = fopen(path, "re");
    if (!f) return;
    if (fscanf(f, "%" SCNu64 " %" SCNu64, &ran, &waited) == 2) t->ran_ns += ran, t->waited_ns += waited;
    fclose(f);
}

static void add_machine(struct processor_time *t)
{
    uint64_t v[8]; /* user, nice, system, idle, iowait, irq, softirq, steal */
    FILE *f = fopen("/proc/stat", "re");
    if (!f) return;
    if (fscanf(f, "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &v[0], &v[1], &v[2], &v[3], &v[4],
               &v[5], &v[6], &v[7]) == 8) {
        for (int i = 0; i < 8; i++) t->ticks += v[i];
        t->stolen = v[7];
    }
    fclose(f);
}

struct processor_time processor_time(void)
{
    struct processor_time t = {0};
    DIR *d = opendir("/proc/self/task");
    for (const struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.') add_thread(&t, e->d_name);
    if (d) closedir(d);
    add_machine(&t);
    return t;
}

/* A thread that ended between is not counted any more, so a sum may be less than before. */
static double share(uint64_t from, uint64_t to, uint64_t of)
{
    return to > from && of ? (double)(to - from) / (double)of : 0;
}

double processor_time_waited(const struct processor_time *from, const struct processor_time *to)
{
    const uint64_t ran = to->ran_ns > from->ran_ns ? to->ran_ns - from->ran_ns : 0;
    const uint64_t waited = to->waited_ns > from->waited_ns ? to->waited_ns - from->waited_ns : 0;
    const double own = share(from->waited_ns, to->waited_ns, ran + waited);
    const uint64_t ticks = to->ticks > from->ticks ? to->ticks - from->ticks : 0; /* time spent waiting for disks may run backwards */
    const double stolen = ticks >= TICKS_LEAST ? share(from->stolen, to->stolen, ticks) : 0;
    return own > stolen ? own : stolen < 1 ? stolen : 1;
}
