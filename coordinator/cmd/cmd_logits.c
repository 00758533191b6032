/* coordinator/cmd/cmd_logits.c — `gemmapipe logits`: the scores of every position of a prompt, or of given ids, as float32
 * [ids, vocabulary]. */
#include "coordinator/cmd/capacity.h"
#include "coordinator/cmd/commands.h"
#include "base/whole_file.h"
#include "coordinator/cmd/ask_options.h"
#include "coordinator/report/report.h"
#include "coordinator/report/trace.h"

#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

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

/* Where a run of <image_soft_token> stands the next picture of the album goes, whole or crop, in their order. */
static int place_pictures(struct request *r, const struct pipeline *p, const struct album *a, struct err *why)
{
    const uint32_t rows = vision_tokens(&p->encoder->config);
    const int32_t soft = tokenizer_specials(p->tokens).image_soft;
    size_t page = 0;
    uint32_t crop = 0;
    for (size_t i = 0, end; soft >= 0 && i < r->ids.n; i = end) {
        for (end = i; end < r->ids.n && r->ids.id[end] == (uint32_t)soft;) end++;
        if (end == i) {
            end++;
            continue;
        }
        if (end - i != rows) return fail(why, E_USAGE, "a picture has %u rows, --ids leaves %zu places at %zu", rows, end - i, i);
        if (page == a->n) return fail(why, E_USAGE, "--ids has places for more pictures than --image names");
        TRY(picture_spans_add(&r->spans, (struct picture_span){i, rows, page, crop}, why));
        bool last = crop == a->page[page].crops;
        page += last;
        crop = last ? 0 : crop + 1;
    }
    return page == a->n && !crop ? 0 : fail(why, E_USAGE, "--ids has places for %zu of the %zu pictures", page, a->n);
}

static int encode(struct request *r, const struct pipeline *p, const struct album *a, const struct options *o, struct err *why)
{
    struct question q = {.text = o->prompt, .n = o->prompt ? strlen(o->prompt) : 0, .pages = a->n};
    if (o->prompt) return question_encode(&q, a, p, o, r, why);
    TRY(read_ids(o->ids, &r->ids, why));
    return a->n ? place_pictures(r, p, a, why) : 0;
}

static int write_row(struct request *r, uint32_t position, const uint8_t *scores, uint32_t n, void *user, struct err *why)
{
    (void)r;
    (void)position;
    return whole_file_write(user, scores, n * sizeof(float), why);
}

static int serve(struct pipeline *p, struct server *s, struct request *r, struct album *a, const struct options *o, struct err *why)
{
    if (a->n) TRY(album_bind(a, serve_pictures(s), 0, r, 0, why));
    TRY(serve_add(s, r, why));
    TRY(serve_run(s, 0, why));
    if (o->report) TRY(report_print(p, s, r, 1, why));
    return trace_finish(p, why);
}

static int compute(struct pipeline *p, struct request *r, struct album *a, const struct options *o, struct err *why)
{
    struct capacity c;
    struct server *s = 0;
    const uint32_t whole = a->n ? vision_tokens(&p->encoder->config) : 1;
    TRY(capacity_for(&c, o, &p->model->config, r->ids.n, 0, 1, whole, why));
    uint32_t most = SCORES_IN_FLIGHT / (p->model->config.vocab * (uint32_t)sizeof(float));
    if (most < whole) most = whole;
    if (c.rows > most) c.rows = most;
    p->wish.plan.whole_head = true;
    TRY(pipeline_launch(p, &c, why));
    TRY(serve_open(&s, p, why));
    int code = serve(p, s, r, a, o, why);
    serve_forget(s, r);
    album_close(a, serve_pictures(s));
    serve_close(&s);
    return code;
}

static int compute_to_file(struct pipeline *p, struct request *r, struct album *a, const struct options *o, struct err *why)
{
    struct whole_file *f;
    TRY(whole_file_open(&f, o->out, why));
    r->user = f;
    return whole_file_close(&f, compute(p, r, a, o, why), why);
}

int command_logits(const struct options *o, const struct cluster_wish *wish, struct port *mpi, struct err *why)
{
    struct pipeline *p = 0;
    struct album a = {0};
    struct request r = {.most = 1, .want_scores = true, .on_scores = write_row, .sampling = {.repeat_penalty = 1}};
    int code = open_pipeline(&p, o, wish, mpi, why);
    if (!code) code = question_album(&a, p, o, why);
    if (!code) code = encode(&r, p, &a, o, why);
    if (!code) code = compute_to_file(p, &r, &a, o, why);
    if (!code && o->fingerprint) printf("fingerprint %016" PRIx64 "\n", r.fingerprint);
    album_close(&a, 0);
    pipeline_close(&p, code ? why : 0);
    picture_spans_free(&r.spans);
    ids_free(&r.ids);
    return code;
}
