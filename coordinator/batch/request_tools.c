/* coordinator/batch/request_tools.c — functions that an answer may call: "tools", "tool_choice", and the call in an answer.
 *
 * Gemma 3 has no token for a call. So the functions are described in the prompt, and the answer is held to be a call of one of them, as JSON:
 *
 *     {"name": "weather", "arguments": {"city": "Lima"}}
 *
 * Where the model may choose (the server was told so), it is held to be that or {"response": "…"}. */
#include "coordinator/batch/request.h"

#include <stdlib.h>
#include <string.h>

#define TOOLS_MOST 128
#define NAME_MOST 64

/* ---- the fields ---- */

/* The value that follows, as it stands. */
static int copy_value(struct json *j, char **out)
{
    json_peek(j); /* blanks */
    const char *begin = j->at;
    TRY(json_skip(j));
    free(*out);
    *out = request_copy((struct json_text){begin, (size_t)(j->at - begin)}, j->why);
    return *out ? 0 : (j->code = E_MEMORY);
}

int request_tools(struct request *r, struct json *j)
{
    if (json_peek(j) != JSON_ARRAY) return json_fail(j, "tools is not a list");
    return copy_value(j, &r->tools);
}

static bool is_name(struct json_text s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!memchr("_-", s.text[i], 2) && (s.text[i] < '0' || s.text[i] > '9') && (s.text[i] < 'A' || s.text[i] > 'Z') && (s.text[i] < 'a' || s.text[i] > 'z'))
            return false;
    return s.n && s.n <= NAME_MOST;
}

static int read_name(struct request *r, struct json *j, const char *param, char **out)
{
    struct json_text s;
    TRY(json_string(j, &s));
    if (!is_name(s)) return request_refuse(r, 400, "invalid_value", param, "a function's name is 1 to %d of a-z, A-Z, 0-9, _ and -", NAME_MOST);
    free(*out);
    *out = request_copy(s, j->why);
    return *out ? 0 : (j->code = E_MEMORY);
}

/* "none", "auto", "required", or {"type": "function", "function": {"name": …}}. */
int request_tool_choice(struct request *r, struct json *j)
{
    struct json_text s, key;
    if (json_peek(j) == JSON_STRING) {
        TRY(json_string(j, &s));
        r->choice = json_is(s, "none") ? TOOLS_NONE : json_is(s, "auto") ? TOOLS_AUTO : TOOLS_REQUIRED;
        if (json_is(s, "none") || json_is(s, "auto") || json_is(s, "required")) return 0;
        return request_refuse(r, 400, "invalid_value", "tool_choice", "tool_choice is none of none, auto, required, or a function");
    }
    r->choice = TOOLS_REQUIRED;
    TRY(json_object(j));
    while (json_key(j, &key)) {
        if (json_is(key, "name")) TRY(read_name(r, j, "tool_choice", &r->forced));
        else if (!json_is(key, "function")) TRY(json_skip(j));
        else {
            TRY(json_object(j));
            while (json_key(j, &key)) TRY(json_is(key, "name") ? read_name(r, j, "tool_choice", &r->forced) : json_skip(j));
            TRY(json_done(j));
        }
    }
    TRY(json_done(j));
    return r->forced ? 0 : request_refuse(r, 400, "invalid_value", "tool_choice", "tool_choice names no function");
}

/* ---- the functions ---- */

struct tools {
    struct schema_call call[TOOLS_MOST];
    char *name[TOOLS_MOST], *parameters[TOOLS_MOST];
    size_t n;
};

static int read_function(struct request *r, struct json *j, struct tools *t)
{
    struct json_text key;
    TRY(json_object(j));
    while (json_key(j, &key)) {
        if (json_is(key, "name")) TRY(read_name(r, j, "tools", &t->name[t->n]));
        else if (json_is(key, "parameters") && json_peek(j) == JSON_OBJECT) TRY(copy_value(j, &t->parameters[t->n]));
        else TRY(json_skip(j));
    }
    return json_done(j);
}

/* {"type": "function", "function": {…}}. */
static int read_tool(struct request *r, struct json *j, struct tools *t)
{
    struct json_text key, type;
    if (t->n == TOOLS_MOST) return json_fail(j, "there are more than %d tools", TOOLS_MOST);
    TRY(json_object(j));
    while (json_key(j, &key)) {
        if (json_is(key, "function")) TRY(read_function(r, j, t));
        else if (json_is(key, "type")) {
            TRY(json_string(j, &type));
            if (!json_is(type, "function")) request_refuse(r, 400, "unsupported", "tools", "a tool is no function");
        } else TRY(json_skip(j));
    }
    TRY(json_done(j));
    if (!t->name[t->n]) return request_refuse(r, 400, "invalid_value", "tools", "tools[%zu] is no function with a name", t->n);
    t->call[t->n] = (struct schema_call){.name = t->name[t->n], .parameters = t->parameters[t->n]};
    t->n++;
    return 0;
}

static int read_tools(struct request *r, struct tools *t, struct err *why)
{
    struct json j;
    struct err mine = {0};
    json_begin(&j, r->tools, strlen(r->tools), "tools", &mine);
    if (!json_array(&j))
        while (json_item(&j) && !read_tool(r, &j, t)) continue;
    json_end(&j);
    if (j.code == E_MEMORY) return *why = mine, E_MEMORY;
    return j.code ? request_refuse(r, 400, "invalid_value", "tools", "%s", mine.text) : 0;
}

static void tools_free(struct tools *t)
{
    for (size_t i = 0; i < TOOLS_MOST; i++) free(t->name[i]), free(t->parameters[i]);
}

/* Of the functions the one that is forced. */
static int choose(struct request *r, struct tools *t)
{
    size_t i = 0;
    if (!r->forced) return 0;
    while (i < t->n && strcmp(t->name[i], r->forced)) i++;
    if (i == t->n) return request_refuse(r, 400, "invalid_value", "tool_choice", "tools has no function %s", r->forced);
    t->call[0] = t->call[i];
    t->n = 1;
    return 0;
}

static int hold_to_calls(struct request *r, const struct tools *t, struct err *why)
{
    struct err mine;
    char where[128];
    const int code = schema_make_calls(&r->shape, t->call, t->n, r->choice == TOOLS_AUTO, where, &mine);
    if (code == E_MEMORY) return *why = mine, code;
    return code ? request_refuse(r, 400, "unsupported_schema", "tools", "%s", mine.text) : 0;
}

static int describe(struct request *r, struct err *why)
{
    char *text;
    const char *rule = r->choice == TOOLS_AUTO
        ? "Answer as JSON: with a call of one of them, {\"name\": \"…\", \"arguments\": {…}}, or in words, {\"response\": \"…\"}."
        : "Answer with a call of one of them as JSON: {\"name\": \"…\", \"arguments\": {…}}.";
    const size_t n = strlen(r->tools) + strlen(rule) + 64;
    if (!(text = malloc(n))) return fail(why, E_MEMORY, "no memory for a description of %zu bytes", n);
    snprintf(text, n, "There are these functions:\n%s\n%s", r->tools, rule);
    return request_add_system(r, text, why);
}

int request_tools_end(struct request *r, bool may_choose, struct err *why)
{
    struct tools t = {0};
    if (r->choice == TOOLS_REQUIRED && !r->tools) return request_refuse(r, 400, "invalid_value", "tool_choice", "tool_choice wants tools, and there are none");
    if (!r->tools || r->choice == TOOLS_NONE) return 0;
    int code = read_tools(r, &t, why);
    const bool asked = !code && !r->refused.status && t.n;
    if (asked && !r->chat) request_refuse(r, 400, "unsupported", "tools", "only a chat calls functions");
    else if (asked && r->choice == TOOLS_AUTO && !may_choose)
        request_refuse(r, 400, "unsupported", "tool_choice", "this model has no token for calls, so it cannot choose by itself: tool_choice is \"required\" or a "
                       "function, or the server is started with --tools generic");
    else if (asked && r->shape) request_refuse(r, 400, "unsupported", "response_format", "response_format does not go with tools");
    else if (!t.n && r->choice == TOOLS_REQUIRED) request_refuse(r, 400, "invalid_value", "tool_choice", "tool_choice wants tools, and there are none");
    if (asked && !r->refused.status) code = choose(r, &t);
    if (asked && !code && !r->refused.status) code = hold_to_calls(r, &t, why);
    if (asked && !code && !r->refused.status) code = describe(r, why);
    r->calls = asked;
    tools_free(&t);
    return code;
}

/* ---- what was called ---- */

int said_call_read(struct said_call *out, const char *text, size_t n)
{
    struct json j;
    struct json_text key, s;
    struct err ignored;
    *out = (struct said_call){0};
    json_begin(&j, text, n, "the answer", &ignored);
    if (!json_object(&j))
        while (json_key(&j, &key)) {
            const bool name = json_is(key, "name"), words = json_is(key, "response");
            json_peek(&j);
            const char *begin = j.at;
            if (name || words) {
                if (!json_string(&j, &s)) *(name ? &out->name : &out->words) = request_copy(s, &ignored);
            } else if (!json_skip(&j)) {
                out->arguments = begin, out->n = (size_t)(j.at - begin);
            }
        }
    const bool whole = !json_done(&j) && !json_finish(&j) && (out->words || (out->name && out->arguments));
    json_end(&j);
    if (whole) return 0;
    said_call_free(out);
    return -1;
}

void said_call_free(struct said_call *c)
{
    free(c->name);
    free(c->words);
    *c = (struct said_call){0};
}

void said_call_print(FILE *to, const struct said_call *c, uint64_t id, bool in_stream)
{
    fprintf(to, "\"tool_calls\":[{%s\"id\":\"call_%016llx\",\"type\":\"function\",\"function\":{\"name\":", in_stream ? "\"index\":0," : "", (unsigned long long)id);
    json_print_text(to, c->name);
    fputs(",\"arguments\":", to);
    json_print_bytes(to, c->arguments, c->n);
    fputs("}}]", to);
}
