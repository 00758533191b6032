/* coordinator/quality/task.c — see task.h. */
#define _GNU_SOURCE
#include "coordinator/quality/task.h"

#include "base/json.h"
#include "coordinator/text/utf8.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_TOKENS 256 /* where a line says no number, as in the harness */
#define ANSWER_MOST (1u << 20)
#define PICTURE_HERE "<image>"

const char *const task_filter_names[TASK_FILTERS] = {"strip", "whole", "first-line", "last-number"};
static const char *const type_names[] = {[TASK_CHOICE] = "multiple_choice", [TASK_LIKELIHOOD] = "loglikelihood", [TASK_GENERATE] = "generate_until"};

/* ---- reading ---- */

static int keep(struct task_text *to, struct json_text s, struct err *why)
{
    free(to->text);
    *to = (struct task_text){malloc(s.n + 1), s.n};
    if (!to->text) return fail(why, E_MEMORY, "no memory for a text of %zu bytes", s.n);
    memcpy(to->text, s.text, s.n);
    to->text[s.n] = 0;
    return 0;
}

static int read_text(struct json *j, struct task_text *to, struct err *why)
{
    struct json_text s;
    TRY(json_string(j, &s));
    return keep(to, s, why);
}

/* A text, or a number as one. */
static int read_target(struct json *j, struct task_text *to, struct err *why)
{
    char number[32];
    double v;
    if (json_peek(j) != JSON_NUMBER) return read_text(j, to, why);
    TRY(json_double(j, &v));
    const int n = snprintf(number, sizeof number, "%.15g", v);
    return keep(to, (struct json_text){number, (size_t)n}, why);
}

/* One text or a list of some, each by itself. */
static int read_list(struct json *j, char **list, size_t most, size_t *n, const char *what, struct err *why)
{
    const bool many = json_peek(j) == JSON_ARRAY;
    struct task_text one = {0};
    if (many) TRY(json_array(j));
    while (many ? json_item(j) : !*n) {
        if (*n == most) return json_fail(j, "more than %zu %s", most, what);
        TRY(read_text(j, &one, why));
        if (strlen(one.text) != one.n) return free(one.text), json_fail(j, "a 0 in one of the %s", what);
        list[(*n)++] = one.text;
        one = (struct task_text){0};
    }
    return json_done(j);
}

static int read_how(struct task *t, struct json *j, struct err *why)
{
    struct json_text key;
    bool draws;
    size_t n = t->n_stops;
    t->kind = TASK_GENERATE;
    TRY(json_object(j));
    while (json_key(j, &key)) {
        if (json_is(key, "until") && json_peek(j) != JSON_NULL) TRY(read_list(j, t->stop, TASK_STOPS, &n, "texts that end an answer", why));
        else if (json_is(key, "max_gen_toks")) TRY(json_u32(j, 1, ANSWER_MOST, &t->most));
        else if (json_is(key, "do_sample")) {
            TRY(json_truth(j, &draws));
            if (draws) return json_fail(j, "an answer that is drawn (do_sample); only the likeliest one says the same twice");
        } else TRY(json_skip(j));
    }
    t->n_stops = (uint32_t)n;
    return json_done(j);
}

/* Part number `part` of the argument that is being read. */
static int read_part(struct task *t, struct json *j, uint32_t part, struct err *why)
{
    if (t->n == TASK_CHOICES) return json_fail(j, "more than %d arguments", TASK_CHOICES);
    if (part == 0) return read_text(j, &t->context[t->n], why);
    if (part == 1 && json_peek(j) == JSON_OBJECT) return read_how(t, j, why);
    return part == 1 ? read_text(j, &t->continuation[t->n], why) : json_skip(j);
}

static int read_argument(struct task *t, struct json *j, struct err *why)
{
    struct json_text key;
    uint32_t part = 0;
    if (json_peek(j) == JSON_ARRAY) {
        TRY(json_array(j));
        for (; json_item(j); part++) TRY(read_part(t, j, part, why));
    } else {
        TRY(json_object(j));
        for (; json_key(j, &key); part++) TRY(read_part(t, j, json_is(key, "arg_0") ? 0 : json_is(key, "arg_1") ? 1 : 2, why));
    }
    TRY(json_done(j));
    if (!t->context[t->n].text || (t->kind != TASK_GENERATE && !t->continuation[t->n].text))
        return json_fail(j, "argument %u has %u parts; a context and a continuation are wanted", t->n, part);
    t->n++;
    return 0;
}

static int read_arguments(struct task *t, struct json *j, struct err *why)
{
    struct json_text key;
    if (json_peek(j) == JSON_ARRAY) {
        TRY(json_array(j));
        while (json_item(j)) TRY(read_argument(t, j, why));
    } else {
        TRY(json_object(j));
        while (json_key(j, &key)) TRY(read_argument(t, j, why)); /* gen_args_0, gen_args_1, …, in order */
    }
    return json_done(j);
}

static int read_fields(struct task *t, struct json *j, struct err *why)
{
    struct json_text key;
    TRY(json_object(j));
    while (json_key(j, &key)) {
        if (json_is(key, "arguments")) TRY(t->n ? json_fail(j, "arguments twice") : read_arguments(t, j, why));
        else if (json_is(key, "target")) TRY(read_target(j, &t->target, why));
        else if (json_is(key, "output_type")) TRY(read_text(j, &t->type, why));
        else if (json_is(key, "doc_id") && json_peek(j) == JSON_NUMBER) TRY(json_u64(j, &t->doc));
        else if (json_is(key, "images")) TRY(read_list(j, t->pictures, TASK_PICTURES, &t->n_pictures, "pictures", why));
        else TRY(json_skip(j));
    }
    return json_done(j);
}

/* ---- what is asked ---- */

static void trim(const char **text, size_t *n)
{
    while (*n && isspace((unsigned char)(*text)[*n - 1])) --*n;
    while (*n && isspace((unsigned char)**text)) ++*text, --*n;
}

static bool same_text(struct task_text a, struct task_text b)
{
    const char *x = a.text, *y = b.text;
    trim(&x, &a.n);
    trim(&y, &b.n);
    return a.n == b.n && !memcmp(x, y, a.n);
}

static int find_right(struct task *t, struct err *why)
{
    char *end;
    const unsigned long number = strtoul(t->target.text, &end, 10);
    const bool is_number = isdigit((unsigned char)*t->target.text) && !*end;
    if (is_number && number < t->n) return t->right = (uint32_t)number, 0;
    for (t->right = 0; t->right < t->n; t->right++)
        if (same_text(t->target, t->continuation[t->right])) return 0;
    return fail(why, E_USAGE, "the target \"%.60s\" is none of the %u choices: a number from 0 is wanted, or the text of one", t->target.text, t->n);
}

static int check(struct task *t, struct err *why)
{
    if (!t->n) return fail(why, E_USAGE, "there are no arguments: [[context, continuation], …] is wanted");
    if (t->kind != TASK_GENERATE) t->kind = t->n > 1 ? TASK_CHOICE : TASK_LIKELIHOOD;
    if (t->type.text && t->kind == TASK_LIKELIHOOD && !strcmp(t->type.text, type_names[TASK_CHOICE])) t->kind = TASK_CHOICE;
    if (t->type.text && strcmp(t->type.text, type_names[t->kind]))
        return fail(why, E_USAGE, "the output type is \"%.40s\"; %u arguments like these are of %s", t->type.text, t->n, type_names[t->kind]);
    if (t->kind == TASK_GENERATE && t->n > 1) return fail(why, E_USAGE, "%u answers are to be generated; one is judged", t->n);
    if (t->kind == TASK_LIKELIHOOD) return 0;
    if (!t->target.text) return fail(why, E_USAGE, "there is no target: what is right is not said");
    return t->kind == TASK_CHOICE ? find_right(t, why) : 0;
}

int task_read(struct task *t, const char *text, size_t n, const char *file, size_t line, struct err *why)
{
    struct json j;
    *t = (struct task){.doc = line, .most = ANSWER_TOKENS};
    if (!utf8_valid(text, n)) return fail(why, E_USAGE, "line %zu of %s is not UTF-8", line, file);
    json_begin(&j, text, n, file, why);
    j.line = line;
    int code = read_fields(t, &j, why);
    if (!code) code = json_finish(&j);
    json_end(&j);
    return code ? code : check(t, why);
}

void task_free(struct task *t)
{
    for (uint32_t i = 0; i < TASK_CHOICES; i++) free(t->context[i].text), free(t->continuation[i].text);
    for (uint32_t i = 0; i < TASK_STOPS; i++) free(t->stop[i]);
    for (size_t i = 0; i < TASK_PICTURES; i++) free(t->pictures[i]);
    free(t->target.text);
    free(t->type.text);
    *t = (struct task){0};
}

/* ---- its prompts ---- */

#define CONTENTS (2 * TASK_PICTURES + 3)

/* Pictures at their places, or all of them first; then the continuation, if there is one. */
static int contents_of(const struct task *t, struct task_text context, struct task_text rest, struct content out[CONTENTS], size_t *n,
                       struct err *why)
{
    const size_t mark = strlen(PICTURE_HERE);
    const char *at = context.text, *end = at + context.n, *found;
    size_t pictures = 0;
    *n = 0;
    if (t->n_pictures && !memmem(at, context.n, PICTURE_HERE, mark))
        for (; pictures < t->n_pictures; pictures++) out[(*n)++] = (struct content){0};
    while (t->n_pictures && (found = memmem(at, (size_t)(end - at), PICTURE_HERE, mark))) {
        if (pictures++ == t->n_pictures) return fail(why, E_USAGE, "the context has more places for pictures than the %zu there are", t->n_pictures);
        out[(*n)++] = (struct content){.text = at, .n = (size_t)(found - at), .trusted = true};
        out[(*n)++] = (struct content){0};
        at = found + mark;
    }
    if (pictures < t->n_pictures) return fail(why, E_USAGE, "the context has %zu places for %zu pictures", pictures, t->n_pictures);
    out[(*n)++] = (struct content){.text = at, .n = (size_t)(end - at), .trusted = true};
    if (rest.n) out[(*n)++] = (struct content){.text = rest.text, .n = rest.n, .trusted = true};
    return 0;
}

int task_prompt(const struct task *t, uint32_t i, const struct tokenizer *tokens, uint32_t rows, struct ids *ids, struct picture_spans *spans,
                uint32_t *judged, struct err *why)
{
    struct content content[CONTENTS];
    struct task_text context = t->context[i], blanks = {0};
    struct ids known = {0};
    size_t n;
    *judged = 0;
    while (t->kind != TASK_GENERATE && context.n && isspace((unsigned char)context.text[context.n - 1])) context.n--;
    blanks = (struct task_text){context.text + context.n, t->context[i].n - context.n};
    TRY(contents_of(t, context, blanks, content, &n, why));
    if (t->kind == TASK_GENERATE) return prompt_raw_content(tokens, content, n, rows, ids, spans, why);
    content[n++] = (struct content){.text = t->continuation[i].text, .n = t->continuation[i].n, .trusted = true};
    TRY(prompt_raw_content(tokens, content, n, rows, ids, spans, why));
    struct picture_spans same = {0};
    n -= 1 + (blanks.n > 0);
    const int code = prompt_raw_content(tokens, content, n, rows, &known, &same, why);
    if (!code) *judged = ids->n > known.n ? (uint32_t)(ids->n - known.n) : 0;
    picture_spans_free(&same);
    ids_free(&known);
    if (code || *judged) return code;
    return fail(why, E_USAGE, "continuation %u adds no token to its context", i);
}

/* ---- what it is worth ---- */

static struct task_text last_number(struct task_text s)
{
    const char *end = s.text + s.n, *from;
    while (end > s.text && !isdigit((unsigned char)end[-1])) end--;
    for (from = end; from > s.text && (isdigit((unsigned char)from[-1]) || ((from[-1] == ',' || from[-1] == '.') && from < end));) from--;
    while (from < end && !isdigit((unsigned char)*from)) from++;
    if (from > s.text && from < end && from[-1] == '-') from--;
    return (struct task_text){(char *)from, (size_t)(end - from)};
}

static struct task_text filtered(struct task_text s, enum task_filter filter)
{
    const char *at = s.text, *line_end;
    if (filter == FILTER_WHOLE) return s;
    if (filter == FILTER_LAST_NUMBER) return last_number(s);
    trim(&at, &s.n);
    if (filter == FILTER_FIRST_LINE && (line_end = memchr(at, '\n', s.n))) s.n = (size_t)(line_end - at), trim(&at, &s.n);
    return (struct task_text){(char *)at, s.n};
}

/* Of numbers, commas between thousands mean nothing. */
static bool equal(struct task_text a, struct task_text b, bool numbers)
{
    for (size_t i = 0, k = 0;; i++, k++) {
        while (numbers && i < a.n && a.text[i] == ',') i++;
        while (numbers && k < b.n && b.text[k] == ',') k++;
        if (i == a.n || k == b.n) return i == a.n && k == b.n && (a.n || !numbers);
        if (a.text[i] != b.text[k]) return false;
    }
}

/* Without the blank that parts it from the context. */
static double bytes_of(struct task_text s)
{
    size_t blanks = 0;
    while (blanks < s.n && isspace((unsigned char)s.text[blanks])) blanks++;
    return s.n > blanks ? (double)(s.n - blanks) : 1;
}

static void print_choices(FILE *to, const struct task *t, const struct task_answer *a)
{
    uint32_t best = 0, best_each = 0;
    fputs(",\"resps\":[", to);
    for (uint32_t i = 0; i < t->n; i++) {
        fprintf(to, "%s[[%.9g,%s]]", i ? "," : "", a[i].likelihood, a[i].greedy ? "true" : "false");
        if (a[i].likelihood > a[best].likelihood) best = i;
        if (a[i].likelihood / bytes_of(t->continuation[i]) > a[best_each].likelihood / bytes_of(t->continuation[best_each])) best_each = i;
    }
    if (t->kind == TASK_LIKELIHOOD) fprintf(to, "],\"acc\":%d,\"likelihood\":%.9g}", a->greedy, a->likelihood);
    else fprintf(to, "],\"acc\":%d,\"acc_norm\":%d}", best == t->right, best_each == t->right);
}

int task_result(char **out, size_t *bytes, const struct task *t, size_t line, enum task_filter filter, const struct task_answer *answer,
                struct err *why)
{
    FILE *to = open_memstream(out, bytes);
    if (!to) return fail(why, E_MEMORY, "no memory for a result");
    fprintf(to, "{\"line\":%zu,\"doc_id\":%llu,\"output_type\":\"%s\",\"target\":", line, (unsigned long long)t->doc, type_names[t->kind]);
    json_print_bytes(to, t->target.text ? t->target.text : "", t->target.n);
    if (t->kind == TASK_GENERATE) {
        const struct task_text said = {(char *)answer->text, answer->n}, kept = filtered(said, filter);
        fputs(",\"resps\":[[", to);
        json_print_bytes(to, said.text ? said.text : "", said.n);
        fputs("]],\"filtered_resps\":[", to);
        json_print_bytes(to, kept.n ? kept.text : "", kept.n);
        fprintf(to, "],\"exact_match\":%d}", equal(kept, filtered(t->target, filter), filter == FILTER_LAST_NUMBER));
    } else {
        print_choices(to, t, answer);
    }
    return fclose(to) ? fail(why, E_MEMORY, "no memory for a result") : 0;
}
