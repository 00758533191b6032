/* coordinator/batch/record.c — see record.h. */
#include "coordinator/batch/record.h"

#include "base/hash.h"
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

void record_end(char out[RECORD_END_BYTES + 1], const char *text, size_t n)
{
    snprintf(out, RECORD_END_BYTES + 1, ",\"crc32c\":\"%08x\"}\n", (unsigned)crc32c(0, text, n));
}

static bool is_whole(const char *text, size_t n)
{
    char end[RECORD_END_BYTES + 1];
    if (n < RECORD_END_BYTES) return false;
    const size_t body = n - (RECORD_END_BYTES - 1); /* the newline is not in the text */
    record_end(end, text, body);
    return !memcmp(text + body, end, RECORD_END_BYTES - 1);
}

static int read_ids(struct record *r, struct json *j)
{
    uint32_t id;
    TRY(json_array(j));
    while (json_item(j)) {
        TRY(json_u32(j, 0, UINT32_MAX, &id));
        if (ids_push(&r->ids, id, j->why)) return j->code = E_MEMORY;
    }
    return json_done(j);
}

static int read_result(struct record *r, struct json *j, const char *text)
{
    (void)json_peek(j); /* steps over white space */
    r->result_at = (size_t)(j->at - text);
    TRY(json_skip(j));
    r->result_bytes = (size_t)(j->at - text) - r->result_at;
    return 0;
}

static int read_picture(struct record *r, struct json *j, bool name)
{
    struct json_text s;
    TRY(json_string(j, &s));
    if (name) {
        r->kind = RECORD_PICTURE;
        r->name = hash64(s.text, s.n);
    } else if (!read_hash128(&r->is, s.text, s.n)) return json_fail(j, "a hash of %zu characters, 32 were wanted", s.n);
    return 0;
}

static const struct {
    const char *key;
    enum record_kind kind;
    bool of_line; /* the value is the line's number */
} kinds[] = {
    {"tokens", RECORD_TOKENS, true}, {"done", RECORD_DONE, true},       {"begun", RECORD_BEGUN, true},      {"ended", RECORD_ENDED, false},
    {"opened", RECORD_OPENED, false}, {"stopped", RECORD_STOPPED, false}, {"retry", RECORD_RETRY, false},
};
#define KINDS (sizeof kinds / sizeof *kinds)

static int read_kind(struct record *r, struct json *j, struct json_text key, bool *taken)
{
    size_t i = 0;
    while (i < KINDS && !json_is(key, kinds[i].key)) i++;
    *taken = i < KINDS;
    if (!*taken) return 0;
    r->kind = kinds[i].kind;
    return kinds[i].of_line ? json_u64(j, &r->line) : json_skip(j);
}

static int read_members(struct record *r, struct json *j, const char *text)
{
    struct json_text key;
    bool taken = false;
    TRY(json_object(j));
    while (json_key(j, &key)) {
        if (json_is(key, "journal")) r->kind = RECORD_FACTS;
        if (r->kind != RECORD_FACTS) TRY(read_kind(r, j, key, &taken));
        if (taken) continue;
        if (r->kind == RECORD_FACTS) TRY(json_skip(j)); /* its facts have names of their own */
        else if (json_is(key, "picture")) TRY(read_picture(r, j, true));
        else if (json_is(key, "is")) TRY(read_picture(r, j, false));
        else if (json_is(key, "choice")) TRY(json_u32(j, 0, UINT32_MAX, &r->choice));
        else if (json_is(key, "from")) TRY(json_u64(j, &r->from));
        else if (json_is(key, "ids")) TRY(read_ids(r, j));
        else if (json_is(key, "ok")) TRY(json_truth(j, &r->ok));
        else if (json_is(key, "result")) TRY(read_result(r, j, text));
        else TRY(json_skip(j));
    }
    TRY(json_done(j));
    return json_finish(j);
}

int record_read(struct record *r, const char *text, size_t n, struct err *why)
{
    struct json j;
    *r = (struct record){0};
    if (!is_whole(text, n)) return 0;
    json_begin(&j, text, n, "a journal", why);
    const int code = read_members(r, &j, text);
    json_end(&j);
    if (code == E_MEMORY) return code;
    if (code || (r->kind == RECORD_DONE && !r->result_bytes)) r->kind = RECORD_WRONG;
    return 0;
}

void record_free(struct record *r)
{
    ids_free(&r->ids);
    *r = (struct record){0};
}

bool record_fact(const char *text, size_t n, const char *name, char out[120])
{
    struct json j;
    struct json_text key, value;
    struct err ignored;
    bool found = false;
    json_begin(&j, text, n, "a journal", &ignored);
    if (!json_object(&j))
        while (!found && json_key(&j, &key)) {
            found = json_is(key, name) && json_peek(&j) == JSON_STRING && !json_string(&j, &value) && value.n < 120;
            if (!found && json_skip(&j)) break;
        }
    if (found) snprintf(out, 120, "%.*s", (int)value.n, value.text);
    json_end(&j);
    return found;
}
