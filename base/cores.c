/* base/cores.c — see cores.h. */
#define _GNU_SOURCE
#include "base/cores.h"

#include <omp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void cores_mine(struct cores *out)
{
    cpu_set_t set;
    out->n = 0;
    if (sched_getaffinity(0, sizeof set, &set)) return; /* more cores than the set holds: as if not asked */
    for (int id = 0; id < CPU_SETSIZE && id < CORES_MOST; id++)
        if (CPU_ISSET(id, &set)) out->id[out->n++] = (uint16_t)id;
}

/* ---- lists, as the system writes them ---- */

/* Takes "5" or "5-7" and a comma from *text. */
static bool take_range(const char **text, unsigned long *first, unsigned long *last)
{
    char *end;
    if (**text < '0' || **text > '9') return false;
    *first = *last = strtoul(*text, &end, 10);
    if (*end == '-') {
        if (end[1] < '0' || end[1] > '9') return false;
        *last = strtoul(end + 1, &end, 10);
    }
    if (*end == ',' && end[1]) end++;
    *text = end;
    return *first <= *last && *last < CORES_MOST;
}

static bool holds(const struct cores *list, unsigned long id)
{
    for (int i = 0; i < list->n; i++)
        if (list->id[i] == id) return true;
    return false;
}

int cores_read(struct cores *out, const char *text, struct err *why)
{
    struct cores mine;
    char range[CORES_TEXT];
    const char *at = text;
    cores_mine(&mine);
    out->n = 0;
    do {
        unsigned long first, last;
        if (!take_range(&at, &first, &last))
            return fail(why, E_USAGE, "\"%.60s\" is not a list of cores; wanted something like 0-3,8", text);
        for (unsigned long id = first; id <= last; id++) {
            if (holds(out, id)) return fail(why, E_USAGE, "core %lu stands twice in \"%.60s\"", id, text);
            if (!holds(&mine, id))
                return fail(why, E_USAGE, "core %lu may not be used here; these may: %.200s", id, cores_text(&mine, range));
            out->id[out->n++] = (uint16_t)id;
        }
    } while (*at);
    return 0;
}

const char *cores_text(const struct cores *of, char text[CORES_TEXT])
{
    int at = 0;
    text[0] = 0;
    for (int i = 0; i < of->n; i++) at += snprintf(text + at, CORES_TEXT - (size_t)at, i ? ",%u" : "%u", of->id[i]);
    return text;
}

struct cores cores_from(const struct cores *of, int first, int n)
{
    struct cores out = {0};
    while (out.n < n && out.n < of->n) {
        out.id[out.n] = of->id[(first + out.n) % of->n];
        out.n++;
    }
    return out;
}

/* ---- which are near each other ---- */

struct cpu_place {
    int node, core; /* core: its first thread */
    uint16_t id;
};

static bool read_line(char *line, int room, const char *path)
{
    FILE *f = fopen(path, "r");
    if (!f) return false;
    bool there = fgets(line, room, f) != NULL;
    fclose(f);
    if (there) line[strcspn(line, "\n")] = 0;
    return there;
}

static int core_of(const char *sys, int id)
{
    char path[256], line[256];
    const char *at = line;
    unsigned long first, last;
    snprintf(path, sizeof path, "%.128s/cpu/cpu%d/topology/thread_siblings_list", sys, id);
    return read_line(line, sizeof line, path) && take_range(&at, &first, &last) ? (int)first : id;
}

static void read_nodes(int node_of[CORES_MOST], const char *sys)
{
    memset(node_of, 0, CORES_MOST * sizeof *node_of);
    for (int node = 0; node < CORES_MOST; node++) {
        char path[256], line[4096];
        const char *at = line;
        unsigned long first, last;
        snprintf(path, sizeof path, "%.128s/node/node%d/cpulist", sys, node);
        if (!read_line(line, sizeof line, path)) continue;
        while (*at && take_range(&at, &first, &last))
            for (unsigned long id = first; id <= last; id++) node_of[id] = node;
    }
}

static int by_place(const void *a, const void *b)
{
    const struct cpu_place *x = a, *y = b;
    if (x->node != y->node) return x->node < y->node ? -1 : 1;
    if (x->core != y->core) return x->core < y->core ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* The first thread of each core, of sorted places. Returns how many. */
static int firsts_only(struct cpu_place *place, int n)
{
    int kept = 0;
    for (int i = 0; i < n; i++)
        if (i == 0 || place[i].core != place[i - 1].core) place[kept++] = place[i];
    return kept;
}

void cores_in_order(struct cores *out, const struct cores *of, int threads, const char *sys)
{
    struct cpu_place all[CORES_MOST], whole[CORES_MOST];
    int node_of[CORES_MOST];
    read_nodes(node_of, sys);
    for (int i = 0; i < of->n; i++) all[i] = (struct cpu_place){node_of[of->id[i]], core_of(sys, of->id[i]), of->id[i]};
    qsort(all, (size_t)of->n, sizeof *all, by_place);
    memcpy(whole, all, (size_t)of->n * sizeof *all);
    const int wholes = firsts_only(whole, of->n);
    const struct cpu_place *take = threads <= wholes ? whole : all;
    const int n = threads <= wholes ? wholes : of->n;
    for (int i = 0; i < n; i++) out->id[i] = take[i].id;
    out->n = n;
}

void cores_for(struct cores *out, int threads)
{
    struct cores mine;
    cores_mine(&mine);
    cores_in_order(out, &mine, threads, CORES_SYS);
}

/* ---- binding ---- */

void cores_keep_to(const struct cores *of)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int i = 0; i < of->n; i++) CPU_SET(of->id[i], &set);
    if (of->n) (void)sched_setaffinity(0, sizeof set, &set);
}

void cores_bind_team(const struct cores *of, int threads)
{
    if (of->n == 0) return;
#pragma omp parallel num_threads(threads)
    {
        const struct cores one = cores_from(of, omp_get_thread_num(), 1);
        cores_keep_to(&one);
    }
}
