/* coordinator/serve/file_calls.c — see file_calls.h. */
#define _GNU_SOURCE
#include "coordinator/serve/file_calls.h"

#include "base/json.h"
#include "base/mapped.h"
#include "coordinator/text/utf8.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LIST_MOST 100
#define FILES "/v1/files"
#define BATCHES "/v1/batches"
#define BATCH_SECONDS 86400

static void refuse(struct exchange *x, const struct err *why)
{
    if (why->code == E_USAGE) reply_error(x, 400, "invalid_value", "%s", why->text);
    else reply_error(x, why->code == E_MEMORY ? 503 : 500, why->code == E_MEMORY ? "unavailable" : "failed", "%s", why->text);
}

static void not_there(struct exchange *x, const char *what)
{
    reply_error(x, 404, "not_found", "there is no such %s", what);
}

/* ---- as JSON ---- */

static void print_file(FILE *to, const struct stored_file *f)
{
    fprintf(to, "{\"id\":\"%s\",\"object\":\"file\",\"bytes\":%" PRIu64 ",\"created_at\":%" PRIu64 ",\"filename\":", f->id, f->bytes, f->created);
    json_print_text(to, f->name);
    fputs(",\"purpose\":", to);
    json_print_text(to, f->purpose);
    fputs(",\"status\":\"processed\"}", to);
}

static void print_or_null(FILE *to, const char *name, const char *text)
{
    fprintf(to, text[0] ? ",\"%s\":\"%s\"" : ",\"%s\":null", name, text);
}

static void print_time(FILE *to, const char *name, bool is, uint64_t at)
{
    if (is) fprintf(to, ",\"%s\":%" PRIu64, name, at);
    else fprintf(to, ",\"%s\":null", name);
}

static void print_batch(FILE *to, const struct stored_batch *b)
{
    static const char *const statuses[BATCH_STATUSES] = {"in_progress", "cancelling", "completed", "failed", "cancelled"};
    fprintf(to, "{\"id\":\"%s\",\"object\":\"batch\",\"endpoint\":\"%s\",\"input_file_id\":\"%s\",\"completion_window\":\"24h\",\"status\":\"%s\",\"created_at\":%" PRIu64,
            b->id, b->endpoint, b->input, statuses[b->status], b->created);
    print_or_null(to, "output_file_id", b->output);
    print_or_null(to, "error_file_id", b->errors);
    print_time(to, "in_progress_at", true, b->created);
    print_time(to, "expires_at", true, b->created + BATCH_SECONDS);
    print_time(to, "completed_at", b->status == BATCH_COMPLETED, b->done);
    print_time(to, "failed_at", b->status == BATCH_FAILED, b->done);
    print_time(to, "cancelled_at", b->status == BATCH_CANCELLED, b->done);
    print_time(to, "finalizing_at", false, 0);
    print_time(to, "expired_at", false, 0);
    print_time(to, "cancelling_at", false, 0);
    fputs(",\"errors\":", to);
    if (b->why[0]) {
        fputs("{\"object\":\"list\",\"data\":[{\"code\":\"failed\",\"message\":", to);
        json_print_text(to, b->why);
        fputs(",\"param\":null,\"line\":null}]}", to);
    } else {
        fputs("null", to);
    }
    fprintf(to, ",\"request_counts\":{\"total\":%" PRIu64 ",\"completed\":%" PRIu64 ",\"failed\":%" PRIu64 "},\"metadata\":%s}", b->lines, b->completed, b->failed,
            b->metadata[0] ? b->metadata : "null");
}

static void answer_file(struct exchange *x, const struct stored_file *f)
{
    struct page p;
    if (!reply_open(x, &p)) return;
    print_file(p.to, f);
    reply_close(x, 200, &p);
}

static void answer_batch(struct exchange *x, const struct stored_batch *b)
{
    struct page p;
    if (!reply_open(x, &p)) return;
    print_batch(p.to, b);
    reply_close(x, 200, &p);
}

static void answer_deleted(struct exchange *x, const char *kind, const char *id)
{
    struct page p;
    if (!reply_open(x, &p)) return;
    fprintf(p.to, "{\"id\":\"%s\",\"object\":\"%s\",\"deleted\":true}", id, kind);
    reply_close(x, 200, &p);
}

static void answer_list(struct exchange *x, struct store *s, struct hash128 owner, bool files)
{
    const char *limit = exchange_argument(x, "limit"), *after = exchange_argument(x, "after");
    const long wanted = limit ? strtol(limit, NULL, 10) : 20;
    const size_t most = wanted < 1 ? 1 : wanted > LIST_MOST ? LIST_MOST : (size_t)wanted;
    struct stored_file *file = files ? calloc(most, sizeof *file) : NULL;
    struct stored_batch *batch = files ? NULL : calloc(most, sizeof *batch);
    struct page p;
    bool more = false;
    size_t n = 0;
    if (file) n = store_files(s, owner, after ? after : "", file, most, &more);
    if (batch) n = store_batches(s, owner, after ? after : "", batch, most, &more);
    if ((file || batch) && reply_open(x, &p)) {
        fputs("{\"object\":\"list\",\"data\":[", p.to);
        for (size_t i = 0; i < n; i++) {
            if (i) fputc(',', p.to);
            if (files) print_file(p.to, &file[i]);
            else print_batch(p.to, &batch[i]);
        }
        fprintf(p.to, "],\"has_more\":%s", more ? "true" : "false");
        print_or_null(p.to, "first_id", !n ? "" : files ? file[0].id : batch[0].id);
        print_or_null(p.to, "last_id", !n ? "" : files ? file[n - 1].id : batch[n - 1].id);
        fputc('}', p.to);
        reply_close(x, 200, &p);
    } else if (!file && !batch) {
        reply_error(x, 503, "unavailable", "there is no memory for a list");
    }
    free(file);
    free(batch);
}

/* ---- a file comes ---- */

struct part {
    char text[2][STORE_NAME]; /* the name of the part, and of its file */
    const char *bytes;
    size_t n;
};

/* The value of name="…" in a part's head. */
static void read_attribute(const char *head, size_t n, const char *name, char out[STORE_NAME])
{
    char wanted[32];
    const int length = snprintf(wanted, sizeof wanted, "; %s=\"", name);
    const char *at = memmem(head, n, wanted, (size_t)length), *end = at ? memchr(at + length, '"', n - (size_t)(at + length - head)) : NULL;
    out[0] = 0;
    if (!end || (size_t)(end - at - length) >= STORE_NAME) return;
    memcpy(out, at + length, (size_t)(end - at - length));
    out[end - at - length] = 0;
}

/* The next part of a body whose parts are set apart by `line`, "--BOUNDARY"; false: there is none, or it is not whole. */
static bool next_part(const char **at, const char *end, const char *line, struct part *p)
{
    const size_t n = strlen(line);
    const char *begin = memmem(*at, (size_t)(end - *at), line, n);
    if (!begin || end - begin < (ptrdiff_t)n + 2 || memcmp(begin + n, "\r\n", 2)) return false;
    begin += n + 2;
    const char *body = memmem(begin, (size_t)(end - begin), "\r\n\r\n", 4);
    if (!body) return false;
    read_attribute(begin, (size_t)(body - begin), "name", p->text[0]);
    read_attribute(begin, (size_t)(body - begin), "filename", p->text[1]);
    p->bytes = body + 4;
    char stop[80];
    const int length = snprintf(stop, sizeof stop, "\r\n%s", line);
    const char *over = memmem(p->bytes, (size_t)(end - p->bytes), stop, (size_t)length);
    if (!over) return false;
    p->n = (size_t)(over - p->bytes);
    *at = over + 2;
    return true;
}

/* "--" and the boundary that the content type names; false: it names none of at most 70 characters. */
static bool read_boundary(const char *type, char out[76])
{
    const char *at = type && !strncasecmp(type, "multipart/form-data", 19) ? strcasestr(type, "boundary=") : NULL;
    if (!at) return false;
    at += 9;
    const bool quoted = *at == '"';
    at += quoted;
    const size_t n = strcspn(at, quoted ? "\"" : "; \t");
    if (!n || n > 70) return false;
    snprintf(out, 76, "--%.*s", (int)n, at);
    return true;
}

static void upload(struct exchange *x, struct store *s, struct hash128 owner)
{
    struct stored_file f = {.owner = owner};
    struct part part;
    struct err why;
    char line[76];
    size_t n;
    const char *at = exchange_body(x, &n), *end = at + n, *bytes = NULL;
    if (!read_boundary(exchange_content_type(x), line)) {
        reply_error(x, 400, "invalid_value", "a file comes as multipart/form-data, with the parts purpose and file");
        return;
    }
    while (next_part(&at, end, line, &part)) {
        if (!strcmp(part.text[0], "purpose")) snprintf(f.purpose, sizeof f.purpose, "%.*s", (int)(part.n < 31 ? part.n : 31), part.bytes);
        if (strcmp(part.text[0], "file")) continue;
        bytes = part.bytes;
        f.bytes = part.n;
        snprintf(f.name, sizeof f.name, "%s", part.text[1][0] ? part.text[1] : "upload");
    }
    if (!bytes) reply_error(x, 400, "invalid_value", "there is no part called file, or it is cut off");
    else if (strcmp(f.purpose, "batch") && strcmp(f.purpose, "user_data")) reply_error(x, 400, "invalid_value", "the purpose is neither batch nor user_data");
    else if (!utf8_valid(f.name, strlen(f.name))) reply_error(x, 400, "invalid_utf8", "the file's name is not UTF-8");
    else if (store_add_file(s, &f, bytes, &why)) refuse(x, &why);
    else answer_file(x, &f);
}

static void send_content(struct exchange *x, struct store *s, const struct stored_file *f)
{
    struct file_state state;
    struct err why;
    int fd = -1;
    char *path = store_path(s, f->id, "data");
    if (!path) reply_error(x, 503, "unavailable", "there is no memory for a file's name");
    else if (file_open(&fd, path, &state, &why)) refuse(x, &why);
    else exchange_answer_file(x, "application/jsonl", fd, state.bytes);
    free(path);
}

static void file_by_id(struct exchange *x, struct store *s, struct hash128 owner, const char *id, const char *rest)
{
    struct stored_file f;
    struct err why;
    const bool removes = !strcmp(exchange_method(x), "DELETE"), content = !strcmp(rest, "/content");
    if ((*rest && !content) || (removes && content) || !store_find_file(s, owner, id, &f)) not_there(x, "file");
    else if (content) send_content(x, s, &f);
    else if (!removes) answer_file(x, &f);
    else if (store_remove_file(s, f.id, &why)) refuse(x, &why);
    else answer_deleted(x, "file", f.id);
}

/* ---- a batch is made ---- */

static int read_field(struct json *j, struct json_text key, struct stored_batch *b)
{
    struct json_text s;
    if (json_is(key, "metadata")) {
        json_peek(j);
        const char *begin = j->at;
        TRY(json_skip(j));
        if ((size_t)(j->at - begin) >= sizeof b->metadata) return json_fail(j, "metadata has more than %zu bytes", sizeof b->metadata - 1);
        snprintf(b->metadata, sizeof b->metadata, "%.*s", (int)(j->at - begin), begin);
        return 0;
    }
    char *out = json_is(key, "input_file_id") ? b->input : json_is(key, "endpoint") ? b->endpoint : NULL;
    const size_t room = out == b->input ? sizeof b->input : sizeof b->endpoint;
    if (!out) return json_skip(j);
    TRY(json_string(j, &s));
    if (s.n >= room || memchr(s.text, 0, s.n)) return json_fail(j, "%.*s is too long", (int)key.n, key.text);
    snprintf(out, room, "%.*s", (int)s.n, s.text);
    return 0;
}

static bool make_batch(struct exchange *x, struct store *s, struct hash128 owner)
{
    struct stored_batch b = {.owner = owner};
    struct stored_file f;
    struct json j;
    struct json_text key;
    struct err why;
    size_t n;
    const char *body = exchange_body(x, &n);
    if (!utf8_valid(body, n)) return reply_error(x, 400, "invalid_utf8", "the request is not UTF-8"), false;
    json_begin(&j, body, n, "the request", &why);
    if (!json_object(&j))
        while (json_key(&j, &key) && !read_field(&j, key, &b)) continue;
    if (!json_done(&j)) json_finish(&j);
    json_end(&j);
    if (j.code) return reply_error(x, 400, "invalid_value", "%s", why.text), false;
    if (strcmp(b.endpoint, "/v1/chat/completions") && strcmp(b.endpoint, "/v1/completions"))
        return reply_error(x, 400, "invalid_value", "endpoint is neither /v1/chat/completions nor /v1/completions"), false;
    if (!store_find_file(s, owner, b.input, &f)) return not_there(x, "file"), false;
    if (store_add_batch(s, &b, &why)) return refuse(x, &why), false;
    answer_batch(x, &b);
    return true;
}

static bool batch_by_id(struct exchange *x, struct store *s, struct hash128 owner, const char *id, const char *rest)
{
    struct stored_batch b;
    struct err why;
    const bool removes = !strcmp(exchange_method(x), "DELETE"), cancels = !strcmp(rest, "/cancel") && !strcmp(exchange_method(x), "POST");
    if ((*rest && !cancels) || !store_find_batch(s, owner, id, &b)) return not_there(x, "batch"), false;
    if (removes) {
        if (store_remove_batch(s, b.id, &why)) refuse(x, &why);
        else answer_deleted(x, "batch", b.id);
        return false;
    }
    if (cancels && b.status == BATCH_IN_PROGRESS) {
        b.status = BATCH_CANCELLING;
        if (store_note_batch(s, &b, &why)) return refuse(x, &why), false;
    }
    answer_batch(x, &b);
    return cancels;
}

/* ---- paths ---- */

/* "" or "/…": behind this beginning; NULL: it is another path. */
static const char *behind(const char *path, const char *beginning)
{
    const size_t n = strlen(beginning);
    return !strncmp(path, beginning, n) && (!path[n] || path[n] == '/') ? path + n : NULL;
}

bool is_file_path(const char *path)
{
    return behind(path, FILES) || behind(path, BATCHES);
}

bool file_call(struct exchange *x, struct store *store, struct hash128 owner)
{
    const char *path = exchange_path(x), *method = exchange_method(x);
    const bool files = behind(path, FILES) != NULL, posts = !strcmp(method, "POST");
    const char *rest = files ? behind(path, FILES) : behind(path, BATCHES);
    char id[STORE_ID] = "";
    if (!store) return reply_error(x, 404, "not_found", "nothing is kept here: the server was not given --store"), false;
    if (!posts && strcmp(method, "GET") && (strcmp(method, "DELETE") || !*rest))
        return reply_error(x, 405, "method_not_allowed", "this path is not asked in this way"), false;
    if (!*rest && posts) return files ? upload(x, store, owner), false : make_batch(x, store, owner);
    if (!*rest) return answer_list(x, store, owner, files), false;
    const size_t n = strcspn(rest + 1, "/");
    if (n >= sizeof id) return not_there(x, files ? "file" : "batch"), false;
    memcpy(id, rest + 1, n);
    if (files) return file_by_id(x, store, owner, id, rest + 1 + n), false;
    return batch_by_id(x, store, owner, id, rest + 1 + n);
}
