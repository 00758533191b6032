/* coordinator/cmd/cmd_eval.c — `gemmapipe eval`: a file of test questions, answered as a batch job is, and what the answers are worth.
 *
 * The sum is made from the journal, in the order of the lines: so it is the same however often the job was stopped. */
#define _GNU_SOURCE
#include "coordinator/cmd/commands.h"
#include "coordinator/cmd/job_run.h"
#include "coordinator/quality/marks.h"

#include <stdlib.h>

static int add_all(struct marks *m, struct journal *j, size_t lines, struct err *why)
{
    for (size_t line = 1; line <= lines; line++) {
        char *text;
        size_t n;
        bool ok;
        if (!journal_is_done(j, line)) continue; /* blank */
        TRY(journal_result(j, line, &ok, &text, &n, why));
        const int code = ok ? marks_add(m, text, n, why) : 0;
        free(text);
        if (code) return code;
    }
    return 0;
}

static int print_marks(struct session *s, struct journal *j, size_t lines, struct err *why)
{
    struct marks marks = {0};
    const int code = add_all(&marks, j, lines, why);
    if (!code) marks_print(stdout_ring_stream(s->out), &marks, journal_failed(j), s->options->json);
    marks_free(&marks);
    return code;
}

int command_eval(const struct options *o, const struct cluster_wish *wish, struct port *mpi, struct err *why)
{
    const struct job_kind kind = {.tasks = true, .filter = o->filter, .sum_up = print_marks};
    struct options job = *o;
    char *out = NULL;
    job.in = o->tasks;
    if (!o->out && asprintf(&out, "%s.results", o->tasks) < 0) return fail(why, E_MEMORY, "no memory for the name of a file");
    if (!o->out) job.out = out;
    const int code = job_run(&job, &kind, wish, mpi, why);
    free(out);
    return code;
}
