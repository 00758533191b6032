/* coordinator/report/run_chart.c — see run_chart.h. */
#include "coordinator/report/run_chart.h"

#include "coordinator/report/ask_table.h"
#include "partition/model/part_text.h"

#include <stdlib.h>
#include <string.h>

struct sent { /* a micro-batch, or a picture */
    bool used, picture;
    enum bar_kind kind;
    uint64_t number, at_ns;
    uint32_t asks;
    uint64_t ask[BAR_ASKS];
};

struct run_chart {
    struct sent *sent[PIPELINES_MOST][2]; /* of each replica, once it sends: rings of micro-batches and of pictures, number modulo RUN_CHART_BATCHES */
    struct ask_table table;
    struct charted_ask *ask; /* [asks], the first RUN_CHART_ASKS */
    bool pictures;
    uint64_t begun_ns, last_ns, tokens, asks;
    uint64_t *mark;
    size_t marks;
};

int run_chart_open(struct run_chart **out, struct err *why)
{
    struct run_chart *r = *out = calloc(1, sizeof *r);
    if (r) r->ask = calloc(RUN_CHART_ASKS, sizeof *r->ask);
    if (r && r->ask) return 0;
    run_chart_close(out);
    return fail(why, E_MEMORY, "no memory to draw a run");
}

void run_chart_close(struct run_chart **pr)
{
    struct run_chart *r = *pr;
    *pr = NULL;
    if (!r) return;
    for (int i = 0; i < PIPELINES_MOST; i++) free(r->sent[i][0]), free(r->sent[i][1]);
    free(r->table.of);
    free(r->mark);
    free(r->ask);
    free(r);
}

/* ---- as it happens. Nobody is told of missing memory here: what cannot be kept is drawn as if it were a prompt ---- */

static void came(struct run_chart *r, const struct happened *h)
{
    if (!r->begun_ns) r->begun_ns = h->at_ns;
    if (r->asks < RUN_CHART_ASKS) r->ask[r->asks] = (struct charted_ask){.came_ns = h->at_ns, .number = h->number, .prompt = h->amount};
    r->pictures |= h->n > 0;
    ask_table_add(&r->table, &(struct ask_entry){.number = h->number, .ask = r->asks, .rows = h->amount});
    r->asks++;
}

static void ended(struct run_chart *r, const struct happened *h)
{
    struct ask_entry *p = ask_table_find(&r->table, h->number);
    r->tokens += h->amount;
    if (!p) return;
    if (p->ask < RUN_CHART_ASKS) r->ask[p->ask].prompt = h->asked_rows - h->reused_rows, r->ask[p->ask].answer = h->amount;
    ask_table_end(&r->table, p);
}

/* What rows of one ask are. */
static enum bar_kind kind_of(struct run_chart *r, const struct happened_rows *h, int replica)
{
    struct ask_entry *p = ask_table_find(&r->table, h->number);
    if (!p) return BAR_PROMPT;
    if (p->ask < RUN_CHART_ASKS) r->ask[p->ask].replica = replica;
    const uint32_t end = h->position + h->rows - h->guesses;
    const bool again = h->position < p->reached, answer = h->position >= p->rows;
    if (end > p->reached) p->reached = end;
    return again ? BAR_REPLAY : answer ? BAR_ANSWER : BAR_PROMPT;
}

static struct sent *place(const struct run_chart *r, int replica, bool picture, uint64_t number)
{
    return r->sent[replica][picture] ? &r->sent[replica][picture][number % RUN_CHART_BATCHES] : NULL;
}

static void sends(struct run_chart *r, const struct happened *h, const struct sent *what)
{
    struct sent **ring = &r->sent[h->replica][what->picture];
    if (!*ring) *ring = calloc(RUN_CHART_BATCHES, sizeof **ring);
    if (*ring) *place(r, h->replica, what->picture, h->number) = *what;
}

static void batch_sent(struct run_chart *r, const struct happened *h)
{
    struct sent s = {.used = true, .number = h->number, .at_ns = h->at_ns, .asks = (uint32_t)h->n};
    bool any[BAR_KINDS] = {false};
    for (size_t i = 0; i < h->n; i++) {
        any[kind_of(r, &h->rows[i], h->replica)] = true;
        if (i < BAR_ASKS) s.ask[i] = h->rows[i].number;
    }
    s.kind = any[BAR_REPLAY] ? BAR_REPLAY : any[BAR_PROMPT] && any[BAR_ANSWER] ? BAR_BOTH : any[BAR_ANSWER] ? BAR_ANSWER : BAR_PROMPT;
    sends(r, h, &s);
}

static void epoch_began(struct run_chart *r, uint64_t at_ns)
{
    uint64_t *more = realloc(r->mark, (r->marks + 1) * sizeof *more);
    if (!more) return;
    r->mark = more;
    r->mark[r->marks++] = at_ns;
}

void run_chart_watch(void *user, const struct happened *h)
{
    struct run_chart *r = user;
    r->last_ns = h->at_ns;
    switch (h->what) {
    case ASK_CAME: came(r, h); break;
    case ASK_ENDED: ended(r, h); break;
    case BATCH_SENT: batch_sent(r, h); break;
    case PICTURE_SENT:
        sends(r, h, &(struct sent){.used = true, .picture = true, .kind = BAR_PICTURE, .number = h->number, .at_ns = h->at_ns, .asks = 1, .ask = {h->number}});
        break;
    case EPOCH_BEGAN: epoch_began(r, h->at_ns); break;
    case ASK_GOES:
    case ASK_SPOKE:
    case BATCH_BACK:
    case PICTURE_BACK: break;
    }
}

/* ---- at the end ---- */

static void describe(struct chart *c, const struct pipeline *p)
{
    for (int i = 0; i < c->lanes; i++) {
        struct lane *l = &c->lane[i];
        const struct part *part = p->plan.of[i].part;
        char text[32] = "", encoder[64] = "";
        snprintf(l->label, sizeof l->label, "%d %.60s", i + 1, p->crew[i]->hello.host);
        if (!part_is_empty(part[CHAIN_TEXT])) show_part_briefly(text, part[CHAIN_TEXT]);
        if (!part_is_empty(part[CHAIN_VISION])) show_vision_part(encoder, part[CHAIN_VISION]);
        snprintf(l->detail, sizeof l->detail, "%s%s%s", text, *text && *encoder ? "; sees " : *encoder ? "sees " : "", encoder);
    }
}

static int add_moment(struct chart *c, const struct run_chart *r, const struct moment *m, int replica, struct err *why)
{
    const struct diary_span *d = &m->span;
    const bool picture = d->what == DIARY_PICTURE;
    const struct sent *s = place(r, replica, picture, d->number);
    if (d->begin_ns < r->begun_ns || !s || !s->used || s->number != d->number) return 0; /* of an earlier run, or too long ago */
    struct bar b = {.lane = m->worker, .kind = d->what == DIARY_SCORES ? BAR_SCORES : s->kind, .begin_ns = d->begin_ns, .end_ns = d->end_ns,
                    .number = d->number, .sent_ns = s->at_ns, .rows = d->amount, .asks = s->asks};
    memcpy(b.ask, s->ask, sizeof b.ask);
    return chart_add(c, &b, why);
}

int run_chart_fill(struct chart *c, const struct run_chart *r, const struct pipeline *p, const struct timeline *line, int replica, struct err *why)
{
    *c = (struct chart){0};
    TRY(chart_lanes(c, p->workers, why));
    describe(c, p);
    for (size_t i = 0; i < line->n; i++) TRY(add_moment(c, r, &line->moment[i], replica, why));
    return 0;
}

int run_chart_mark(struct chart *all, const struct run_chart *r, struct err *why)
{
    for (size_t i = 0; i < r->marks; i++) TRY(chart_mark(all, r->mark[i], why));
    return 0;
}

struct chart_sums run_chart_sums(const struct run_chart *r)
{
    return (struct chart_sums){.asks = r->asks, .tokens = r->tokens, .seconds = r->last_ns > r->begun_ns ? (double)(r->last_ns - r->begun_ns) / 1e9 : 0};
}

const struct charted_ask *run_chart_asks(const struct run_chart *r, size_t *n)
{
    *n = r->asks;
    return r->pictures || r->asks > RUN_CHART_ASKS ? NULL : r->ask;
}
