/* coordinator/batch/request.c — see request.h: the line, and every field but the messages (request_messages.c). */
#include "coordinator/batch/request.h"

#include "base/hash.h"
#include "coordinator/text/utf8.h"
#include "transport/wire/sampling.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

int request_refuse(struct request *r, int status, const char *code, const char *param, const char *format, ...)
{
    char text[sizeof r->refused.why.text];
    va_list args;
    if (r->refused.status) return 0;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    r->refused.status = status;
    r->refused.code = code;
    snprintf(r->refused.param, sizeof r->refused.param, "%s", param);
    fail(&r->refused.why, E_USAGE, "%s", text);
    return 0;
}

char *request_copy(struct json_text s, struct err *why)
{
    char *copy = malloc(s.n + 1);
    if (!copy) return fail(why, E_MEMORY, "no memory for a text of %zu bytes", s.n), NULL;
    memcpy(copy, s.text, s.n);
    copy[s.n] = 0;
    return copy;
}

/* ---- single fields ---- */

/* A field that is null is as good as absent. */
static bool is_null(struct json *j)
{
    return json_peek(j) == JSON_NULL && !json_skip(j);
}

static int read_number(struct request *r, struct json *j, const char *name, double least, double most, double *out)
{
    double v;
    TRY(json_double(j, &v));
    if (!(v >= least && v <= most))
        return request_refuse(r, 400, "invalid_value", name, "%s is %g; it may be %g to %g", name, v, least, most);
    *out = v;
    return 0;
}

static int read_float(struct request *r, struct json *j, const char *name, double least, double most, float *out)
{
    double v = *out;
    TRY(read_number(r, j, name, least, most, &v));
    *out = (float)v;
    return 0;
}

static int read_count(struct request *r, struct json *j, const char *name, uint32_t least, uint32_t most, uint32_t *out)
{
    double v = *out;
    TRY(read_number(r, j, name, least, most, &v));
    if (v != floor(v)) return request_refuse(r, 400, "invalid_value", name, "%s is %g; it must be a whole number", name, v);
    *out = (uint32_t)v;
    return 0;
}

/* Clients send both names of the same wish; the smaller number holds. */
static int read_most(struct request *r, struct json *j, const char *name, uint32_t *most)
{
    uint32_t n = 0;
    TRY(read_count(r, j, name, 1, INT32_MAX, &n));
    if (n && (!*most || n < *most)) *most = n;
    return 0;
}

/* Any whole number of 64 bits, with or without a sign. */
static int read_seed(struct request *r, struct json *j)
{
    int64_t with_sign;
    if (json_peek(j) != JSON_NUMBER) return json_u64(j, &r->sampling.seed);
    r->has_seed = true;
    if (*j->at != '-') return json_u64(j, &r->sampling.seed);
    TRY(json_i64(j, &with_sign));
    r->sampling.seed = (uint64_t)with_sign;
    return 0;
}

static int add_stop(struct request *r, struct json *j)
{
    struct json_text s;
    TRY(json_string(j, &s));
    if (!s.n) return request_refuse(r, 400, "invalid_value", "stop", "a stop text is empty");
    if (memchr(s.text, 0, s.n)) return request_refuse(r, 400, "invalid_value", "stop", "a stop text holds a NUL");
    if (r->n_stops == REQUEST_STOPS)
        return request_refuse(r, 400, "invalid_value", "stop", "there are more than %d stop texts", REQUEST_STOPS);
    if (!(r->stop[r->n_stops] = request_copy(s, j->why))) return j->code = E_MEMORY;
    r->n_stops++;
    return 0;
}

static int read_stops(struct request *r, struct json *j)
{
    if (json_peek(j) != JSON_ARRAY) return add_stop(r, j);
    TRY(json_array(j));
    while (json_item(j)) TRY(add_stop(r, j));
    return json_done(j);
}

static int read_ids(struct request *r, struct json *j)
{
    uint32_t id;
    ids_free(&r->ids);
    do {
        TRY(json_u32(j, 0, UINT32_MAX, &id));
        if (ids_push(&r->ids, id, j->why)) return j->code = E_MEMORY;
    } while (json_item(j));
    return json_done(j);
}

/* A text; ids; or a list of one of these. */
static int read_prompt(struct request *r, struct json *j, bool in_list)
{
    struct json_text s;
    if (json_peek(j) == JSON_ARRAY) {
        TRY(json_array(j));
        if (!json_item(j)) return json_fail(j, "prompt is an empty list");
        if (json_peek(j) == JSON_NUMBER) return read_ids(r, j);
        if (in_list) return json_fail(j, "prompt is a list of lists of what is no token id");
        TRY(read_prompt(r, j, true));
        return json_item(j) ? json_fail(j, "prompt is a list of several; one can be asked at a time") : json_done(j);
    }
    TRY(json_string(j, &s));
    free(r->text);
    if (memchr(s.text, 0, s.n)) return request_refuse(r, 400, "invalid_value", "prompt", "the prompt holds a NUL");
    r->text = request_copy(s, j->why);
    return r->text ? 0 : (j->code = E_MEMORY);
}

/* ---- biases and log-probabilities ---- */

static int by_id(const void *x, const void *y)
{
    const struct word_bias *a = x, *b = y;
    return a->id < b->id ? -1 : a->id > b->id;
}

/* A whole number in a text; false: it is none of 32 bits. */
static bool id_of(struct json_text key, uint32_t *id)
{
    uint64_t n = 0;
    for (size_t i = 0; i < key.n; i++) {
        if (key.text[i] < '0' || key.text[i] > '9' || n > UINT32_MAX) return false;
        n = 10 * n + (uint64_t)(key.text[i] - '0');
    }
    *id = (uint32_t)n;
    return key.n && n <= UINT32_MAX;
}

static int add_bias(struct request *r, struct json *j, struct json_text key, struct word_bias *words, uint32_t *n)
{
    struct word_bias w = {0};
    char shown[64];
    if (!id_of(key, &w.id)) request_refuse(r, 400, "invalid_value", "logit_bias", "logit_bias names %s, which is no token id", json_plain(shown, key));
    TRY(read_float(r, j, "logit_bias", -100, 100, &w.amount));
    if (*n < REQUEST_BIASES) words[(*n)++] = w;
    else request_refuse(r, 400, "invalid_value", "logit_bias", "logit_bias has more than %d words", REQUEST_BIASES);
    return 0;
}

static int read_biases(struct request *r, struct json *j)
{
    struct word_bias *words = malloc(REQUEST_BIASES * sizeof *words);
    struct json_text key;
    uint32_t n = 0;
    if (!words) return j->code = fail(j->why, E_MEMORY, "no memory for the biases of a line");
    free((struct word_bias *)r->wish.words);
    r->wish.words = words;
    TRY(json_object(j));
    while (json_key(j, &key)) TRY(add_bias(r, j, key, words, &n));
    qsort(words, n, sizeof *words, by_id);
    for (uint32_t i = 1; i < n; i++)
        if (words[i].id == words[i - 1].id) request_refuse(r, 400, "invalid_value", "logit_bias", "logit_bias names token %u twice", words[i].id);
    r->wish.n_words = n;
    return json_done(j);
}

/* Whether they are wanted, of a chat; how many alternatives, of a completion, where 0 means the tokens alone. */
static int read_logprobs(struct request *r, struct json *j)
{
    if (json_peek(j) == JSON_TRUTH) return json_truth(j, &r->logprobs.truth);
    r->logprobs.number = true;
    return read_count(r, j, "logprobs", 0, 5, &r->logprobs.n);
}

static int check_logprobs(struct request *r)
{
    const bool truth = r->logprobs.truth, number = r->logprobs.number;
    if (r->chat && r->logprobs.n)
        return request_refuse(r, 400, "invalid_value", "logprobs", "logprobs is a number; in a chat it is true or false");
    if (!r->chat && truth) return request_refuse(r, 400, "invalid_value", "logprobs", "logprobs is true; in a completion it is a number");
    if (r->top && !(r->chat && truth))
        return request_refuse(r, 400, "invalid_value", "top_logprobs", "top_logprobs wants a chat with logprobs true");
    r->wants_logprobs = r->chat ? truth : number;
    if (!r->chat) r->top = r->logprobs.n;
    return 0;
}

/* ---- fields that are legal and not built ---- */

static const char *const refused_unless_nothing[] = {"stream", "echo", "mirostat", "timeout", "functions", "function_call",
                                                     "grammar", "suffix", "audio", NULL};
static const char *const passed_over[] = {"user", "safety_identifier", "prompt_cache_key", "metadata", "store", "service_tier",
                                          "prediction", "reasoning_effort", "verbosity", "modalities", "stream_options", "cache_prompt",
                                          "parallel_tool_calls", "typical_p", "id_slot", "priority", "best_of", NULL};

static bool named(struct json_text key, const char *const *names)
{
    while (*names && !json_is(key, *names)) names++;
    return *names;
}

static int refuse_field(struct request *r, struct json *j, const char *name)
{
    request_refuse(r, 400, "unsupported", name, "%s is not supported", name);
    return json_skip(j);
}

static bool asks_for_nothing(struct json *j)
{
    static const char none[] = "\"none\"";
    struct json at = *j; /* looks without moving on: neither word has an escape, so nothing is shared but the text */
    bool truth;
    double number;
    struct err ignored;
    at.why = &ignored;
    const enum json_kind kind = json_peek(&at);
    if (kind == JSON_ARRAY) return !json_array(&at) && !json_item(&at) && !at.code;
    if (kind == JSON_OBJECT) return !json_object(&at) && json_peek(&at) == JSON_NOTHING;
    if (kind == JSON_STRING) return (size_t)(at.end - at.at) > sizeof none && !memcmp(at.at, none, sizeof none - 1);
    if (json_peek(&at) == JSON_TRUTH) return !json_truth(&at, &truth) && !truth;
    return json_peek(&at) == JSON_NUMBER && !json_double(&at, &number) && number == 0;
}

static int make_shape(struct request *r, const char *text, size_t n, struct err *why)
{
    struct err mine;
    char where[128];
    schema_free(&r->shape);
    const int code = text ? schema_make(&r->shape, text, n, where, &mine) : schema_make_any_object(&r->shape, &mine);
    if (code == E_MEMORY) return *why = mine, code;
    return code ? request_refuse(r, 400, "unsupported_schema", "response_format", "%s", mine.text) : 0;
}

/* {"name": …, "schema": …}; *text: the schema as it stands in the line. */
static int read_json_schema(struct json *j, const char **text, size_t *n)
{
    struct json_text key;
    TRY(json_object(j));
    while (json_key(j, &key)) {
        const bool is_schema = json_is(key, "schema");
        json_peek(j); /* blanks */
        const char *begin = j->at;
        TRY(json_skip(j));
        if (is_schema) *text = begin, *n = (size_t)(j->at - begin);
    }
    return json_done(j);
}

/* {"type": "text"}, {"type": "json_object"}, {"type": "json_schema", "json_schema": {"name": …, "schema": …}}. */
static int read_format(struct request *r, struct json *j)
{
    struct json_text key, type;
    enum { TEXT, OBJECT, SCHEMA, OTHER } kind = OTHER;
    const char *text = NULL, *begin;
    size_t n = 0;
    if (json_peek(j) != JSON_OBJECT) return refuse_field(r, j, "response_format");
    TRY(json_object(j));
    while (json_key(j, &key)) {
        if (json_is(key, "json_schema") && json_peek(j) == JSON_OBJECT) {
            TRY(read_json_schema(j, &text, &n));
        } else if (json_is(key, "schema") && json_peek(j) == JSON_OBJECT) { /* as llama.cpp's clients have it */
            begin = j->at;
            TRY(json_skip(j));
            text = begin, n = (size_t)(j->at - begin);
        } else if (json_is(key, "type") && json_peek(j) == JSON_STRING) {
            TRY(json_string(j, &type));
            kind = json_is(type, "text") ? TEXT : json_is(type, "json_object") ? OBJECT : json_is(type, "json_schema") ? SCHEMA : OTHER;
        } else {
            TRY(json_skip(j));
        }
    }
    TRY(json_done(j));
    if (kind == TEXT) return 0;
    if (kind == OTHER || (kind == SCHEMA && !text))
        return request_refuse(r, 400, "invalid_value", "response_format", "response_format is neither text, json_object, nor json_schema with a schema");
    const int code = make_shape(r, text, n, j->why);
    return code ? (j->code = code) : 0;
}

static int read_other(struct request *r, struct json *j, struct json_text key, bool strict)
{
    char name[64];
    json_plain(name, key);
    const bool known = named(key, refused_unless_nothing);
    if (known && !asks_for_nothing(j)) return refuse_field(r, j, name);
    if (strict && !known && !named(key, passed_over))
        request_refuse(r, 400, "unknown_field", name, "there is no field %s", name);
    return json_skip(j);
}

/* ---- the body ---- */

static int read_sampling(struct request *r, struct json *j, struct json_text key, bool *taken)
{
    struct sampling *s = &r->sampling;
    *taken = true;
    if (json_is(key, "temperature")) return read_float(r, j, "temperature", 0, 100, &s->temperature);
    if (json_is(key, "top_p")) return read_float(r, j, "top_p", 0, 1, &s->top_p);
    if (json_is(key, "min_p")) return read_float(r, j, "min_p", 0, 1, &s->min_p);
    if (json_is(key, "top_k")) return read_count(r, j, "top_k", 0, INT32_MAX, &s->top_k);
    if (json_is(key, "repeat_penalty")) return read_float(r, j, "repeat_penalty", 0.01, 100, &s->repeat_penalty);
    if (json_is(key, "repetition_penalty")) return read_float(r, j, "repetition_penalty", 0.01, 100, &s->repeat_penalty);
    if (json_is(key, "repeat_last_n")) return read_count(r, j, "repeat_last_n", 0, REPEAT_LAST_MOST, &s->repeat_last);
    if (json_is(key, "seed")) return read_seed(r, j);
    *taken = false;
    return 0;
}

static int read_wish(struct request *r, struct json *j, struct json_text key, bool *taken)
{
    *taken = true;
    if (json_is(key, "presence_penalty")) return read_float(r, j, "presence_penalty", -2, 2, &r->wish.presence);
    if (json_is(key, "frequency_penalty")) return read_float(r, j, "frequency_penalty", -2, 2, &r->wish.frequency);
    if (json_is(key, "min_tokens")) return read_count(r, j, "min_tokens", 0, INT32_MAX, &r->wish.least);
    if (json_is(key, "logit_bias")) return read_biases(r, j);
    if (json_is(key, "logprobs")) return read_logprobs(r, j);
    if (json_is(key, "top_logprobs")) return read_count(r, j, "top_logprobs", 0, WIRE_ALTERNATIVES, &r->top);
    *taken = false;
    return 0;
}

static int read_model(struct request *r, struct json *j)
{
    struct json_text s;
    TRY(json_string(j, &s));
    if (memchr(s.text, 0, s.n)) return request_refuse(r, 400, "invalid_value", "model", "model holds a NUL");
    free(r->model);
    r->model = request_copy(s, j->why);
    return r->model ? 0 : (j->code = E_MEMORY);
}

/* {"include_usage": true}; whatever else other servers know in here is passed over. */
static int read_stream_options(struct request *r, struct json *j)
{
    struct json_text key;
    TRY(json_object(j));
    while (json_key(j, &key)) TRY(json_is(key, "include_usage") ? json_truth(j, &r->include_usage) : json_skip(j));
    return json_done(j);
}

static int read_cache_key(struct request *r, struct json *j)
{
    struct json_text s;
    TRY(json_string(j, &s));
    r->cache_key = hash64(s.text, s.n) | 1;
    return 0;
}

static int read_cache_prompt(struct request *r, struct json *j)
{
    bool shares = true;
    TRY(json_truth(j, &shares));
    r->shares_nothing = !shares;
    return 0;
}

static int read_field(struct request *r, struct json *j, struct json_text key, const struct request_defaults *d, uint32_t *most)
{
    bool taken;
    if (is_null(j)) return 0;
    TRY(read_sampling(r, j, key, &taken));
    if (!taken) TRY(read_wish(r, j, key, &taken));
    if (taken) return 0;
    if (json_is(key, "messages")) return request_messages(r, j);
    if (json_is(key, "prompt")) return read_prompt(r, j, false);
    if (json_is(key, "max_tokens")) return read_most(r, j, "max_tokens", most);
    if (json_is(key, "max_completion_tokens")) return read_most(r, j, "max_completion_tokens", most);
    if (json_is(key, "n_predict")) return read_most(r, j, "n_predict", most);
    if (json_is(key, "n")) return read_count(r, j, "n", 1, REQUEST_CHOICES, &r->choices);
    if (json_is(key, "stop")) return read_stops(r, j);
    if (json_is(key, "ignore_eos")) return json_truth(j, &r->run_on);
    if (json_is(key, "model")) return read_model(r, j);
    if (d->streams && json_is(key, "stream")) return json_truth(j, &r->stream);
    if (d->streams && json_is(key, "stream_options")) return read_stream_options(r, j);
    if (d->streams && json_is(key, "timeout")) return read_number(r, j, "timeout", 0, 1e6, &r->timeout);
    if (d->streams && json_is(key, "priority")) return read_count(r, j, "priority", 0, 1000, &r->later);
    if (d->streams && json_is(key, "prompt_cache_key")) return read_cache_key(r, j);
    if (d->streams && json_is(key, "cache_prompt")) return read_cache_prompt(r, j);
    if (json_is(key, "response_format")) return read_format(r, j);
    if (json_is(key, "tools")) return request_tools(r, j);
    if (json_is(key, "tool_choice")) return request_tool_choice(r, j);
    return read_other(r, j, key, d->strict_fields);
}

static int read_custom_id(struct request *r, struct json *j)
{
    struct json_text s;
    TRY(json_string(j, &s));
    if (memchr(s.text, 0, s.n)) return request_refuse(r, 400, "invalid_value", "custom_id", "custom_id holds a NUL");
    free(r->custom_id);
    r->custom_id = request_copy(s, j->why);
    return r->custom_id ? 0 : (j->code = E_MEMORY);
}

static int read_method(struct request *r, struct json *j)
{
    struct json_text s;
    TRY(json_string(j, &s));
    return json_is(s, "POST") ? 0 : request_refuse(r, 400, "invalid_value", "method", "method is not POST");
}

static int read_url(struct request *r, struct json *j, int *wants_chat)
{
    struct json_text s;
    char shown[64];
    TRY(json_string(j, &s));
    if (json_is(s, "/v1/chat/completions")) *wants_chat = 1;
    else if (json_is(s, "/v1/completions")) *wants_chat = 0;
    else return request_refuse(r, 400, "invalid_value", "url", "url is %s; /v1/chat/completions and /v1/completions are answered", json_plain(shown, s));
    return 0;
}

static int read_body(struct request *r, struct json *j, const struct request_defaults *d, uint32_t *most)
{
    struct json_text key;
    TRY(json_object(j));
    while (json_key(j, &key)) TRY(read_field(r, j, key, d, most));
    return json_done(j);
}

static int refuse_second_body(struct request *r, struct json *j)
{
    request_refuse(r, 400, "invalid_value", "body", "there are two bodies");
    return json_skip(j);
}

static int check_kind(struct request *r, int wants_chat)
{
    const bool text = r->text || r->ids.n;
    r->chat = r->messages != NULL;
    if (r->text && r->ids.n) return request_refuse(r, 400, "invalid_value", "prompt", "there are two prompts");
    if (r->messages && text) return request_refuse(r, 400, "invalid_value", "prompt", "there are both messages and a prompt");
    if (!r->messages && !text) return request_refuse(r, 400, "invalid_value", "messages", "there are neither messages nor a prompt");
    if (wants_chat < 0 || wants_chat == r->chat) return check_logprobs(r);
    return request_refuse(r, 400, "invalid_value", "url", "the url is that of %s, and the body has %s", wants_chat ? "chat completions" : "completions",
                          r->chat ? "messages" : "a prompt");
}

/* A line as OpenAI has it, or one that is a body itself. */
static int read_line(struct request *r, struct json *j, const struct request_defaults *d, uint32_t *most)
{
    struct json_text key;
    int wants_chat = -1;
    bool body = false;
    TRY(json_object(j));
    while (json_key(j, &key)) {
        if (is_null(j)) continue;
        if (json_is(key, "custom_id")) TRY(read_custom_id(r, j));
        else if (json_is(key, "method")) TRY(read_method(r, j));
        else if (json_is(key, "url")) TRY(read_url(r, j, &wants_chat));
        else if (!json_is(key, "body")) TRY(read_field(r, j, key, d, most));
        else if (body) TRY(refuse_second_body(r, j));
        else {
            body = true;
            TRY(read_body(r, j, d, most));
        }
    }
    TRY(json_done(j));
    return check_kind(r, wants_chat);
}

/* ---- the line ---- */

/* Then what is wrong with it is a value of the wrong kind. */
static bool is_json(const char *text, size_t n)
{
    struct json j;
    struct err ignored;
    json_begin(&j, text, n, "", &ignored);
    const bool is = !json_skip(&j) && !json_finish(&j);
    json_end(&j);
    return is;
}

int request_read(struct request *r, const char *text, size_t n, size_t line, const struct request_defaults *d, struct err *why)
{
    struct json j;
    struct err mine = {0}, of_sampling;
    uint32_t most = 0;
    *r = (struct request){.sampling = d->sampling, .choices = 1};
    if (!utf8_valid(text, n)) return request_refuse(r, 400, "invalid_utf8", "", "line %zu of %s is not UTF-8", line, d->file);
    json_begin(&j, text, n, d->file, &mine);
    j.line = line;
    if (!read_line(r, &j, d, &most)) json_finish(&j);
    json_end(&j);
    if (j.code == E_MEMORY) return *why = mine, E_MEMORY;
    if (j.code) r->refused.status = 0, request_refuse(r, 400, is_json(text, n) ? "invalid_value" : "invalid_json", "", "%s", mine.text);
    if (!r->refused.status) TRY(request_tools_end(r, d->may_call, why));
    r->most = most ? most : d->most;
    if (!r->refused.status && r->shape && (r->run_on || r->wish.least))
        request_refuse(r, 400, "invalid_value", "response_format", "an answer that is held to a schema ends when it is complete; ignore_eos and min_tokens do not go with it");
    if (!r->refused.status && sampling_check(&r->sampling, &of_sampling)) request_refuse(r, 400, "invalid_value", "", "%s", of_sampling.text);
    return 0;
}

void request_free(struct request *r)
{
    for (size_t i = 0; i < r->n_messages; i++) {
        for (size_t k = 0; k < r->messages[i].n; k++) free((char *)r->messages[i].content[k].text);
        free((struct content *)r->messages[i].content);
    }
    for (size_t i = 0; i < r->n_pictures; i++) free(r->pictures[i]);
    for (uint32_t i = 0; i < r->n_stops; i++) free(r->stop[i]);
    free((struct word_bias *)r->wish.words);
    free(r->messages);
    free(r->pictures);
    free(r->begun);
    free(r->text);
    ids_free(&r->ids);
    free(r->tools);
    free(r->forced);
    schema_free(&r->shape);
    free(r->custom_id);
    free(r->model);
    *r = (struct request){0};
}
