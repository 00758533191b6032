/* coordinator/cmd/cmd_sweep.c — `gemmapipe bench --sweep …`: one load at every combination of some settings, each a line of a table.
 *
 * Every point begins anew: workers, plan and memory are those of its own settings, and nothing an earlier point did is warm but the
 * weights that listening workers keep. What stands in the table is passed over, so a sweep that was stopped goes on with the same
 * words, and one with more numbers measures only what is new.
 *
 * Under mpirun workers end with the run: each start measures one point. */
#include "coordinator/cmd/commands.h"
#include "coordinator/cmd/plot.h"
#include "coordinator/cmd/sweep_load.h"
#include "coordinator/cmd/sweep_table.h"
#include "coordinator/cmd/wish.h"

#include "base/clock.h"
#include "base/disk.h"
#include "base/inputs.h"
#include "base/log.h"
#include "base/whole_file.h"

#include <stdlib.h>
#include <string.h>

#define POINTS_MOST 10000

static const uint32_t values_unsaid[SWEPT] = {[SWEPT_SEQUENCES] = 16, [SWEPT_PROMPT] = 256, [SWEPT_ANSWER] = 64};

struct sweep {
    const struct options *options;
    bool under_mpi;
    struct session ranks;    /* under mpirun: of the one point that is measured */
    struct sweep_key common; /* of all points, but for what is swept */
    struct job_file *file;   /* NULL: prompts at random */
    char *folder;
    struct sweep_table *table;
    uint32_t points, missing, measured, impossible;
    uint64_t began_ns;
};

/* ---- which points ---- */

/* The first axis goes slowest. */
static struct sweep_key key_of(const struct sweep *w, uint32_t point)
{
    const struct options *o = w->options;
    struct sweep_key key = w->common;
    for (uint32_t i = o->axes; i-- > 0;) {
        const struct numbers *v = &o->axis[i].values;
        key.value[o->axis[i].what] = v->at[point % v->n];
        point /= v->n;
    }
    return key;
}

static int count_points(struct sweep *w, struct err *why)
{
    uint64_t n = 1;
    for (uint32_t i = 0; i < w->options->axes && n <= POINTS_MOST; i++) n *= w->options->axis[i].values.n;
    if (n > POINTS_MOST) return fail(why, E_USAGE, "a sweep of more than %d points was asked for", POINTS_MOST);
    w->points = (uint32_t)n;
    return 0;
}

static uint64_t fold_text(uint64_t h, const char *text)
{
    return hash_fold(h, text ? hash64(text, strlen(text)) : 1);
}

/* What else than the swept can make a point faster or slower, as far as this command line says it. */
static uint64_t settings_of(const struct options *o, const struct pipeline *files, bool mpi)
{
    const char *const text[] = {o->split, o->vision_split, o->connect, o->cluster, o->memory};
    const uint64_t number[] = {mpi, o->here > 0, o->whole_head, o->vision_q8, (uint64_t)o->vision_workers, o->pin, o->send_weights,
                               o->exact_embed_scale, o->context, o->kv_positions, o->jobs ? 0 : o->reps};
    uint64_t h = files->encoder ? files->encoder->fingerprint.low : 0;
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) h = fold_text(h, text[i]);
    for (size_t i = 0; i < sizeof number / sizeof *number; i++) h = hash_fold(h, number[i]);
    return o->replicas ? hash_fold(h, (uint64_t)o->replicas) : h;
}

static void note_common(struct sweep *w, const struct pipeline *files, const struct cluster_wish *wish)
{
    const struct options *o = w->options;
    struct sweep_key *k = &w->common;
    *k = (struct sweep_key){.model = files->model->fingerprint, .settings = settings_of(o, files, w->under_mpi)};
    if (w->file) k->load = job_file_hash(w->file);
    else memcpy(k->value, values_unsaid, sizeof k->value);
    k->value[SWEPT_WORKERS] = (uint32_t)(w->under_mpi ? files->workers : wish_workers(wish));
    k->value[SWEPT_THREADS] = (uint32_t)o->threads;
    k->value[SWEPT_ROWS] = o->rows;
    k->value[SWEPT_IN_FLIGHT] = o->in_flight;
}

/* ---- a point ---- */

static void note_measured(struct sweep_row *row, const struct session *s, const struct report_sum *sum, uint64_t requests, uint64_t failed)
{
    const struct tally *t = run_report_tally(s->report);
    double *m = row->measured;
    uint64_t planned = 0, peak = 0;
    const struct pipeline *p;
    int worker;
    for (int i = 0; (p = fleet_stage(s->fleet, i, &worker)); i++) {
        if (pipeline_planned(p, worker) < planned) continue;
        planned = pipeline_planned(p, worker);
        peak = p->crew[worker]->report.peak_resident;
    }
    m[OF_REQUESTS] = (double)requests;
    m[OF_FAILED] = (double)failed;
    m[OF_SECONDS] = sum->seconds;
    m[OF_INPUT_TOKENS] = (double)t->asked_rows;
    m[OF_REUSED_TOKENS] = (double)t->reused_rows;
    m[OF_OUTPUT_TOKENS] = (double)t->made;
    if (sum->seconds > 0) {
        m[OF_OUTPUT_THROUGHPUT] = (double)t->made / sum->seconds;
        m[OF_INPUT_THROUGHPUT] = (double)t->asked_rows / sum->seconds;
        m[OF_REQUEST_THROUGHPUT] = (double)requests / sum->seconds;
    }
    m[OF_TTFT_MEDIAN] = 1e3 * times_below(&t->first, 0.5);
    m[OF_TTFT_P99] = 1e3 * times_below(&t->first, 0.99);
    m[OF_TPOT_MEDIAN] = 1e3 * times_below(&t->between, 0.5);
    m[OF_TPOT_P99] = 1e3 * times_below(&t->between, 0.99);
    m[OF_BUBBLE] = sum->bubble;
    m[OF_WIRE] = sum->wire_per_token;
    m[OF_PLANNED] = (double)planned;
    m[OF_MEASURED] = (double)peak;
    m[OF_READY] = s->pipe->launch_seconds;
}

static int measure(struct sweep_load *l, struct session *s, struct sweep_row *row, struct err *why)
{
    struct report_sum sum;
    uint64_t requests, failed;
    TRY(sweep_load_prepare(l, s, why));
    TRY(session_launch(s, &l->capacity, why));
    TRY(sweep_load_run(l, s, &requests, &failed, why));
    TRY(run_report_sum(s->report, s->fleet, &sum, why));
    note_measured(row, s, &sum, requests, failed);
    return 0;
}

/* The command line of this point alone. */
static struct options options_at(const struct sweep *w, const struct sweep_key *key)
{
    struct options o = *w->options;
    const uint32_t *v = key->value;
    o.report = true; /* it counts; nothing is printed */
    for (uint32_t i = 0; i < o.axes; i++) {
        if (o.axis[i].what != SWEPT_WORKERS || o.connect || o.cluster) continue;
        if (o.here) o.here = (int)v[SWEPT_WORKERS];
        else o.workers = (int)v[SWEPT_WORKERS];
    }
    o.threads = (int)v[SWEPT_THREADS];
    o.rows = v[SWEPT_ROWS];
    o.in_flight = v[SWEPT_IN_FLIGHT];
    o.sequences = v[SWEPT_SEQUENCES];
    return o;
}

static int take_first_workers(struct cluster_wish *wish, uint32_t workers, struct err *why)
{
    if (!wish->n_addresses || (int)workers == wish->n_addresses) return 0;
    if ((int)workers > wish->n_addresses)
        return fail(why, E_USAGE, "a point wants %u workers, and %d were named", workers, wish->n_addresses);
    wish->n_addresses = (int)workers;
    return 0;
}

static int run_point(struct sweep *w, const struct sweep_key *key, struct sweep_row *row, struct err *why)
{
    const struct options o = options_at(w, key);
    struct sweep_load load = {.file = w->file, .folder = w->folder, .repeats = o.reps};
    struct session own = {0}, *s = w->under_mpi ? &w->ranks : &own;
    struct cluster_wish wish;
    struct wish_lists *lists = NULL;
    int code = 0;
    *row = (struct sweep_row){.key = *key};
    memcpy(load.value, key->value, sizeof load.value);
    if (w->under_mpi) s->options = &o;
    else code = wish_read(&wish, &lists, &o, why);
    if (!code && !w->under_mpi) code = take_first_workers(&wish, key->value[SWEPT_WORKERS], why);
    if (!code && !w->under_mpi) code = session_open(s, &o, &wish, NULL, why);
    if (!code) code = measure(&load, s, row, why);
    session_close(s, code ? why : NULL);
    sweep_load_close(&load);
    wish_free(&lists);
    return code;
}

enum naming { NAME_ALL, NAME_FIXED, NAME_LINE };

/* Of several numbers the first axis goes sideways in the drawing; the others tell its lines apart. */
static uint32_t sideways(const struct options *o)
{
    uint32_t x = 0;
    while (x + 1 < o->axes && o->axis[x].values.n == 1) x++;
    return x;
}

static void name_point(char out[200], const struct options *o, const struct sweep_key *key, enum naming which)
{
    size_t n = 0;
    out[0] = 0;
    for (uint32_t i = 0; i < o->axes && n < 160; i++) {
        const bool fixed = o->axis[i].values.n == 1;
        if (which != NAME_ALL && (i == sideways(o) || fixed != (which == NAME_FIXED))) continue;
        n += (size_t)snprintf(out + n, 200 - n, "%s%s %u", n ? ", " : "", swept_kinds[o->axis[i].what].name, key->value[o->axis[i].what]);
    }
}

static void tell(const struct sweep *w, const struct sweep_row *row)
{
    char name[200];
    const double took = (double)(clock_ns() - w->began_ns) / 1e9;
    const uint32_t tried = w->measured + w->impossible, left = w->missing - tried;
    name_point(name, w->options, &row->key, NAME_ALL);
    log_info("point %u of %u%s%s: %.2f tok/s of answers; %s %.0f s%s", w->points - left, w->points, *name ? ", " : "", name,
             row->measured[OF_OUTPUT_THROUGHPUT], left ? "about" : "all in", left ? took / tried * left : took, left ? " left" : "");
}

/* One that needs more memory than there is says so, and the others follow; but not under mpirun, where it would be met at each start. */
static int try_point(struct sweep *w, const struct sweep_key *key, struct err *why)
{
    struct sweep_row row;
    char name[200];
    name_point(name, w->options, key, NAME_ALL);
    const int code = run_point(w, key, &row, why);
    if (code == E_MEMORY && !w->under_mpi) {
        w->impossible++;
        log_warn("%s%s%s", name, *name ? ": " : "", why->text);
        return 0;
    }
    if (code) return code;
    w->measured++;
    TRY(sweep_table_add(w->table, &row, why));
    tell(w, &row);
    return 0;
}

static int stopped(const struct sweep *w, struct err *why)
{
    const uint32_t done = w->points - w->missing + w->measured;
    return fail(why, E_RESUMABLE, "%u of %u points are measured; the same command line goes on", done, w->points);
}

static int run_points(struct sweep *w, struct err *why)
{
    for (uint32_t i = 0; i < w->points; i++) {
        const struct sweep_key key = key_of(w, i);
        w->missing += sweep_table_find(w->table, &key) == NULL;
    }
    if (w->missing && w->missing < w->points) log_info("%u of %u points are there already", w->points - w->missing, w->points);
    for (uint32_t i = 0; i < w->points; i++) {
        const struct sweep_key key = key_of(w, i);
        if (sweep_table_find(w->table, &key)) continue;
        if (w->under_mpi && w->measured) return stopped(w, why);
        const int code = try_point(w, &key, why);
        if (code == E_INTERRUPTED && w->options->csv) return stopped(w, why);
        if (code) return code;
    }
    if (!w->impossible) return 0;
    return fail(why, E_PARTLY, "%u of %u points need more memory than there is", w->impossible, w->points);
}

/* ---- the drawing ---- */

static int by_x(const void *a, const void *b)
{
    const struct plot_point *p = a, *q = b;
    return (p->x > q->x) - (p->x < q->x);
}

/* The points of line `number`: those whose other axes stand where it says. */
static int make_line(struct plot_line *l, const struct sweep *w, uint32_t number, struct err *why)
{
    const struct options *o = w->options;
    const uint32_t x = sideways(o), n = o->axes ? o->axis[x].values.n : 1;
    uint32_t apart = 1; /* neighbours sideways */
    for (uint32_t i = x + 1; i < o->axes; i++) apart *= o->axis[i].values.n;
    l->point = calloc(n, sizeof *l->point);
    if (!l->point) return fail(why, E_MEMORY, "no memory to draw %u points", n);
    for (uint32_t i = 0; i < n; i++) {
        const struct sweep_key key = key_of(w, (number / apart * n + i) * apart + number % apart);
        const struct sweep_row *row = sweep_table_find(w->table, &key);
        name_point(l->name, o, &key, NAME_LINE);
        if (row) l->point[l->n++] = (struct plot_point){o->axes ? key.value[o->axis[x].what] : 1, row->measured[OF_OUTPUT_THROUGHPUT]};
    }
    qsort(l->point, l->n, sizeof *l->point, by_x);
    return 0;
}

static int draw(const struct sweep *w, struct whole_file *to, struct err *why)
{
    const struct options *o = w->options;
    const uint32_t lines = o->axes ? w->points / o->axis[sideways(o)].values.n : 1;
    const struct sweep_key first = key_of(w, 0);
    const char *slash = strrchr(o->model, '/');
    char title[500], fixed[200];
    struct plot_line *line = calloc(lines, sizeof *line);
    if (!line) return fail(why, E_MEMORY, "no memory to draw %u lines", lines);
    name_point(fixed, o, &first, NAME_FIXED);
    snprintf(title, sizeof title, "%.200s%s%s", slash ? slash + 1 : o->model, *fixed ? ", " : "", fixed);
    const struct plot p = {.title = title, .x = o->axes ? swept_kinds[o->axis[sideways(o)].what].says : "",
                           .y = "tokens of answers a second", .line = line, .n = lines};
    int code = 0;
    for (uint32_t i = 0; i < lines && !code; i++) code = make_line(&line[i], w, i, why);
    if (!code) plot_write(whole_file_stream(to), &p);
    for (uint32_t i = 0; i < lines; i++) free(line[i].point);
    free(line);
    return code;
}

/* A sweep that was stopped leaves the drawing of an earlier one as it was. */
static int finish_drawing(const struct sweep *w, struct whole_file **to, int code, struct err *why)
{
    const bool whole = !code || code == E_PARTLY;
    struct err mine = {0};
    int drawn = whole ? draw(w, *to, &mine) : code;
    drawn = whole_file_close(to, drawn, &mine);
    if (!whole || !drawn) return code;
    *why = mine;
    return drawn;
}

/* ---- all of it ---- */

/* The model's name, and under mpirun the ranks: they wait for a word, so that is asked for before anything can fail. */
static int open_all(struct sweep *w, const struct cluster_wish *wish, struct port *mpi, struct err *why)
{
    const struct options *o = w->options;
    struct session files = {0};
    w->under_mpi = mpi;
    int code = w->under_mpi ? session_open(&w->ranks, o, wish, mpi, why) : session_open_files(&files, o, wish, why);
    if (!code && o->jobs) {
        inputs_add(o->jobs);
        w->folder = disk_folder_of(o->jobs);
        code = w->folder ? job_file_open(&w->file, o->jobs, why) : fail(why, E_MEMORY, "no memory for the name of a folder");
    }
    if (!code) code = count_points(w, why);
    if (!code) note_common(w, w->under_mpi ? w->ranks.pipe : files.pipe, wish);
    for (uint32_t i = 0; i < o->axes && w->under_mpi && !code; i++)
        if (o->axis[i].what == SWEPT_WORKERS) code = fail(why, E_USAGE, "under mpirun the ranks are the workers, and cannot be swept");
    session_close(&files, NULL);
    if (!code) code = sweep_table_open(&w->table, o->csv, why);
    if (!code && o->csv) inputs_add(o->csv); /* so no drawing takes its place */
    return code;
}

int command_sweep(const struct options *o, const struct cluster_wish *wish, struct port *mpi, struct err *why)
{
    struct options counting = *o;
    struct sweep w = {.options = &counting, .began_ns = clock_ns()};
    struct whole_file *plot = NULL;
    counting.report = true;
    int code = open_all(&w, wish, mpi, why);
    if (!code && o->plot) code = whole_file_open(&plot, o->plot, why);
    if (!code) code = run_points(&w, why);
    if (plot) code = finish_drawing(&w, &plot, code, why);
    session_close(&w.ranks, code ? why : NULL);
    sweep_table_close(&w.table);
    job_file_close(&w.file);
    free(w.folder);
    return code;
}
