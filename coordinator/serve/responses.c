/* coordinator/serve/responses.c — see responses.h. */
#define _GNU_SOURCE
#include "coordinator/serve/responses.h"

#include "base/hash.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- a request ---- */

/* The value that follows, as it stands. */
static int copy_value(struct json *j, FILE *to)
{
    json_peek(j); /* blanks */
    const char *begin = j->at;
    TRY(json_skip(j));
    fwrite(begin, 1, (size_t)(j->at - begin), to);
    return 0;
}

/* {"type": "input_text", "text": …}, output_text, {"type": "input_image", "image_url": …}. */
static int read_part(struct json *j, FILE *to)
{
    struct json_text key, type;
    bool has = false;
    TRY(json_object(j));
    while (json_key(j, &key)) {
        const bool text = json_is(key, "text"), image = json_is(key, "image_url");
        if (json_is(key, "type")) {
            TRY(json_string(j, &type));
            if (!json_is(type, "input_text") && !json_is(type, "output_text") && !json_is(type, "input_image"))
                return json_fail(j, "a part is neither input_text, output_text nor input_image");
        } else if ((text || image) && !has) {
            fputs(text ? "{\"type\":\"text\",\"text\":" : "{\"type\":\"image_url\",\"image_url\":", to);
            TRY(copy_value(j, to));
            fputc('}', to);
            has = true;
        } else {
            TRY(json_skip(j));
        }
    }
    TRY(json_done(j));
    return has ? 0 : json_fail(j, "a part has neither text nor image_url");
}

static int read_content(struct json *j, FILE *to)
{
    bool first = true;
    if (json_peek(j) != JSON_ARRAY) return copy_value(j, to);
    fputc('[', to);
    TRY(json_array(j));
    while (json_item(j)) {
        if (!first) fputc(',', to);
        first = false;
        TRY(read_part(j, to));
    }
    fputc(']', to);
    return json_done(j);
}

/* {"type": "message", "role": …, "content": …}. */
static int read_item(struct json *j, FILE *to)
{
    struct json_text key, type;
    bool first = true;
    fputc('{', to);
    TRY(json_object(j));
    while (json_key(j, &key)) {
        const bool role = json_is(key, "role"), content = json_is(key, "content");
        if (json_is(key, "type")) {
            TRY(json_string(j, &type));
            if (!json_is(type, "message")) return json_fail(j, "an item of input is no message");
        }
        if (role || content) {
            fputs(first ? "" : ",", to);
            fputs(role ? "\"role\":" : "\"content\":", to);
            first = false;
            TRY(role ? copy_value(j, to) : read_content(j, to));
        } else if (!json_is(key, "type")) {
            TRY(json_skip(j));
        }
    }
    fputc('}', to);
    return json_done(j);
}

/* A text, or a list of messages. */
static int read_input(struct json *j, FILE *to, bool *has)
{
    *has = true;
    if (json_peek(j) == JSON_STRING) {
        fputs("{\"role\":\"user\",\"content\":", to);
        TRY(copy_value(j, to));
        fputc('}', to);
        return 0;
    }
    bool first = true;
    TRY(json_array(j));
    while (json_item(j)) {
        if (!first) fputc(',', to);
        first = false;
        TRY(read_item(j, to));
    }
    return json_done(j);
}

/* {"format": {"type": "json_schema", "name": …, "schema": …}}: a chat has the schema beside the type too. */
static int read_text_format(struct json *j, FILE *to)
{
    struct json_text key;
    TRY(json_object(j));
    while (json_key(j, &key)) {
        if (!json_is(key, "format")) {
            TRY(json_skip(j));
            continue;
        }
        fputs(",\"response_format\":", to);
        TRY(copy_value(j, to));
    }
    return json_done(j);
}

static int want_nothing(struct json *j, struct json_text key)
{
    if (json_peek(j) == JSON_ARRAY) {
        TRY(json_array(j));
        if (!json_item(j)) return json_done(j);
    } else if (json_peek(j) == JSON_NULL) {
        return json_skip(j);
    }
    return json_fail(j, "%.*s is not supported", (int)key.n, key.text);
}

struct parts {
    FILE *input, *system, *fields;
    bool has_input, has_system;
};

static int read_field(struct json *j, struct json_text key, struct parts *p)
{
    static const char *const same[] = {"model", "temperature", "top_p", "top_k", "min_p", "seed", "stream", "prompt_cache_key", "timeout", "priority", "stop", NULL};
    if (json_is(key, "previous_response_id") || json_is(key, "tools") || json_is(key, "conversation")) return want_nothing(j, key);
    if (json_peek(j) == JSON_NULL) return json_skip(j);
    if (json_is(key, "input") && !p->has_input) return read_input(j, p->input, &p->has_input);
    if (json_is(key, "text")) return read_text_format(j, p->fields);
    if (json_is(key, "instructions") && !p->has_system) {
        fputs("{\"role\":\"system\",\"content\":", p->system);
        p->has_system = true;
        TRY(copy_value(j, p->system));
        fputs("},", p->system);
        return 0;
    }
    int i = 0;
    while (same[i] && !json_is(key, same[i])) i++;
    if (!same[i] && !json_is(key, "max_output_tokens")) return json_skip(j);
    fprintf(p->fields, ",\"%s\":", same[i] ? same[i] : "max_tokens");
    return copy_value(j, p->fields);
}

int responses_as_chat(char **out, size_t *out_n, const char *text, size_t n, struct err *why)
{
    char *part[3] = {NULL, NULL, NULL};
    size_t size[3] = {0, 0, 0};
    struct parts p = {.input = open_memstream(&part[0], &size[0]), .system = open_memstream(&part[1], &size[1]), .fields = open_memstream(&part[2], &size[2])};
    struct json j;
    struct json_text key;
    bool bad = !p.input || !p.system || !p.fields;
    *out = NULL;
    json_begin(&j, text, n, "the request", why);
    if (!bad && !json_object(&j))
        while (json_key(&j, &key) && !read_field(&j, key, &p)) continue;
    if (!bad && !json_done(&j)) json_finish(&j);
    json_end(&j);
    if (p.input) bad |= fclose(p.input) != 0;
    if (p.system) bad |= fclose(p.system) != 0;
    if (p.fields) bad |= fclose(p.fields) != 0;
    int code = bad ? fail(why, E_MEMORY, "no memory for a request") : j.code == E_FILE ? (why->code = E_USAGE) : j.code;
    if (!code && !p.has_input) code = fail(why, E_USAGE, "there is no input");
    if (!code) {
        const int length = asprintf(out, "{\"messages\":[%s%s]%s}", part[1], part[0], part[2]);
        if (length < 0) *out = NULL, code = fail(why, E_MEMORY, "no memory for a request");
        else *out_n = (size_t)length;
    }
    for (int i = 0; i < 3; i++) free(part[i]);
    return code;
}

/* ---- an answer ---- */

static uint64_t name_of(const struct exchange *x, const struct response *r)
{
    return hash_fold(r->common->job, exchange_number(x));
}

static void print_part(FILE *to, const struct response *r)
{
    fputs("{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":", to);
    json_print_bytes(to, r->text ? r->text : "", r->n);
    fputc('}', to);
}

static void print_message(FILE *to, const struct exchange *x, const struct response *r, bool whole)
{
    fprintf(to, "{\"id\":\"msg_%016" PRIx64 "\",\"type\":\"message\",\"role\":\"assistant\",\"status\":\"%s\",\"content\":[", name_of(x, r),
            !whole ? "in_progress" : r->cut_off ? "incomplete" : "completed");
    if (whole) print_part(to, r);
    fputs("]}", to);
}

static void print_response(FILE *to, const struct exchange *x, const struct response *r, bool whole)
{
    const struct result_usage *u = &r->usage;
    fprintf(to, "{\"id\":\"resp_%016" PRIx64 "\",\"object\":\"response\",\"created_at\":%" PRIu64 ",\"status\":\"%s\",\"error\":null,\"incomplete_details\":%s,\"model\":", name_of(x, r),
            r->common->created, !whole ? "in_progress" : r->cut_off ? "incomplete" : "completed", whole && r->cut_off ? "{\"reason\":\"max_output_tokens\"}" : "null");
    json_print_text(to, r->common->model);
    fputs(",\"instructions\":null,\"metadata\":{},\"parallel_tool_calls\":false,\"previous_response_id\":null,\"store\":false,\"temperature\":null,\"top_p\":null,\"tool_choice\":\"none\",\"tools\":[],\"output\":[", to);
    if (whole) print_message(to, x, r, true);
    fputs("],\"usage\":", to);
    if (whole)
        fprintf(to, "{\"input_tokens\":%" PRIu64 ",\"input_tokens_details\":{\"cached_tokens\":%" PRIu64 "},\"output_tokens\":%" PRIu64
                ",\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":%" PRIu64 "}", u->prompt, u->cached, u->made, u->prompt + u->made);
    else fputs("null", to);
    fputc('}', to);
}

void responses_answer(struct exchange *x, const struct response *r)
{
    struct page p;
    if (!reply_open(x, &p)) return;
    print_response(p.to, x, r, true);
    reply_close(x, 200, &p);
}

/* ---- a stream ---- */

static void begin(FILE *to, const char *type, uint32_t *events)
{
    fprintf(to, "event: response.%s\ndata: {\"type\":\"response.%s\",\"sequence_number\":%" PRIu32, type, type, (*events)++);
}

static void begin_part(FILE *to, const char *type, const struct exchange *x, const struct response *r, uint32_t *events)
{
    begin(to, type, events);
    fprintf(to, ",\"item_id\":\"msg_%016" PRIx64 "\",\"output_index\":0,\"content_index\":0", name_of(x, r));
}

static void print_beginning(FILE *to, const struct exchange *x, const struct response *r, uint32_t *events)
{
    const struct response nothing = {.common = r->common};
    static const char *const types[] = {"created", "in_progress"};
    for (int i = 0; i < 2; i++) {
        begin(to, types[i], events);
        fputs(",\"response\":", to);
        print_response(to, x, &nothing, false);
        fputs("}\n\n", to);
    }
    begin(to, "output_item.added", events);
    fputs(",\"output_index\":0,\"item\":", to);
    print_message(to, x, &nothing, false);
    fputs("}\n\n", to);
    begin_part(to, "content_part.added", x, r, events);
    fputs(",\"part\":", to);
    print_part(to, &nothing);
    fputs("}\n\n", to);
}

static void print_ending(FILE *to, const struct exchange *x, const struct response *r, uint32_t *events)
{
    begin_part(to, "output_text.done", x, r, events);
    fputs(",\"logprobs\":[],\"text\":", to);
    json_print_bytes(to, r->text ? r->text : "", r->n);
    fputs("}\n\n", to);
    begin_part(to, "content_part.done", x, r, events);
    fputs(",\"part\":", to);
    print_part(to, r);
    fputs("}\n\n", to);
    begin(to, "output_item.done", events);
    fputs(",\"output_index\":0,\"item\":", to);
    print_message(to, x, r, true);
    fputs("}\n\n", to);
    begin(to, r->cut_off ? "incomplete" : "completed", events);
    fputs(",\"response\":", to);
    print_response(to, x, r, true);
    fputs("}\n\n", to);
}

void responses_piece(struct exchange *x, const struct response *r, size_t from, bool ends, uint32_t *events)
{
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);
    if (!to) {
        exchange_break(x);
        return;
    }
    if (!*events) print_beginning(to, x, r, events);
    if (r->n > from) {
        begin_part(to, "output_text.delta", x, r, events);
        fputs(",\"logprobs\":[],\"delta\":", to);
        json_print_bytes(to, r->text + from, r->n - from);
        fputs("}\n\n", to);
    }
    if (ends) print_ending(to, x, r, events);
    const bool bad = ferror(to);
    if (fclose(to) || bad || !exchange_write(x, text, n)) exchange_break(x);
    free(text);
}
