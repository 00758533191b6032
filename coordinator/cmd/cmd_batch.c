/* coordinator/cmd/cmd_batch.c — `gemmapipe batch`: a file of requests in, a file of results out, resumable at any moment.
 *
 * What is done stands in the journal beside the output. The output itself is written at the end, whole, from the journal, in the
 * order of the input; so it is the same however often the job was stopped on the way. */
#define _GNU_SOURCE
#include "coordinator/cmd/advice.h"
#include "coordinator/cmd/batch_load.h"
#include "coordinator/cmd/commands.h"
#include "coordinator/cmd/job_run.h"
#include "coordinator/report/job_progress.h"

#include "base/disk.h"
#include "base/inputs.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/mapped.h"
#include "base/whole_file.h"
#include "worker/worker.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TURN_SHORT_MS 200

#define FACTS 16

struct batch_job {
    struct session session;
    const struct job_kind *kind;
    struct job_file *file;
    struct journal *journal;
    struct batch *batch;
    struct outputs *outputs; /* of results in the order in which they come */
    struct outputs_names names;
    char *folder, *in_path, *journal_path, *lock_path, *errors_path, *model_name;
    struct journal_fact fact[FACTS];
    size_t n_facts;
    uint64_t facts_hash;
    struct capacity capacity;
};

/* ---- what the job is ---- */

static void add_fact(struct batch_job *b, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void add_fact(struct batch_job *b, const char *name, const char *format, ...)
{
    struct journal_fact *f = &b->fact[b->n_facts++];
    va_list args;
    va_start(args, format);
    f->name = name;
    vsnprintf(f->value, sizeof f->value, format, args);
    va_end(args);
    b->facts_hash = hash_fold(hash_fold(b->facts_hash, hash64(f->name, strlen(f->name))), hash64(f->value, strlen(f->value)));
}

static const char *without_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* All that can change a byte of a result; not the workers, the split, the batch, or the build. */
static void note_facts(struct batch_job *b)
{
    const struct options *o = b->session.options;
    const struct pipeline *p = b->session.pipe;
    const struct sampling *s = &o->sampling;
    char hash[33], numbers[NUMERIC_TEXT];
    add_fact(b, "weights", "%s", show_hash128(hash, p->model->fingerprint));
    add_fact(b, "encoder", "%s%s", p->encoder ? show_hash128(hash, p->encoder->fingerprint) : "none", p->encoder && o->vision_q8 ? " as q8_0" : "");
    add_fact(b, "numbers", "version %" PRIu32 ", embedding %s", worker_numeric(), o->exact_embed_scale ? "exact" : "bf16");
    if (numeric_number(o->numbers)) add_fact(b, "precision", "%s", numeric_show(numbers, o->numbers));
    add_fact(b, "sampling", "--temp %.9g --top-k %" PRIu32 " --top-p %.9g --min-p %.9g --repeat-penalty %.9g over %" PRIu32,
             (double)s->temperature, s->top_k, (double)s->top_p, (double)s->min_p, (double)s->repeat_penalty, s->repeat_last);
    add_fact(b, "seed", "%" PRIu64, s->seed);
    add_fact(b, "limits", "%" PRIu32 " of %" PRIu32, o->most, b->capacity.context);
    add_fact(b, "fields", "%s", o->strict_fields ? "strict" : "any");
    add_fact(b, "created", "%" PRIu64, o->created);
    add_fact(b, "model's name", "%.100s", b->model_name);
    add_fact(b, "input's name", "%.100s", without_folder(b->in_path));
    add_fact(b, "memory for a picture", "%" PRIu64, o->picture_memory);
    add_fact(b, "input", "%s", show_hash128(hash, job_file_hash(b->file)));
    add_fact(b, "lines", "%zu", job_file_lines(b->file));
    if (b->kind->tasks) add_fact(b, "answers", "judged, %s", task_filter_names[b->kind->filter]);
}

static char *name_of_model(const char *path)
{
    char *copy = strdup(without_folder(path)), *dot = copy ? strrchr(copy, '.') : NULL;
    if (dot && dot != copy) *dot = 0;
    return copy;
}

/* "OUT.journal" and its like; where the results go to standard output they stand beside the journal. */
static int name_beside(char **out, const char *given, const char *beside, const char *ending, struct err *why)
{
    if ((given ? asprintf(out, "%s", given) : asprintf(out, "%s%s", beside, ending)) >= 0) return 0;
    *out = NULL;
    return fail(why, E_MEMORY, "no memory for the name of a file");
}

static int name_files(struct batch_job *b, const struct options *o, struct err *why)
{
    const bool to_stdout = !strcmp(o->out, "-");
    TRY(name_beside(&b->journal_path, o->journal, o->out, ".journal", why));
    TRY(name_beside(&b->lock_path, NULL, b->journal_path, ".lock", why));
    const char *base = to_stdout ? b->journal_path : o->out;
    TRY(name_beside(&b->errors_path, o->errors, base, ".errors", why));
    TRY(name_beside(&b->in_path, strcmp(o->in, "-") ? o->in : NULL, base, ".input", why));
    b->folder = disk_folder_of(o->in);
    b->model_name = name_of_model(o->model);
    b->names = (struct outputs_names){o->out, o->one_file ? NULL : b->errors_path};
    return b->folder && b->model_name ? 0 : fail(why, E_MEMORY, "no memory for the names of the files");
}

/* A pipe can be read once, and a job that is resumed reads it again: it is kept. */
static int keep_input(const struct batch_job *b, const struct options *o, struct err *why)
{
    char bytes[1 << 16];
    struct whole_file *f;
    size_t n;
    if (strcmp(o->in, "-") || (o->resume && is_file(b->in_path))) return 0;
    if (journal_is_held(b->journal_path)) return fail(why, E_FILE, "%s is held by a job that is running", b->journal_path);
    if (!o->overwrite && is_file(b->journal_path)) return fail_about(why, ABOUT_JOURNAL, E_FILE, "%s is there already", b->journal_path);
    TRY(whole_file_open(&f, b->in_path, why));
    int code = 0;
    while (!code && (n = fread(bytes, 1, sizeof bytes, stdin)) > 0) code = whole_file_write(f, bytes, n, why);
    if (!code && ferror(stdin)) code = fail_errno(why, E_FILE, "standard input cannot be read");
    if (!code && interrupt_seen()) code = fail(why, E_INTERRUPTED, "%s", interrupt_reason());
    return whole_file_close(&f, code, why);
}

static bool same_file(const char *a, const char *b)
{
    struct stat one, two;
    if (!strcmp(a, b)) return true;
    return !stat(a, &one) && !stat(b, &two) && one.st_dev == two.st_dev && one.st_ino == two.st_ino && S_ISREG(one.st_mode);
}

static int check_names(const struct batch_job *b, const struct options *o, struct err *why)
{
    const char *const path[] = {o->out, b->journal_path, b->lock_path, o->one_file ? NULL : b->errors_path};
    const size_t n = sizeof path / sizeof *path;
    for (size_t i = 0; i < n; i++)
        for (size_t k = i + 1; k < n; k++)
            if (path[i] && path[k] && same_file(path[i], path[k]))
                return fail(why, E_USAGE, "%s and %s are the same file; results, errors and journal want one each", path[i], path[k]);
    return 0;
}

/* The journal is not among the results, and is never put in the place of what was read either. */
static int check_files(const struct batch_job *b, const struct options *o, struct err *why)
{
    const struct outputs_names journal = {b->journal_path, NULL};
    struct stat st;
    if (!o->overwrite && !is_file(b->journal_path) && !stat(o->out, &st) && S_ISREG(st.st_mode) && st.st_size)
        return fail(why, E_FILE, "%s is there already, and is no result of this job; --overwrite replaces it", o->out);
    TRY(check_names(b, o, why));
    TRY(outputs_check(&journal, why));
    return outputs_check(&b->names, why);
}

static int open_journal(struct batch_job *b, struct err *why)
{
    const struct options *o = b->session.options;
    const struct journal_setup setup = {.path = b->journal_path, .mode = o->resume ? JOURNAL_RESUME : o->overwrite ? JOURNAL_OVERWRITE : JOURNAL_NEW,
                                        .no_lock = o->no_lock, .retry = o->retry_failed, .lines = job_file_lines(b->file), .facts = b->fact, .n_facts = b->n_facts};
    return journal_open(&b->journal, &setup, why);
}

/* ---- answering ---- */

static int open_batch(struct batch_job *b, struct err *why)
{
    struct session *s = &b->session;
    struct batch_setup setup = batch_load_setup(s, &b->capacity, b->file, b->folder);
    setup.journal = b->journal;
    setup.outputs = b->outputs;
    setup.tasks = b->kind->tasks;
    setup.filter = b->kind->filter;
    setup.defaults.file = without_folder(b->in_path);
    setup.common.job = b->facts_hash;
    setup.common.model = b->model_name;
    snprintf(setup.common.fingerprint, sizeof setup.common.fingerprint, "fp_%016" PRIx64,
             hash_fold(s->pipe->model->fingerprint.low ^ s->pipe->model->fingerprint.high, worker_numeric() + numeric_number(s->options->numbers)));
    return batch_open(&b->batch, &setup, why);
}

static int answer_lines(struct batch_job *b, struct err *why)
{
    struct session *s = &b->session;
    struct job_progress progress = {0};
    int code = 0;
    job_progress_begin(&progress, s->fleet, s->report ? run_report_tally(s->report) : NULL);
    while (!code && !batch_is_over(b->batch)) {
        code = batch_turn(b->batch, TURN_SHORT_MS, why);
        const struct batch_counts n = batch_counts(b->batch);
        const struct job_counts shown = {n.lines, n.done, n.failed, n.asked, n.unread, n.asked_bytes, n.unread_bytes};
        if (!code) code = job_progress_at(&progress, &shown, why);
    }
    job_progress_end(&progress);
    return code;
}

/* Whatever ended the run: what there is of the answers is kept. */
static int stop_resumable(struct batch_job *b, const struct err *over, struct err *why)
{
    const struct batch_counts n = batch_counts(b->batch);
    TRY(batch_put_away(b->batch, why));
    log_error("%s", over->text);
    return fail_about(why, ABOUT_RESUMING, E_RESUMABLE, "%zu of %zu lines are done, and the answers under way are kept", batch_counts(b->batch).done, n.lines);
}

static int answer(struct batch_job *b, struct err *why)
{
    struct err over = {0};
    int code = session_launch(&b->session, &b->capacity, why);
    if (code == E_INTERRUPTED) return fail_about(why, ABOUT_RESUMING, E_RESUMABLE, "interrupted before a line was asked");
    if (code == E_WORKER) return log_error("%s", why->text), fail_about(why, ABOUT_RESUMING, E_RESUMABLE, "no line was asked yet");
    if (code) return code;
    TRY(open_batch(b, why));
    code = answer_lines(b, &over);
    if (code == E_WORKER || code == E_WIRE || code == E_LINK || code == E_INTERRUPTED) return stop_resumable(b, &over, why);
    if (code) return *why = over, code;
    const struct batch_counts n = batch_counts(b->batch);
    if (b->session.report) run_report_requests(b->session.report, &(struct report_requests){n.answered, n.refused, n.prompt_tokens});
    return session_finish(&b->session, why);
}

/* ---- the output ---- */

static int write_outputs(struct batch_job *b, struct err *why)
{
    const struct options *o = b->session.options;
    TRY(job_file_check(b->file, why));
    TRY(o->in_order_done ? outputs_close(&b->outputs, why)
                                          : outputs_write(&b->names, b->journal, job_file_lines(b->file), why));
    if (!o->errors && !o->one_file && !journal_failed(b->journal)) remove(b->errors_path); /* of an earlier run */
    return journal_end(b->journal, why);
}

static int tell(struct batch_job *b, struct err *why)
{
    struct session *s = &b->session;
    const struct options *o = s->options;
    const size_t done = journal_done(b->journal), failed = journal_failed(b->journal);
    log_info("%zu lines answered: %s", done - failed, o->out);
    if (b->kind->sum_up) TRY(b->kind->sum_up(s, b->journal, job_file_lines(b->file), why));
    if (!failed) return 0;
    return fail(why, E_PARTLY, "%zu of %zu lines failed: %s", failed, done, o->one_file ? o->out : b->errors_path);
}

static int work(struct batch_job *b, const struct cluster_wish *wish, struct port *mpi, struct err *why)
{
    const struct options *o = b->session.options;
    TRY(name_files(b, o, why));
    TRY(session_open(&b->session, o, wish, mpi, why));
    TRY(keep_input(b, o, why));
    inputs_add(b->in_path);
    TRY(check_files(b, o, why));
    TRY(job_file_open(&b->file, b->in_path, why));
    TRY(batch_load_prepare(&b->capacity, &b->session, b->file, why));
    note_facts(b);
    TRY(open_journal(b, why));
    if (o->in_order_done) TRY(outputs_open(&b->outputs, &b->names, b->journal, why));
    if (journal_ended(b->journal)) log_info("%s says that this job is done", b->journal_path);
    else TRY(answer(b, why));
    TRY(write_outputs(b, why));
    return tell(b, why);
}

/* ---- without a run ---- */

static int journal_of(char **path, const char *out, struct err *why)
{
    const size_t n = strlen(out);
    const bool is_journal = n > 8 && !strcmp(out + n - 8, ".journal");
    return name_beside(path, is_journal ? out : NULL, out, ".journal", why);
}

/* For scripts: a line for each number; the exit status says whether there is something left to do. */
static int show_status(const struct options *o, struct err *why)
{
    struct journal_state s;
    char *path;
    TRY(journal_of(&path, o->status, why));
    const int code = journal_look(&s, path, why);
    free(path);
    if (code) return code;
    printf("lines %zu\ndone %zu\nfailed %zu\nstate %s\n", s.lines, s.done, s.failed, s.running ? "running" : s.ended ? "ended" : "stopped");
    if (fflush(stdout)) return fail_errno(why, E_FILE, "stdout could not be written");
    return !s.ended ? E_RESUMABLE : s.failed ? E_PARTLY : 0;
}

static int repair(const struct options *o, struct err *why)
{
    size_t lost;
    char *path;
    TRY(journal_of(&path, o->repair, why));
    const int code = journal_repair(path, &lost, why);
    if (!code) log_info("%s: %zu damaged records were left out; what they said is done again", path, lost);
    free(path);
    return code;
}

int command_batch(const struct options *o, const struct cluster_wish *wish, struct port *mpi, struct err *why)
{
    const struct job_kind requests = {0};
    if (o->status) return show_status(o, why);
    return o->repair ? repair(o, why) : job_run(o, &requests, wish, mpi, why);
}

int job_run(const struct options *o, const struct job_kind *kind, const struct cluster_wish *wish, struct port *mpi, struct err *why)
{
    struct batch_job b = {.session.options = o, .kind = kind};
    const int code = work(&b, wish, mpi, why);
    session_close(&b.session, code && code != E_PARTLY ? why : NULL);
    batch_close(&b.batch);
    journal_close(&b.journal);
    job_file_close(&b.file);
    outputs_close(&b.outputs, NULL);
    free(b.in_path);
    free(b.folder);
    free(b.journal_path);
    free(b.lock_path);
    free(b.errors_path);
    free(b.model_name);
    return code;
}
