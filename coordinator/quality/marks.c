/* coordinator/quality/marks.c — see marks.h. */
#include "coordinator/quality/marks.h"

#include "base/json.h"
#include "coordinator/quality/spread.h"

#include <math.h>
#include <stdlib.h>

static const struct {
    const char *type, *name;
    bool part; /* of 0 and 1; else a log-likelihood */
} mark[MARKS] = {{"multiple_choice", "acc", true}, {"multiple_choice", "acc_norm", true}, {"loglikelihood", "acc", true},
                 {"loglikelihood", "likelihood", false}, {"generate_until", "exact_match", true}};

static int push(struct marks *m, int i, double v, struct err *why)
{
    if (m->of[i].n == m->of[i].room) {
        const size_t room = m->of[i].room ? 2 * m->of[i].room : 256;
        double *more = realloc(m->of[i].v, room * sizeof *more);
        if (!more) return fail(why, E_MEMORY, "no memory for %zu results", room);
        m->of[i].v = more;
        m->of[i].room = room;
    }
    m->of[i].v[m->of[i].n++] = v;
    return 0;
}

static int read_line(struct marks *m, struct json *j, struct err *why)
{
    struct json_text key, type;
    bool mine[MARKS] = {0};
    TRY(json_object(j));
    while (json_key(j, &key)) {
        int i = 0;
        double v;
        while (i < MARKS && !(mine[i] && json_is(key, mark[i].name))) i++;
        if (i < MARKS) {
            TRY(json_double(j, &v));
            TRY(push(m, i, v, why));
        } else if (json_is(key, "output_type")) {
            TRY(json_string(j, &type));
            for (i = 0; i < MARKS; i++) mine[i] = json_is(type, mark[i].type);
        } else {
            TRY(json_skip(j));
        }
    }
    return json_done(j);
}

int marks_add(struct marks *m, const char *result, size_t n, struct err *why)
{
    struct json j;
    json_begin(&j, result, n, "a result in the journal", why);
    const int code = read_line(m, &j, why);
    json_end(&j);
    return code;
}

void marks_free(struct marks *m)
{
    for (int i = 0; i < MARKS; i++) free(m->of[i].v);
    *m = (struct marks){0};
}

static struct interval interval_of(const double *v, size_t n, int i, struct estimate e)
{
    size_t hits = 0;
    for (size_t k = 0; k < n; k++) hits += v[k] > 0;
    return mark[i].part ? wilson(hits, n) : (struct interval){e.value - 1.959963984540054 * e.error, e.value + 1.959963984540054 * e.error};
}

void marks_print(FILE *to, const struct marks *m, size_t failed, bool json)
{
    const char *between = "";
    if (json) fprintf(to, "{\"failed\": %zu, \"results\": [", failed);
    else fprintf(to, "%-16s %-12s %7s  %9s   %-8s  95 %% lies in\n", "type", "measure", "lines", "value", "error");
    for (int i = 0; i < MARKS; i++) {
        const size_t n = m->of[i].n;
        if (!n) continue;
        const struct estimate e = mean_of(m->of[i].v, n);
        const struct interval in = interval_of(m->of[i].v, n, i, e);
        if (json)
            fprintf(to, "%s{\"type\": \"%s\", \"measure\": \"%s\", \"lines\": %zu, \"value\": %.9g, \"stderr\": %.9g, \"low\": %.9g, \"high\": %.9g}",
                    between, mark[i].type, mark[i].name, n, e.value, e.error, in.low, in.high);
        else
            fprintf(to, "%-16s %-12s %7zu  %9.4f ± %-8.4f  %.4f to %.4f\n", mark[i].type, mark[i].name, n, e.value, e.error, in.low, in.high);
        between = ", ";
    }
    if (json) fputs("]}\n", to);
}
