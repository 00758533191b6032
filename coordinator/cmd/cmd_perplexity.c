/* coordinator/cmd/cmd_perplexity.c — `gemmapipe perplexity`: how likely a model finds the words of a text, and how far from a base it is.
 *
 * Every window (quality/windows.h) is an ask whose words are judged. As many are under way as keep the pipe full, and what came of which
 * word is put in its place and added up at the end, in order: so the numbers are the same to the last bit however the model is cut.
 * Only with a base, to be made or to be compared with, all scores of a word come home. */
#include "coordinator/cmd/capacity.h"
#include "coordinator/cmd/commands.h"
#include "coordinator/cmd/session.h"
#include "coordinator/quality/base_scores.h"
#include "coordinator/quality/spread.h"

#include "base/clock.h"
#include "base/inputs.h"
#include "base/log.h"
#include "base/read_to_end.h"

#include <math.h>
#include <stdlib.h>

#define TEXT_MOST (1u << 30)
#define CONTEXT 512 /* unless --ctx says otherwise, as in llama.cpp's tool */

struct judging;

struct under_way { /* one window, judged */
    struct judging *of;
    struct window window;
    uint32_t *ids; /* [context]; NULL: the place is free */
};

struct judging {
    struct session session;
    struct ids ids;      /* of the text, <bos> first */
    struct windows text;
    struct base_scores base; /* --kl */
    struct base_maker maker; /* --save-logits */
    size_t count, next, judged, words; /* windows, those asked; words that are known, all */
    double *nll;         /* [words], and with a base the rest */
    double *kl, *base_nll, *p_more;
    size_t same_top;
    struct under_way *under_way; /* [places] */
    uint32_t places;
    struct err why;      /* of a window that failed */
    uint64_t began_ns, seconds_ns;
};

/* ---- the text ---- */

static int read_text(struct judging *j, struct err *why)
{
    const struct options *o = j->session.options;
    const int32_t bos = tokenizer_specials(j->session.tokens).bos;
    char *text;
    size_t n;
    if (bos < 0) return fail(why, E_FILE, "%s has no <bos> for the beginning of a text", o->model);
    TRY(read_to_end(o->file, TEXT_MOST, &text, &n, why));
    inputs_add(o->file);
    int code = ids_push(&j->ids, (uint32_t)bos, why);
    if (!code) code = tokenizer_encode(j->session.tokens, text, n, o->special, &j->ids, why);
    free(text);
    j->text = (struct windows){j->ids.id, j->ids.n, o->context ? o->context : CONTEXT, o->stride};
    return code ? code : windows_check(&j->text, why);
}

static int prepare(struct judging *j, struct err *why)
{
    const struct options *o = j->session.options;
    const uint32_t vocab = j->session.pipe->model->config.vocab;
    if (o->kl) TRY(base_scores_open(&j->base, o->kl, vocab, why));
    if (o->kl) j->text = j->base.text;
    else TRY(read_text(j, why));
    if (o->chunks && j->text.stride) return fail(why, E_USAGE, "--chunks counts chunks, and with --stride there are none");
    j->count = windows_count(&j->text);
    if (o->chunks && o->chunks < j->count) j->count = o->chunks;
    if (!j->text.stride) j->text.n = j->count * j->text.context;
    uint32_t *ids = malloc(j->text.context * sizeof *ids);
    if (!ids) return fail(why, E_MEMORY, "no memory for a window of %u ids", j->text.context);
    const struct window last = windows_at(&j->text, j->count - 1, ids);
    free(ids);
    j->words = last.before + last.judged;
    j->nll = calloc(4 * j->words, sizeof *j->nll);
    if (!j->nll) return fail(why, E_MEMORY, "no memory for what is said of %zu words", j->words);
    j->kl = j->nll + j->words;
    j->base_nll = j->kl + j->words;
    j->p_more = j->base_nll + j->words;
    return o->save_logits ? base_maker_open(&j->maker, o->save_logits, &j->text, vocab, why) : 0;
}

static int launch(struct judging *j, struct err *why)
{
    struct session *s = &j->session;
    struct options o = *s->options;
    struct capacity c;
    o.context = j->text.context;
    TRY(capacity_for(&c, &o, &s->pipe->model->config, &(struct load){.prompts = j->count < UINT32_MAX ? (uint32_t)j->count : UINT32_MAX}, why));
    s->pipe->wish.plan.all_scores = o.kl || o.save_logits;
    if (s->pipe->wish.plan.all_scores) capacity_of_scores(&c, &s->pipe->model->config, 1);
    j->places = 2 * c.sequences;
    j->under_way = calloc(j->places, sizeof *j->under_way);
    return j->under_way ? session_launch(s, &c, why) : fail(why, E_MEMORY, "no memory for %u windows", j->places);
}

/* ---- judging ---- */

/* Which word of all is behind the row at this position. */
static size_t word_at(const struct under_way *u, uint32_t position)
{
    return u->window.before + position + 1 - (u->window.n - u->window.judged);
}

static bool hear_word(void *user, const struct said *said)
{
    struct under_way *u = user;
    u->of->nll[word_at(u, said->token->position)] = -(double)said->token->logprob;
    u->of->judged++;
    return true;
}

static int hear_scores(void *user, uint32_t position, const uint8_t *bytes, uint32_t n, struct err *why)
{
    struct under_way *u = user;
    struct judging *j = u->of;
    const size_t i = word_at(u, position);
    const float *scores = (const float *)(const void *)bytes;
    if (j->maker.file) TRY(base_maker_put(&j->maker, i, scores, why));
    if (!j->base.records) return 0;
    const struct divergence d = base_scores_compare(base_scores_record(&j->base, i), scores, n, u->ids[position + 1]);
    j->kl[i] = d.kl;
    j->base_nll[i] = d.base_nll;
    j->p_more[i] = d.p_more;
    j->same_top += d.same_top;
    return 0;
}

static void hear_end(void *user, const struct ended *ended)
{
    struct under_way *u = user;
    free(u->ids);
    u->ids = NULL;
    if (ended->how == FINISH_FAILED && !u->of->why.code) u->of->why = *ended->why;
}

static int ask_window(struct judging *j, struct under_way *u, struct err *why)
{
    const bool scores = j->base.records || j->maker.file;
    const struct listener l = {.token = hear_word, .scores = hear_scores, .finished = hear_end, .user = u};
    *u = (struct under_way){.of = j, .ids = malloc(j->text.context * sizeof *u->ids)};
    if (!u->ids) return fail(why, E_MEMORY, "no memory for a window of %u ids", j->text.context);
    u->window = windows_at(&j->text, j->next++, u->ids);
    const struct ask ask = {.ids = u->ids, .n = u->window.n, .judged = u->window.judged, .want_scores = scores};
    return fleet_ask(j->session.fleet, &ask, &l, NULL, why);
}

static int judge(struct judging *j, struct err *why)
{
    struct progress shown = {0};
    int code = 0;
    j->began_ns = clock_ns();
    progress_begin(&shown, "judging", "tok", j->words);
    while (!code && !j->why.code && j->judged < j->words) {
        for (uint32_t i = 0; i < j->places && !code && j->next < j->count; i++)
            if (!j->under_way[i].ids) code = ask_window(j, &j->under_way[i], why);
        if (!code) code = session_turn(&j->session, TURN_MS, why);
        progress_at(&shown, j->judged);
    }
    progress_end(&shown);
    j->seconds_ns = clock_ns() - j->began_ns;
    if (!code && j->why.code) *why = j->why, code = why->code;
    return code;
}

/* ---- what came of it ---- */

struct outcome {
    struct estimate nll, base_nll, ratio, kl, p_more, squares; /* ratio: ln of the perplexity over the base's */
    double rms, rms_error, same_top, rows, seconds;
};

static struct outcome sum_up(const struct judging *j)
{
    const size_t n = j->words;
    struct outcome o = {.nll = mean_of(j->nll, n), .seconds = (double)j->seconds_ns / 1e9};
    o.rows = (double)fleet_totals(j->session.fleet).rows;
    if (!j->base.records) return o;
    o.base_nll = mean_of(j->base_nll, n);
    o.kl = mean_of(j->kl, n);
    o.p_more = mean_of(j->p_more, n);
    o.ratio.value = o.nll.value - o.base_nll.value;
    o.ratio.error = sqrt(fmax(o.nll.error * o.nll.error + o.base_nll.error * o.base_nll.error - 2 * covariance_of(j->nll, j->base_nll, n), 0));
    o.same_top = (double)j->same_top / (double)n;
    for (size_t i = 0; i < n; i++) j->p_more[i] *= j->p_more[i];
    o.squares = mean_of(j->p_more, n);
    o.rms = sqrt(o.squares.value);
    o.rms_error = o.rms > 0 ? 0.5 / o.rms * o.squares.error : 0;
    return o;
}

static const double parts[] = {1, 0.999, 0.99, 0.95, 0.9, 0.5, 0.1, 0.05, 0.01, 0.001, 0};
#define PARTS (sizeof parts / sizeof *parts)

static void print_divergence(FILE *to, const struct judging *j, const struct outcome *o)
{
    const double n = (double)j->words, base = exp(o->base_nll.value), ratio = exp(o->ratio.value);
    fprintf(to, "perplexity of the base   %.6f ± %.6f\n", base, base * o->base_nll.error);
    fprintf(to, "ln(perplexity / base's)  %.6f ± %.6f   quotient %.6f ± %.6f\n", o->ratio.value, o->ratio.error, ratio, ratio * o->ratio.error);
    fprintf(to, "mean KL divergence       %.6f ± %.6f\n", o->kl.value, o->kl.error);
    for (size_t i = 0; i < PARTS; i++) {
        const char *name = parts[i] >= 1 ? "largest" : parts[i] <= 0 ? "least" : parts[i] == 0.5 ? "median" : NULL;
        if (name) fprintf(to, "  %-22s %.6f\n", name, percentile_of(j->kl, j->words, parts[i]));
        else fprintf(to, "  %4.1f %%                 %.6f\n", 100 * parts[i], percentile_of(j->kl, j->words, parts[i]));
    }
    fprintf(to, "same likeliest word      %.3f ± %.3f %%\n", 100 * o->same_top, 100 * sqrt(o->same_top * (1 - o->same_top) / fmax(n - 1, 1)));
    fprintf(to, "probability of the word  %+.3f ± %.3f %%, root mean square %.3f ± %.3f %%\n", 100 * o->p_more.value, 100 * o->p_more.error,
            100 * o->rms, 100 * o->rms_error);
}

static void print_json(FILE *to, const struct judging *j, const struct outcome *o)
{
    const double ppl = exp(o->nll.value);
    fprintf(to, "{\"perplexity\": %.9g, \"error\": %.9g, \"nll\": %.9g, \"words\": %zu, \"windows\": %zu, \"context\": %u, \"stride\": %u, "
            "\"rows\": %.0f, \"seconds\": %.3f", ppl, ppl * o->nll.error, o->nll.value, j->words, j->count, j->text.context, j->text.stride, o->rows,
            o->seconds);
    if (j->base.records) {
        fprintf(to, ", \"base_perplexity\": %.9g, \"ln_quotient\": %.9g, \"ln_quotient_error\": %.9g, \"kl\": {\"mean\": %.9g, \"error\": %.9g",
                exp(o->base_nll.value), o->ratio.value, o->ratio.error, o->kl.value, o->kl.error);
        for (size_t i = 0; i < PARTS; i++) fprintf(to, ", \"%g\": %.9g", 100 * parts[i], percentile_of(j->kl, j->words, parts[i]));
        fprintf(to, "}, \"same_top\": %.9g, \"p_mean\": %.9g, \"p_rms\": %.9g", o->same_top, o->p_more.value, o->rms);
    }
    fputs("}\n", to);
}

static int tell(struct judging *j, struct err *why)
{
    FILE *to = stdout_ring_stream(j->session.out);
    const struct outcome o = sum_up(j);
    const double ppl = exp(o.nll.value);
    sort_values(j->kl, j->words);
    log_info("%.0f rows in %.1f s, %.1f tok/s", o.rows, o.seconds, o.rows / fmax(o.seconds, 1e-9));
    if (j->session.options->json) return print_json(to, j, &o), session_deliver(&j->session, why);
    fprintf(to, "perplexity               %.6f ± %.6f   of %zu words in %zu %s of %u, ", ppl, ppl * o.nll.error, j->words, j->count,
            j->text.stride ? "windows" : "chunks", j->text.context);
    if (j->text.stride) fprintf(to, "%u apart\n", j->text.stride);
    else fprintf(to, "the second half of each\n");
    if (j->base.records) print_divergence(to, j, &o);
    return session_deliver(&j->session, why);
}

int command_perplexity(const struct options *o, const struct cluster_wish *wish, struct port *mpi, struct err *why)
{
    struct judging j = {0};
    int code = session_open(&j.session, o, wish, mpi, why);
    if (!code) code = prepare(&j, why);
    if (!code) code = launch(&j, why);
    if (!code) code = judge(&j, why);
    code = base_maker_close(&j.maker, code, why);
    if (!code) code = tell(&j, why);
    if (!code) code = session_finish(&j.session, why);
    session_close(&j.session, code ? why : NULL);
    for (uint32_t i = 0; j.under_way && i < j.places; i++) free(j.under_way[i].ids);
    free(j.under_way);
    free(j.nll);
    base_scores_close(&j.base);
    ids_free(&j.ids);
    return code;
}
