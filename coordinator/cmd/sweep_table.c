/* coordinator/cmd/sweep_table.c — see sweep_table.h. */
#include "coordinator/cmd/sweep_table.h"

#include "base/disk.h"
#include "base/growing.h"
#include "base/inputs.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define LINE_MOST 1024 /* bytes; ours have half of that */

static const char *const measured_names[MEASURED] = {
    "requests", "failed", "seconds", "input_tokens", "reused_tokens", "output_tokens", "output_throughput", "input_throughput",
    "request_throughput", "median_ttft_ms", "p99_ttft_ms", "median_tpot_ms", "p99_tpot_ms", "bubble", "wire_bytes_per_token",
    "planned_bytes", "measured_bytes", "ready_s",
};

struct sweep_table {
    char *path; /* NULL: rows are printed */
    int fd;
    struct sweep_row *row; /* [n] */
    size_t n, room;
};

/* ---- a line ---- */

static void make_head(char out[LINE_MOST])
{
    size_t n = (size_t)snprintf(out, LINE_MOST, "model,load,settings");
    for (int i = 0; i < SWEPT; i++) n += (size_t)snprintf(out + n, LINE_MOST - n, ",%s", swept_kinds[i].name);
    for (int i = 0; i < MEASURED; i++) n += (size_t)snprintf(out + n, LINE_MOST - n, ",%s", measured_names[i]);
    snprintf(out + n, LINE_MOST - n, "\n");
}

static void make_line(char out[LINE_MOST], const struct sweep_row *r)
{
    char model[33], load[33];
    size_t n = (size_t)snprintf(out, LINE_MOST, "%s,%s,%016" PRIx64, show_hash128(model, r->key.model), show_hash128(load, r->key.load),
                                r->key.settings);
    for (int i = 0; i < SWEPT; i++) n += (size_t)snprintf(out + n, LINE_MOST - n, ",%" PRIu32, r->key.value[i]);
    for (int i = 0; i < MEASURED; i++) n += (size_t)snprintf(out + n, LINE_MOST - n, ",%.10g", r->measured[i]);
    snprintf(out + n, LINE_MOST - n, "\n");
}

static bool read_hash(struct hash128 *out, const char *text)
{
    return text && read_hash128(out, text, strlen(text));
}

/* Fields are numbers and hashes without quotes, as they were written. */
static bool read_line(struct sweep_row *r, char *line)
{
    char *rest = line, *field, *end;
    line[strcspn(line, "\r\n")] = 0;
    if (!read_hash(&r->key.model, strsep(&rest, ",")) || !read_hash(&r->key.load, strsep(&rest, ","))) return false;
    if (!(field = strsep(&rest, ",")) || strlen(field) != 16) return false;
    r->key.settings = strtoull(field, &end, 16);
    if (*end) return false;
    for (int i = 0; i < SWEPT; i++) {
        const unsigned long v = (field = strsep(&rest, ",")) ? strtoul(field, &end, 10) : 0;
        if (!field || !*field || *end || v > UINT32_MAX) return false;
        r->key.value[i] = (uint32_t)v;
    }
    for (int i = 0; i < MEASURED; i++) {
        if (!(field = strsep(&rest, ",")) || !*field) return false;
        r->measured[i] = strtod(field, &end);
        if (*end || !isfinite(r->measured[i])) return false;
    }
    return !rest;
}

/* ---- what is there ---- */

static int keep(struct sweep_table *t, const struct sweep_row *row, struct err *why)
{
    struct sweep_row *rows = array_with_room(t->row, t->n, &t->room, sizeof *rows);
    if (!rows) return fail(why, E_MEMORY, "no memory for %zu points of a sweep", t->n + 1);
    t->row = rows;
    t->row[t->n++] = *row;
    return 0;
}

static int read_rows(struct sweep_table *t, FILE *from, uint64_t *whole, struct err *why)
{
    char line[LINE_MOST], head[LINE_MOST];
    make_head(head);
    for (size_t number = 1; fgets(line, sizeof line, from); number++) {
        const size_t n = strlen(line);
        const bool ends = n && line[n - 1] == '\n', torn = !ends && feof(from);
        if (number == 1 && (torn ? strncmp(line, head, n) : strcmp(line, head)))
            return fail(why, E_FILE, "%s is no table of this program's sweeps: its first line is \"%.60s\"", t->path, line);
        if (torn) break;
        *whole += n;
        if (number == 1) continue;
        struct sweep_row row;
        if (!ends || !read_line(&row, line))
            return fail(why, E_FILE, "line %zu of %s is not a point of a sweep: \"%.60s\"", number, t->path, line);
        TRY(keep(t, &row, why));
    }
    return ferror(from) ? fail_errno(why, E_FILE, "%s cannot be read", t->path) : 0;
}

static int begin(struct sweep_table *t, struct err *why)
{
    const struct disk *d = disk_now();
    char head[LINE_MOST];
    uint64_t whole = 0;
    const int copy = dup(t->fd);
    FILE *from = copy < 0 ? NULL : fdopen(copy, "r");
    if (!from) {
        if (copy >= 0) close(copy);
        return fail_errno(why, E_FILE, "%s cannot be read", t->path);
    }
    const int code = read_rows(t, from, &whole, why);
    fclose(from);
    if (code) return code;
    if (d->cut(d->user, t->fd, whole)) return fail_errno(why, E_FILE, "%s cannot be cut to its whole lines", t->path);
    make_head(head);
    return whole || !disk_append(t->fd, head, strlen(head)) ? 0 : fail_errno(why, E_FILE, "%s cannot be written", t->path);
}

static int open_file(struct sweep_table *t, struct err *why)
{
    const struct disk *d = disk_now();
    struct stat st;
    t->fd = d->open_to_append(d->user, t->path);
    if (t->fd < 0) return fail_errno(why, E_FILE, "%s cannot be opened", t->path);
    if (fstat(t->fd, &st) || !S_ISREG(st.st_mode)) return fail(why, E_FILE, "%s is no file that points could be added to", t->path);
    if (inputs_name(&st)) return fail(why, E_FILE, "%s is a file that was read, %s, and is not written over", t->path, inputs_name(&st));
    if (flock(t->fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK) return fail(why, E_FILE, "%s is held by a sweep that is running", t->path);
    return begin(t, why);
}

int sweep_table_open(struct sweep_table **out, const char *path, struct err *why)
{
    struct sweep_table *t = *out = calloc(1, sizeof *t);
    char head[LINE_MOST];
    if (!t || (path && !(t->path = strdup(path)))) return fail(why, E_MEMORY, "no memory for a table");
    t->fd = -1;
    if (path) return open_file(t, why);
    make_head(head);
    return fputs(head, stdout) < 0 || fflush(stdout) ? fail_errno(why, E_FILE, "stdout could not be written") : 0;
}

void sweep_table_close(struct sweep_table **pt)
{
    struct sweep_table *t = *pt;
    *pt = NULL;
    if (!t) return;
    if (t->fd >= 0) disk_now()->close(disk_now()->user, t->fd);
    free(t->path);
    free(t->row);
    free(t);
}

static bool same_key(const struct sweep_key *a, const struct sweep_key *b)
{
    return hash128_same(a->model, b->model) && hash128_same(a->load, b->load) && a->settings == b->settings &&
           !memcmp(a->value, b->value, sizeof a->value);
}

const struct sweep_row *sweep_table_find(const struct sweep_table *t, const struct sweep_key *key)
{
    for (size_t i = 0; i < t->n; i++)
        if (same_key(&t->row[i].key, key)) return &t->row[i];
    return NULL;
}

int sweep_table_add(struct sweep_table *t, const struct sweep_row *row, struct err *why)
{
    const struct disk *d = disk_now();
    char line[LINE_MOST];
    make_line(line, row);
    if (!t->path && (fputs(line, stdout) < 0 || fflush(stdout))) return fail_errno(why, E_FILE, "stdout could not be written");
    if (t->path && (disk_append(t->fd, line, strlen(line)) || d->sync(d->user, t->fd)))
        return fail_errno(why, E_FILE, "a point cannot be added to %s", t->path);
    return keep(t, row, why);
}
