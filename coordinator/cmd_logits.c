/* coordinator/cmd_logits.c — `gemmapipe logits`: the scores of every position of given ids, as float32 [ids, vocabulary]. */
#include "coordinator/capacity.h"
#include "coordinator/commands.h"
#include "coordinator/output_file.h"
#include "coordinator/report.h"
#include "coordinator/trace.h"

#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define SCORES_IN_FLIGHT (64u << 20) /* bytes of scores that one micro-batch may send home */

static int read_ids(const char *text, struct ids *out, struct err *why)
{
    for (const char *at = text;;) {
        char *end;
        errno = 0;
        unsigned long id = strtoul(at, &end, 10);
        if (end == at || errno || id > UINT32_MAX || *at == '-' || *at == '+' || (*end && *end != ','))
            return fail(why, E_USAGE, "--ids wants numbers with commas between, as 2,105,2364; found \"%.20s\"", at);
        TRY(ids_push(out, (uint32_t)id, why));
        if (!*end) return 0;
        at = end + 1;
    }
}

static int write_row(struct request *r, uint32_t position, const uint8_t *scores, uint32_t n, void *user, struct err *why)
{
    (void)r;
    (void)position;
    if (fwrite(scores, sizeof(float), n, user) == n) return 0;
    return fail_errno(why, E_FILE, "cannot write the scores");
}

static int compute(struct pipeline *p, struct request *r, const struct options *o, struct err *why)
{
    struct capacity c;
    struct server *s = 0;
    TRY(capacity_for(&c, p->options, &p->model->config, pipeline_stages(p), r->ids.n, 0, 1, 0, why));
    uint32_t most = SCORES_IN_FLIGHT / (p->model->config.vocab * (uint32_t)sizeof(float));
    if (c.rows > most) c.rows = most ? most : 1;
    TRY(pipeline_launch(p, &c, why));
    TRY(serve_open(&s, p, why));
    int code = serve_add(s, r, why);
    if (!code) code = serve_run(s, 0, why);
    if (!code && o->report) code = report_print(p, s, r, 1, why);
    if (!code) code = trace_finish(p, why);
    serve_forget(s, r);
    serve_close(&s);
    return code;
}

static int compute_to_file(struct pipeline *p, struct request *r, const struct options *o, struct err *why)
{
    struct output_file f;
    TRY(output_file_open(&f, o->out, why));
    r->user = f.to;
    return output_file_close(&f, compute(p, r, o, why), why);
}

int command_logits(const struct options *o, struct port *mpi, struct err *why)
{
    struct pipeline *p = 0;
    struct request r = {.most = 1, .want_scores = true, .on_scores = write_row, .sampling = {.repeat_penalty = 1}};
    int code = pipeline_open(&p, o, mpi, why);
    if (!code) code = read_ids(o->ids, &r.ids, why);
    if (!code) code = compute_to_file(p, &r, o, why);
    if (!code && o->fingerprint) printf("fingerprint %016" PRIx64 "\n", r.fingerprint);
    pipeline_close(&p, code ? why : 0);
    ids_free(&r.ids);
    return code;
}
