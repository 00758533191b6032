/* coordinator/batch/request_messages.c — the messages of a chat request, as the chat template wants them.
 *
 *   system, developer  at the beginning, joined by a blank line: the template's one system text. Later: refused.
 *   user               two in a row are one turn, a blank line between them.
 *   assistant          as last message: the answer begins with it.
 *   tool, function     what a function answered: the model has no turn for it, so the user says it.
 *
 * A call that the assistant made stands in its turn as it was told to write it (request_tools.c).
 *
 * Content is a text, null, or a list of parts: text, image_url. */
#include "coordinator/batch/request.h"

#include <stdlib.h>
#include <string.h>

struct spoken {
    enum speaker who;
    bool tool;
    struct content *content;
    size_t n;
};

static const char *where(char out[64], const struct request *r, const char *more)
{
    snprintf(out, 64, "messages[%zu]%s", r->n_read, more);
    return out;
}

static int refuse(struct request *r, const char *more, const char *code, const char *what)
{
    char param[64];
    return request_refuse(r, 400, code, where(param, r, more), "%s: %s", param, what);
}

/* ---- parts ---- */

static int add_content(struct spoken *m, char *text, struct err *why)
{
    struct content *grown = realloc(m->content, (m->n + 1) * sizeof *grown);
    if (!grown) return free(text), fail(why, E_MEMORY, "no memory for a message of %zu parts", m->n + 1);
    m->content = grown;
    m->content[m->n++] = (struct content){.text = text, .n = text ? strlen(text) : 0};
    return 0;
}

static int add_text(struct request *r, struct spoken *m, struct json *j)
{
    struct json_text s;
    TRY(json_string(j, &s));
    if (memchr(s.text, 0, s.n)) return refuse(r, ".content", "invalid_value", "the text holds a NUL");
    char *text = request_copy(s, j->why);
    if (!text || add_content(m, text, j->why)) return j->code = E_MEMORY;
    return 0;
}

static int add_picture(struct request *r, struct spoken *m, struct json *j)
{
    struct json_text s;
    TRY(json_string(j, &s));
    if (memchr(s.text, 0, s.n)) return refuse(r, ".content", "invalid_value", "the picture's address holds a NUL");
    char **grown = realloc(r->pictures, (r->n_pictures + 1) * sizeof *grown);
    if (!grown) return j->code = fail(j->why, E_MEMORY, "no memory for %zu pictures", r->n_pictures + 1);
    r->pictures = grown;
    if (!(r->pictures[r->n_pictures] = request_copy(s, j->why))) return j->code = E_MEMORY;
    r->n_pictures++;
    return add_content(m, NULL, j->why) ? (j->code = E_MEMORY) : 0;
}

static int read_detail(struct request *r, struct json *j)
{
    struct json_text s;
    if (json_peek(j) == JSON_NULL) return json_skip(j);
    TRY(json_string(j, &s));
    if (json_is(s, "high")) r->pan_and_scan = true;
    else if (!json_is(s, "low") && !json_is(s, "auto")) return refuse(r, ".content", "invalid_value", "detail is none of low, high, auto");
    return 0;
}

/* {"url": …, "detail": …}, or the address alone. */
static int read_picture(struct request *r, struct spoken *m, struct json *j)
{
    struct json_text key;
    if (json_peek(j) == JSON_STRING) return add_picture(r, m, j);
    TRY(json_object(j));
    while (json_key(j, &key)) {
        if (json_is(key, "url")) TRY(add_picture(r, m, j));
        else if (json_is(key, "detail")) TRY(read_detail(r, j));
        else TRY(json_skip(j));
    }
    return json_done(j);
}

/* What a part is follows from the field it has. */
static int read_part(struct request *r, struct spoken *m, struct json *j)
{
    struct json_text key, type;
    const size_t before = m->n;
    TRY(json_object(j));
    while (json_key(j, &key)) {
        if (json_is(key, "text")) TRY(add_text(r, m, j));
        else if (json_is(key, "image_url")) TRY(read_picture(r, m, j));
        else if (json_is(key, "type")) {
            TRY(json_string(j, &type));
            if (!json_is(type, "text") && !json_is(type, "image_url"))
                refuse(r, ".content", "unsupported", "a part is neither text nor image_url");
        } else TRY(json_skip(j));
    }
    TRY(json_done(j));
    return m->n == before + 1 ? 0 : refuse(r, ".content", "invalid_value", "a part has not one text or image_url");
}

static int read_content(struct request *r, struct spoken *m, struct json *j)
{
    switch (json_peek(j)) {
    case JSON_NULL: return json_skip(j);
    case JSON_STRING: return add_text(r, m, j);
    default: break;
    }
    TRY(json_array(j));
    while (json_item(j)) TRY(read_part(r, m, j));
    return json_done(j);
}

/* ---- one message ---- */

static int read_role(struct request *r, struct spoken *m, struct json *j, bool *has)
{
    struct json_text s;
    TRY(json_string(j, &s));
    *has = true;
    if (json_is(s, "system") || json_is(s, "developer")) m->who = SPEAKER_SYSTEM;
    else if (json_is(s, "user")) m->who = SPEAKER_USER;
    else if (json_is(s, "assistant")) m->who = SPEAKER_MODEL;
    else if (json_is(s, "tool") || json_is(s, "function")) m->who = SPEAKER_USER, m->tool = true;
    else return refuse(r, ".role", "unsupported", "the role is none of system, developer, user, assistant, tool");
    return 0;
}

static char *print_call(struct json_text name, const char *arguments, size_t *n)
{
    char *text = NULL;
    FILE *to = open_memstream(&text, n);
    if (!to) return NULL;
    fputs("{\"name\": ", to);
    json_print_bytes(to, name.text, name.n);
    fprintf(to, ", \"arguments\": %s}", arguments ? arguments : "{}");
    if (!fclose(to)) return text;
    free(text);
    return NULL;
}

/* {"name": …, "arguments": "…"} of a call, as the text of the turn. */
static int read_call(struct request *r, struct spoken *m, struct json *j)
{
    struct json_text key, s, name = {"", 0};
    char *arguments = NULL, kept[64];
    size_t n;
    TRY(json_object(j));
    while (json_key(j, &key)) {
        const bool is_name = json_is(key, "name"), is_arguments = json_is(key, "arguments");
        if (is_name || is_arguments ? json_string(j, &s) : json_skip(j)) break;
        if (is_name || is_arguments ? memchr(s.text, 0, s.n) != NULL : false) refuse(r, ".tool_calls", "invalid_value", "a call holds a NUL");
        if (is_arguments && !arguments && !(arguments = request_copy(s, j->why))) return j->code = E_MEMORY;
        if (is_name) name = (struct json_text){kept, s.n < sizeof kept ? s.n : sizeof kept}, memcpy(kept, s.text, name.n);
    }
    char *text = j->code ? NULL : print_call(name, arguments, &n);
    free(arguments);
    TRY(json_done(j));
    if (!text || add_content(m, text, j->why)) return j->code = fail(j->why, E_MEMORY, "no memory for a call");
    return 0;
}

static int read_calls(struct request *r, struct spoken *m, struct json *j)
{
    struct json_text key;
    if (json_peek(j) == JSON_NULL) return json_skip(j);
    TRY(json_array(j));
    while (json_item(j)) {
        TRY(json_object(j));
        while (json_key(j, &key)) TRY(json_is(key, "function") ? read_call(r, m, j) : json_skip(j));
        TRY(json_done(j));
    }
    return json_done(j);
}

static int read_message(struct request *r, struct spoken *m, struct json *j)
{
    struct json_text key;
    bool role = false;
    TRY(json_object(j));
    while (json_key(j, &key)) {
        if (json_is(key, "role")) TRY(read_role(r, m, j, &role));
        else if (json_is(key, "content")) TRY(read_content(r, m, j));
        else if (json_is(key, "tool_calls")) TRY(read_calls(r, m, j));
        else TRY(json_skip(j));
    }
    TRY(json_done(j));
    return role ? 0 : refuse(r, ".role", "invalid_value", "there is no role");
}

static void free_message(struct spoken *m)
{
    for (size_t i = 0; i < m->n; i++) free((char *)m->content[i].text);
    free(m->content);
    *m = (struct spoken){0};
}

/* ---- joining ---- */

/* The text of `more` behind that of `c`, a blank line between; it is taken. */
static int join(struct content *c, struct content *more, struct err *why)
{
    char *both = realloc((char *)c->text, c->n + more->n + 3);
    if (!both) return fail(why, E_MEMORY, "no memory for a message of %zu bytes", c->n + more->n);
    memcpy(both + c->n, "\n\n", 2);
    memcpy(both + c->n + 2, more->text, more->n + 1);
    *c = (struct content){.text = both, .n = c->n + 2 + more->n};
    free((char *)more->text);
    more->text = NULL;
    return 0;
}

/* All texts of a message in one, with `between` between them; the caller's. */
static char *all_texts(const struct spoken *m, const char *between, size_t *length, struct err *why)
{
    const size_t gap = strlen(between);
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++) n += m->content[i].n + gap;
    char *text = malloc(n + 1), *to = text;
    if (!text) return fail(why, E_MEMORY, "no memory for a message of %zu bytes", n), NULL;
    for (size_t i = 0; i < m->n; i++) {
        memcpy(to, between, i ? gap : 0);
        to += i ? gap : 0;
        memcpy(to, m->content[i].text, m->content[i].n);
        to += m->content[i].n;
    }
    *to = 0;
    *length = (size_t)(to - text);
    return text;
}

/* m's contents behind the last message's. Texts that meet become one, as the template puts nothing between two. */
static int join_to_last(struct request *r, struct spoken *m, struct err *why)
{
    struct chat_message *last = &r->messages[r->n_messages - 1];
    struct spoken both = {.content = (struct content *)last->content, .n = last->n};
    size_t from = 0;
    int code = 0;
    last->content = NULL, last->n = 0;
    if (both.n && m->n && both.content[both.n - 1].text && m->content[0].text) {
        code = join(&both.content[both.n - 1], &m->content[0], why);
        from = 1;
    }
    for (; from < m->n && !code; from++) {
        code = add_content(&both, (char *)m->content[from].text, why);
        m->content[from].text = NULL;
    }
    last->content = both.content;
    last->n = both.n;
    return code;
}

static int append(struct request *r, struct spoken *m, struct err *why)
{
    struct chat_message *grown = realloc(r->messages, (r->n_messages + 1) * sizeof *grown);
    if (!grown) return fail(why, E_MEMORY, "no memory for %zu messages", r->n_messages + 1);
    r->messages = grown;
    r->messages[r->n_messages++] = (struct chat_message){m->who, m->content, m->n};
    *m = (struct spoken){0};
    return 0;
}

/* Of a system message the template would use the first text only. */
static int make_one_text(struct spoken *m, struct err *why)
{
    size_t n;
    if (m->n < 2) return 0;
    char *text = all_texts(m, "\n\n", &n, why);
    if (!text) return E_MEMORY;
    free_message(&(struct spoken){.content = m->content, .n = m->n});
    m->content = NULL;
    m->n = 0;
    return add_content(m, text, why);
}

static int say_who_answered(struct spoken *m, struct err *why)
{
    static const char said[] = "The function answered:\n";
    if (!m->n || !m->content[0].text) return 0;
    struct content both = {.text = strdup(said), .n = sizeof said - 1};
    char *grown = both.text ? realloc((char *)both.text, sizeof said + m->content[0].n) : NULL;
    if (!grown) return free((char *)both.text), fail(why, E_MEMORY, "no memory for a message of %zu bytes", m->content[0].n);
    memcpy(grown + both.n, m->content[0].text, m->content[0].n + 1);
    free((char *)m->content[0].text);
    m->content[0] = (struct content){.text = grown, .n = both.n + m->content[0].n};
    return 0;
}

static int take_message(struct request *r, struct spoken *m, struct err *why)
{
    const struct chat_message *last = r->n_messages ? &r->messages[r->n_messages - 1] : NULL;
    if (m->who == SPEAKER_SYSTEM && last && last->who != SPEAKER_SYSTEM)
        return refuse(r, ".role", "invalid_value", "a system message stands behind another; it must come first");
    for (size_t i = 0; i < m->n && m->who != SPEAKER_USER; i++)
        if (!m->content[i].text) return refuse(r, ".content", "invalid_value", "a picture that the user did not send");
    if (m->who == SPEAKER_MODEL && (!last || last->who == SPEAKER_SYSTEM))
        return refuse(r, ".role", "invalid_value", "the assistant speaks before the user");
    if (m->who == SPEAKER_SYSTEM || m->tool) TRY(make_one_text(m, why));
    if (m->tool) TRY(say_who_answered(m, why));
    return last && last->who == m->who ? join_to_last(r, m, why) : append(r, m, why);
}

/* An answer that was begun is taken off the messages. */
static int take_beginning(struct request *r, struct err *why)
{
    struct chat_message *last = &r->messages[r->n_messages - 1];
    size_t n;
    if (last->who != SPEAKER_MODEL) return 0;
    struct spoken m = {.content = (struct content *)last->content, .n = last->n};
    if (!(r->begun = all_texts(&m, "", &n, why))) return E_MEMORY;
    free_message(&m);
    r->n_messages--;
    return 0;
}

int request_add_system(struct request *r, char *text, struct err *why)
{
    struct content *c = calloc(1, sizeof *c);
    struct chat_message *grown;
    if (!c) return free(text), fail(why, E_MEMORY, "no memory for a message");
    *c = (struct content){.text = text, .n = strlen(text)};
    if (r->messages[0].who == SPEAKER_SYSTEM && r->messages[0].n) {
        const int code = join((struct content *)&r->messages[0].content[0], c, why);
        free((char *)c->text);
        free(c);
        return code;
    }
    const size_t first = r->messages[0].who == SPEAKER_SYSTEM; /* one without a text is replaced */
    if (!(grown = realloc(r->messages, (r->n_messages + 1) * sizeof *grown))) return free(text), free(c), fail(why, E_MEMORY, "no memory for a message");
    r->messages = grown;
    if (first) free((struct content *)grown[0].content);
    else memmove(grown + 1, grown, r->n_messages++ * sizeof *grown);
    grown[0] = (struct chat_message){SPEAKER_SYSTEM, c, 1};
    return 0;
}

int request_messages(struct request *r, struct json *j)
{
    if (r->messages) return request_refuse(r, 400, "invalid_value", "messages", "there are messages twice"), json_skip(j);
    TRY(json_array(j));
    for (r->n_read = 0; json_item(j); r->n_read++) {
        struct spoken m = {0};
        int code = read_message(r, &m, j);
        if (!code && !r->refused.status && take_message(r, &m, j->why)) code = j->code = E_MEMORY;
        free_message(&m);
        TRY(code);
    }
    TRY(json_done(j));
    if (!r->n_messages) return request_refuse(r, 400, "invalid_value", "messages", "there are no messages");
    if (r->refused.status) return 0;
    if (take_beginning(r, j->why)) return j->code = E_MEMORY;
    if (r->messages[r->n_messages - 1].who != SPEAKER_USER)
        return request_refuse(r, 400, "invalid_value", "messages", "there is no user message");
    return 0;
}
