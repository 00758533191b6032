/* coordinator/schema/schema.c — see schema.h.
 *
 * A keyword may stand behind the one it depends on, so a schema is walked twice: first where each of its keywords begins, then what they
 * say. A place in the text is kept as a copy of the reader. */
#include "coordinator/schema/schema.h"

#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ONE_OF_DEEP 200u
#define UNDER_WAY 255
#define DEPTH_MOST 60     /* of schemas in schemas */
#define LITERALS_MOST 5000
#define LITERAL_MOST 4096  /* bytes of one */
#define REFS_MOST 256

struct ref {
    char name[64];
    uint32_t shape;
};

struct maker {
    struct schema *s;
    struct json root; /* where the text begins */
    struct ref ref[REFS_MOST];
    uint32_t n_refs;
    char path[128];
    char *where; /* gets the path, once something is wrong */
    int depth;
    struct err *why;
};

enum keyword {
    K_TYPE, K_PROPERTIES, K_REQUIRED, K_ADDITIONAL, K_ITEMS, K_PREFIX, K_MIN_ITEMS, K_MAX_ITEMS, K_MIN_LENGTH, K_MAX_LENGTH, K_ENUM, K_CONST,
    K_ANY_OF, K_ONE_OF, K_REF, KEYWORDS
};
static const char *const keywords[KEYWORDS] = {"type", "properties", "required", "additionalProperties", "items", "prefixItems", "minItems",
                                               "maxItems", "minLength", "maxLength", "enum", "const", "anyOf", "oneOf", "$ref"};
static const char *const annotations[] = {"title", "description", "default", "examples", "example", "$schema", "$id", "$comment", "$defs", "definitions",
                                          "deprecated", "readOnly", "writeOnly", "format", "strict", NULL};

struct places {
    struct json at[KEYWORDS];
    bool has[KEYWORDS];
};

/* ---- places ---- */

/* The reader at this place once more, with a buffer of its own for strings: json_end. */
static struct json again(const struct json *j)
{
    struct json copy = *j;
    copy.scratch = NULL;
    copy.scratch_room = 0;
    return copy;
}

static struct places places_again(const struct places *p)
{
    struct places copy = *p;
    for (int k = 0; k < KEYWORDS; k++) copy.at[k] = again(&p->at[k]);
    return copy;
}

static void places_end(struct places *p)
{
    for (int k = 0; k < KEYWORDS; k++) json_end(&p->at[k]);
}

/* ---- memory ---- */

static void shape_free(struct shape *s)
{
    for (uint32_t i = 0; i < s->n_members; i++) free(s->member[i].name);
    for (uint32_t i = 0; i < s->n_literals; i++) free(s->literal[i].text);
    free(s->member);
    free(s->literal);
    free(s->inner);
}

void schema_free(struct schema **ps)
{
    struct schema *s = *ps;
    *ps = NULL;
    if (!s) return;
    for (uint32_t i = 0; i < s->n; i++) shape_free(&s->shape[i]);
    free(s->shape);
    free(s);
}

static int no_memory(struct err *why)
{
    return fail(why, E_MEMORY, "no memory for a schema");
}

/* A place in a list for one more, or NULL. */
static void *one_more(void *list, uint32_t n, size_t each)
{
    return (n & (n - 1)) ? list : realloc(list, (n ? 2 * (size_t)n : 1) * each);
}

static int new_shape(struct maker *m, enum shape_kind kind, uint32_t *out)
{
    struct schema *s = m->s;
    if (s->n == SCHEMA_SHAPES_MOST) return fail(m->why, E_USAGE, "the schema has more than %d parts", SCHEMA_SHAPES_MOST);
    struct shape *grown = one_more(s->shape, s->n, sizeof *grown);
    if (!grown) return no_memory(m->why);
    s->shape = grown;
    s->shape[s->n] = (struct shape){.kind = kind, .others = SCHEMA_NONE, .most = UINT32_MAX, .levels = SCHEMA_LEVELS_MOST + 1};
    *out = s->n++;
    return 0;
}

static int add_inner(struct maker *m, uint32_t to, uint32_t inner)
{
    struct shape *s = &m->s->shape[to];
    uint32_t *grown = one_more(s->inner, s->n_inner, sizeof *grown);
    if (!grown) return no_memory(m->why);
    s->inner = grown;
    s->inner[s->n_inner++] = inner;
    return 0;
}

static int refuse(struct maker *m, const char *keyword, const char *what);

static int add_literal(struct maker *m, uint32_t to, char *text, size_t n)
{
    struct shape *s = &m->s->shape[to];
    if (n > LITERAL_MOST) return free(text), refuse(m, "enum", "has a value of more than 4096 bytes");
    struct shape_literal *grown = s->n_literals < LITERALS_MOST ? one_more(s->literal, s->n_literals, sizeof *grown) : NULL;
    if (!text || !grown) {
        free(text);
        return s->n_literals < LITERALS_MOST ? no_memory(m->why) : fail(m->why, E_USAGE, "an enum has more than %d values", LITERALS_MOST);
    }
    s->literal = grown;
    s->literal[s->n_literals++] = (struct shape_literal){text, n};
    return 0;
}

/* ---- what is wrong, and where ---- */

static int refuse(struct maker *m, const char *keyword, const char *what)
{
    snprintf(m->where, 128, "%.90s%s%.30s", m->path, keyword ? "/" : "", keyword ? keyword : "");
    return fail(m->why, E_USAGE, "the schema at %.100s %s", m->where[0] ? m->where : "its root", what);
}

/* Of the reader: what is not JSON, or of another kind than it must be. */
static int broken(struct maker *m, const struct json *j)
{
    snprintf(m->where, 128, "%s", m->path);
    return j->code == E_MEMORY ? E_MEMORY : (m->why->code = E_USAGE);
}

#define READ(call) do { if (call) return broken(m, j); } while (0)

static size_t enter(struct maker *m, const char *step, struct json_text name)
{
    const size_t had = strlen(m->path);
    snprintf(m->path + had, sizeof m->path - had, "/%s%s%.*s", step, name.n ? "/" : "", (int)(name.n < 40 ? name.n : 40), name.n ? name.text : "");
    return had;
}

static void leave(struct maker *m, size_t had)
{
    m->path[had] = 0;
}

/* ---- literals ---- */

/* What a value is in JSON, without blanks: strings as we would write them, so that there is one way to say each. */
static int print_value(struct maker *m, const char *keyword, struct json *j, FILE *to)
{
    struct json_text s;
    bool truth;
    switch (json_peek(j)) {
    case JSON_STRING:
        READ(json_string(j, &s));
        json_print_bytes(to, s.text, s.n);
        return 0;
    case JSON_TRUTH:
        READ(json_truth(j, &truth));
        fputs(truth ? "true" : "false", to);
        return 0;
    case JSON_NUMBER: {
        READ(json_skip(j));
        const char *end = j->at, *begin = end;
        while (begin > j->begin && strchr("+-.eE0123456789", begin[-1])) begin--;
        fwrite(begin, 1, (size_t)(end - begin), to);
        return 0;
    }
    case JSON_NULL:
        READ(json_skip(j));
        fputs("null", to);
        return 0;
    default: return refuse(m, keyword, "has a value that is neither text, number, true, false nor null");
    }
}

static int read_literal(struct maker *m, const char *keyword, struct json *j, uint32_t into)
{
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);
    if (!to) return no_memory(m->why);
    int code = print_value(m, keyword, j, to);
    if (fclose(to)) code = code ? code : no_memory(m->why);
    if (!code) return add_literal(m, into, text, n);
    free(text);
    return code;
}

static int by_bytes(const void *a, const void *b)
{
    const struct shape_literal *x = a, *y = b;
    const int order = memcmp(x->text, y->text, x->n < y->n ? x->n : y->n);
    return order ? order : x->n < y->n ? -1 : x->n > y->n;
}

enum type { T_OBJECT, T_ARRAY, T_STRING, T_BOOLEAN, T_NULL, T_NUMBER, T_INTEGER, TYPES };

/* One type or a list of them, a bit for each. */
static int read_type_set(struct maker *m, struct json *j, unsigned *set)
{
    static const char *const types[TYPES] = {"object", "array", "string", "boolean", "null", "number", "integer"};
    const bool list = json_peek(j) != JSON_STRING;
    struct json_text name;
    *set = 0;
    if (list) READ(json_array(j));
    while (list ? json_item(j) : !*set) {
        unsigned k = 0;
        READ(json_string(j, &name));
        while (k < TYPES && !json_is(name, types[k])) k++;
        if (k == TYPES) return refuse(m, "type", "is not a type of JSON");
        if (*set >> k & 1) return refuse(m, "type", "names a type twice");
        *set |= 1u << k;
    }
    if (list) READ(json_done(j));
    return *set ? 0 : refuse(m, "type", "allows nothing");
}

static bool literal_is_of(const struct shape_literal *l, unsigned set)
{
    switch (l->text[0]) {
    case '"': return set >> T_STRING & 1;
    case 't':
    case 'f': return set >> T_BOOLEAN & 1;
    case 'n': return set >> T_NULL & 1;
    default: return set >> T_NUMBER & 1 || (set >> T_INTEGER & 1 && !fmod(strtod(l->text, NULL), 1));
    }
}

static int keep_literals_of_type(struct maker *m, struct places *p, uint32_t into)
{
    struct shape *s = &m->s->shape[into];
    unsigned set;
    uint32_t kept = 0;
    if (!p->has[K_TYPE]) return 0;
    TRY(read_type_set(m, &p->at[K_TYPE], &set));
    for (uint32_t i = 0; i < s->n_literals; i++) {
        if (literal_is_of(&s->literal[i], set)) s->literal[kept++] = s->literal[i];
        else free(s->literal[i].text);
    }
    s->n_literals = kept;
    return 0;
}

static int read_literals(struct maker *m, struct places *p, uint32_t into)
{
    struct json *j = p->has[K_CONST] ? &p->at[K_CONST] : &p->at[K_ENUM];
    m->s->shape[into].kind = SHAPE_LITERALS;
    if (p->has[K_CONST]) {
        TRY(read_literal(m, "const", j, into));
    } else {
        READ(json_array(j));
        while (json_item(j)) TRY(read_literal(m, "enum", j, into));
        READ(json_done(j));
    }
    TRY(keep_literals_of_type(m, p, into));
    struct shape *s = &m->s->shape[into];
    if (!s->n_literals) return refuse(m, p->has[K_CONST] ? "const" : "enum", "allows nothing");
    qsort(s->literal, s->n_literals, sizeof *s->literal, by_bytes);
    uint32_t kept = 1;
    for (uint32_t i = 1; i < s->n_literals; i++) {
        if (by_bytes(&s->literal[kept - 1], &s->literal[i])) s->literal[kept++] = s->literal[i];
        else free(s->literal[i].text);
    }
    s->n_literals = kept;
    return 0;
}

/* ---- objects and arrays ---- */

static int read_schema(struct maker *m, struct json *j, uint32_t into);

static int read_inner(struct maker *m, struct json *j, uint32_t *out)
{
    TRY(new_shape(m, SHAPE_ANY, out));
    return read_schema(m, j, *out);
}

/* As it stands between quotes. */
static int print_name(struct maker *m, struct json_text name, char **out, size_t *n)
{
    FILE *to = open_memstream(out, n);
    if (!to) return no_memory(m->why);
    json_print_bytes(to, name.text, name.n);
    if (fclose(to) || *n < 2) return free(*out), no_memory(m->why);
    *n -= 2;
    memmove(*out, *out + 1, *n);
    return 0;
}

static uint32_t find_member(const struct shape *s, const char *name, size_t n)
{
    uint32_t i = 0;
    while (i < s->n_members && (s->member[i].n != n || memcmp(s->member[i].name, name, n))) i++;
    return i;
}

static int add_member(struct maker *m, uint32_t to, struct json_text name, uint32_t inner)
{
    struct shape *s = &m->s->shape[to];
    char *text;
    size_t n;
    if (s->n_members == SCHEMA_MEMBERS_MOST) return refuse(m, "properties", "has more than 64 members");
    struct shape_member *grown = one_more(s->member, s->n_members, sizeof *grown);
    if (!grown) return no_memory(m->why);
    s->member = grown;
    TRY(print_name(m, name, &text, &n));
    if (find_member(s, text, n) < s->n_members) return free(text), refuse(m, "properties", "names a member twice");
    s->member[s->n_members++] = (struct shape_member){text, n, inner, false};
    return 0;
}

static int read_properties(struct maker *m, struct json *j, uint32_t into)
{
    struct json_text key;
    READ(json_object(j));
    while (json_key(j, &key)) {
        const size_t had = enter(m, "properties", key);
        uint32_t inner;
        TRY(new_shape(m, SHAPE_ANY, &inner));
        TRY(add_member(m, into, key, inner)); /* before the key's bytes go */
        TRY(read_schema(m, j, inner));
        leave(m, had);
    }
    return json_done(j) ? broken(m, j) : 0;
}

static int read_required(struct maker *m, struct json *j, uint32_t into)
{
    struct json_text name;
    READ(json_array(j));
    while (json_item(j)) {
        READ(json_string(j, &name));
        struct shape *s = &m->s->shape[into];
        char *text;
        size_t n;
        TRY(print_name(m, name, &text, &n));
        const uint32_t i = find_member(s, text, n);
        free(text);
        if (i == s->n_members) return refuse(m, "required", "wants a member that properties does not name");
        s->member[i].required = true;
    }
    return json_done(j) ? broken(m, j) : 0;
}

/* true, false or a schema; not there: true. */
static int read_others(struct maker *m, struct places *p, enum keyword k, uint32_t into)
{
    struct json *j = &p->at[k];
    bool truth = true;
    uint32_t inner;
    if (p->has[k] && json_peek(j) != JSON_TRUTH) {
        const size_t had = enter(m, keywords[k], (struct json_text){"", 0});
        TRY(read_inner(m, j, &inner));
        leave(m, had);
    } else {
        if (p->has[k]) READ(json_truth(j, &truth));
        if (!truth) return 0;
        TRY(new_shape(m, SHAPE_ANY, &inner));
    }
    m->s->shape[into].others = inner;
    return 0;
}

static int read_object(struct maker *m, struct places *p, uint32_t into)
{
    m->s->shape[into].kind = SHAPE_OBJECT;
    if (p->has[K_PROPERTIES]) TRY(read_properties(m, &p->at[K_PROPERTIES], into));
    if (p->has[K_REQUIRED]) TRY(read_required(m, &p->at[K_REQUIRED], into));
    return read_others(m, p, K_ADDITIONAL, into);
}

static int read_limit(struct maker *m, struct places *p, enum keyword k, uint32_t *out)
{
    struct json *j = &p->at[k];
    if (p->has[k]) READ(json_u32(j, 0, UINT32_MAX - 1, out));
    return 0;
}

static int read_list(struct maker *m, struct json *j, const char *step, uint32_t into)
{
    char number[16];
    READ(json_array(j));
    for (int i = 0; json_item(j); i++) {
        uint32_t inner;
        const size_t had = enter(m, step, (struct json_text){number, (size_t)snprintf(number, sizeof number, "%d", i)});
        TRY(read_inner(m, j, &inner));
        TRY(add_inner(m, into, inner));
        leave(m, had);
    }
    return json_done(j) ? broken(m, j) : 0;
}

static int read_array(struct maker *m, struct places *p, uint32_t into)
{
    uint32_t least = 0, most = UINT32_MAX;
    m->s->shape[into].kind = SHAPE_ARRAY;
    if (p->has[K_PREFIX]) TRY(read_list(m, &p->at[K_PREFIX], "prefixItems", into));
    TRY(read_others(m, p, K_ITEMS, into));
    TRY(read_limit(m, p, K_MIN_ITEMS, &least));
    TRY(read_limit(m, p, K_MAX_ITEMS, &most));
    struct shape *s = &m->s->shape[into];
    if (s->others == SCHEMA_NONE && most > s->n_inner) most = s->n_inner;
    if (least > most) return refuse(m, "minItems", "wants more items than there may be");
    s->least = least;
    s->most = most;
    return 0;
}

static int read_text(struct maker *m, struct places *p, uint32_t into)
{
    uint32_t least = 0, most = UINT32_MAX;
    TRY(read_limit(m, p, K_MIN_LENGTH, &least));
    TRY(read_limit(m, p, K_MAX_LENGTH, &most));
    if (least > most) return refuse(m, "minLength", "wants a longer text than there may be");
    m->s->shape[into].kind = SHAPE_STRING;
    m->s->shape[into].least = least;
    m->s->shape[into].most = most;
    return 0;
}

/* ---- one schema ---- */

static int words_shape(struct maker *m, uint32_t into, const char *const *words)
{
    m->s->shape[into].kind = SHAPE_LITERALS;
    for (; *words; words++) TRY(add_literal(m, into, strdup(*words), strlen(*words)));
    return 0;
}

static int read_typed(struct maker *m, struct places *p, enum type type, uint32_t into)
{
    static const char *const truths[] = {"false", "true", NULL}, *const null[] = {"null", NULL};
    switch (type) {
    case T_OBJECT: return read_object(m, p, into);
    case T_ARRAY: return read_array(m, p, into);
    case T_STRING: return read_text(m, p, into);
    case T_BOOLEAN: return words_shape(m, into, truths);
    case T_NULL: return words_shape(m, into, null);
    default: m->s->shape[into].kind = type == T_NUMBER ? SHAPE_NUMBER : SHAPE_INTEGER; return 0;
    }
}

static int read_types(struct maker *m, struct places *p, uint32_t into)
{
    unsigned set;
    TRY(read_type_set(m, &p->at[K_TYPE], &set));
    if (!(set & (set - 1))) return read_typed(m, p, (enum type)__builtin_ctz(set), into);
    m->s->shape[into].kind = SHAPE_ONE_OF;
    for (; set; set &= set - 1) {
        struct places more = places_again(p);
        uint32_t inner;
        int code = new_shape(m, SHAPE_ANY, &inner);
        if (!code) code = read_typed(m, &more, (enum type)__builtin_ctz(set), inner);
        if (!code) code = add_inner(m, into, inner);
        places_end(&more);
        if (code) return code;
    }
    return 0;
}

/* Goes from the root to what a reference names: two steps at most. */
static int go_to_definition(struct maker *m, const char *name, struct json *j)
{
    const char *group = !strncmp(name, "#/$defs/", 8) ? "$defs" : !strncmp(name, "#/definitions/", 14) ? "definitions" : NULL;
    struct json_text key;
    if (!strcmp(name, "#")) return 0;
    if (!group || strchr(strchr(name + 2, '/') + 1, '/')) return refuse(m, "$ref", "leads elsewhere than to \"#\", \"#/$defs/…\" or \"#/definitions/…\"");
    const char *wanted = strrchr(name, '/') + 1;
    READ(json_object(j));
    while (json_key(j, &key)) {
        if (!json_is(key, group)) {
            READ(json_skip(j));
            continue;
        }
        READ(json_object(j));
        while (json_key(j, &key)) {
            if (key.n == strlen(wanted) && !memcmp(key.text, wanted, key.n)) return 0;
            READ(json_skip(j));
        }
        break;
    }
    return refuse(m, "$ref", "leads to nothing");
}

static int read_ref(struct maker *m, struct json *j, uint32_t into)
{
    struct json_text s;
    struct json at;
    READ(json_string(j, &s));
    if (s.n >= sizeof m->ref->name) return refuse(m, "$ref", "is longer than 63 bytes");
    struct ref r = {.shape = into};
    memcpy(r.name, s.text, s.n);
    m->s->shape[into].kind = SHAPE_ONE_OF;
    for (uint32_t i = 0; i < m->n_refs; i++)
        if (!strcmp(m->ref[i].name, r.name)) return add_inner(m, into, m->ref[i].shape);
    if (m->n_refs == REFS_MOST) return fail(m->why, E_USAGE, "the schema has more than %d definitions", REFS_MOST);
    uint32_t inner;
    TRY(new_shape(m, SHAPE_ANY, &inner));
    r.shape = inner;
    m->ref[m->n_refs++] = r;
    TRY(add_inner(m, into, inner));
    at = again(&m->root);
    int code = go_to_definition(m, r.name, &at);
    if (!code) code = read_schema(m, &at, inner);
    json_end(&at);
    return code;
}

static int find_places(struct maker *m, struct json *j, struct places *p)
{
    struct json_text key;
    READ(json_object(j));
    while (json_key(j, &key)) {
        int k = 0, a = 0;
        while (k < KEYWORDS && !json_is(key, keywords[k])) k++;
        while (annotations[a] && !json_is(key, annotations[a])) a++;
        if (k == KEYWORDS && !annotations[a]) {
            char name[64];
            return refuse(m, json_plain(name, key), "is a keyword that is not supported");
        }
        if (k < KEYWORDS) p->at[k] = again(j), p->has[k] = true;
        READ(json_skip(j));
    }
    return json_done(j) ? broken(m, j) : 0;
}

/* What a schema without a type is about, its keywords say. */
static int read_untyped(struct maker *m, struct places *p, uint32_t into)
{
    if (p->has[K_PROPERTIES] || p->has[K_REQUIRED] || p->has[K_ADDITIONAL]) return read_object(m, p, into);
    if (p->has[K_ITEMS] || p->has[K_PREFIX] || p->has[K_MIN_ITEMS] || p->has[K_MAX_ITEMS]) return read_array(m, p, into);
    if (p->has[K_MIN_LENGTH] || p->has[K_MAX_LENGTH]) return read_text(m, p, into);
    m->s->shape[into].kind = SHAPE_ANY;
    return 0;
}

/* These decide alone what is said: what stood beside them would not be held to, and an answer that fits half a schema helps nobody. */
static int check_beside(struct maker *m, const struct places *p, enum keyword alone)
{
    for (int k = 0; k < KEYWORDS; k++) {
        const bool type_of_literals = k == K_TYPE && (alone == K_ENUM || alone == K_CONST);
        if (p->has[k] && k != (int)alone && !type_of_literals) return refuse(m, keywords[alone], "stands beside a keyword that it is not understood with");
    }
    return 0;
}

static int read_keywords(struct maker *m, struct places *p, uint32_t into)
{
    static const enum keyword alone[] = {K_REF, K_ENUM, K_CONST, K_ANY_OF, K_ONE_OF};
    for (size_t i = 0; i < sizeof alone / sizeof *alone; i++)
        if (p->has[alone[i]]) TRY(check_beside(m, p, alone[i]));
    if (p->has[K_REF]) return read_ref(m, &p->at[K_REF], into);
    if (p->has[K_ENUM] || p->has[K_CONST]) return read_literals(m, p, into);
    if (p->has[K_ANY_OF] || p->has[K_ONE_OF]) {
        const enum keyword k = p->has[K_ANY_OF] ? K_ANY_OF : K_ONE_OF;
        m->s->shape[into].kind = SHAPE_ONE_OF;
        TRY(read_list(m, &p->at[k], keywords[k], into));
        return m->s->shape[into].n_inner ? 0 : refuse(m, keywords[k], "allows nothing");
    }
    return p->has[K_TYPE] ? read_types(m, p, into) : read_untyped(m, p, into);
}

static int read_schema(struct maker *m, struct json *j, uint32_t into)
{
    struct places p = {0};
    bool truth;
    if (json_peek(j) == JSON_TRUTH) {
        READ(json_truth(j, &truth));
        return truth ? 0 : refuse(m, NULL, "allows nothing");
    }
    if (++m->depth > DEPTH_MOST) return refuse(m, NULL, "lies too deep in others");
    int code = find_places(m, j, &p);
    if (!code) code = read_keywords(m, &p, into);
    places_end(&p);
    m->depth--;
    return code;
}

/* How many shapes that are one of others lie in each other from here on, under `over` such; more than ONE_OF_DEEP: too many, or without end. */
static uint32_t one_of_depth(const struct schema *s, uint32_t at, uint32_t over, uint8_t *known)
{
    uint32_t depth = 0;
    if (s->shape[at].kind != SHAPE_ONE_OF) return 0;
    if (over > ONE_OF_DEEP || known[at] == UNDER_WAY) return ONE_OF_DEEP + 1;
    if (!known[at]) {
        known[at] = UNDER_WAY;
        for (uint32_t i = 0; i < s->shape[at].n_inner && depth <= ONE_OF_DEEP; i++) {
            const uint32_t inner = one_of_depth(s, s->shape[at].inner[i], over + 1, known);
            depth = inner > depth ? inner : depth;
        }
        if (depth >= ONE_OF_DEEP) return ONE_OF_DEEP + 1;
        known[at] = (uint8_t)(depth + 1);
    }
    return over + known[at] > ONE_OF_DEEP ? ONE_OF_DEEP + 1 : known[at];
}

/* A shape that is one of itself, with nothing read in between, is nothing; and a byte is tried through all of them by a function that
 * calls itself. */
static int check_circles(struct maker *m)
{
    uint8_t *known = calloc(m->s->n, 1);
    if (!known) return no_memory(m->why);
    bool bad = false;
    for (uint32_t i = 0; i < m->s->n && !bad; i++) bad = one_of_depth(m->s, i, 0, known) > ONE_OF_DEEP;
    free(known);
    return bad ? refuse(m, NULL, "is defined by itself alone, or through more than 200 others") : 0;
}

static uint32_t more_of(const struct schema *s, uint32_t levels, uint32_t inner)
{
    return inner != SCHEMA_NONE && s->shape[inner].levels > levels ? s->shape[inner].levels : levels;
}

/* By those of what must be in it, as far as they are known. */
static uint32_t levels_of(const struct schema *s, const struct shape *at)
{
    uint32_t in = 0, least = SCHEMA_LEVELS_MOST + 1;
    switch (at->kind) {
    case SHAPE_ONE_OF:
        for (uint32_t i = 0; i < at->n_inner; i++) least = s->shape[at->inner[i]].levels < least ? s->shape[at->inner[i]].levels : least;
        return least;
    case SHAPE_OBJECT:
        for (uint32_t i = 0; i < at->n_members; i++) in = at->member[i].required ? more_of(s, in, at->member[i].shape) : in;
        return in + 1;
    case SHAPE_ARRAY:
        for (uint32_t i = 0; i < at->n_inner && i < at->least; i++) in = more_of(s, in, at->inner[i]);
        return at->least > at->n_inner ? more_of(s, in, at->others) + 1 : in + 1;
    default: return 1;
    }
}

/* Shapes whose levels are known grow in number, level by level, from those with nothing in them. */
static int count_levels(struct maker *m)
{
    struct schema *s = m->s;
    for (bool news = true; news;) {
        news = false;
        for (uint32_t i = s->n; i-- > 0;) {
            const uint32_t levels = levels_of(s, &s->shape[i]);
            if (levels >= s->shape[i].levels) continue;
            s->shape[i].levels = levels;
            news = true;
        }
    }
    return s->shape[0].levels > SCHEMA_LEVELS_MOST ? refuse(m, NULL, "never ends, or wants more than 48 values in values") : 0;
}

static int make_whole(struct maker *m, const char *text, size_t n)
{
    struct json j;
    uint32_t root;
    json_begin(&j, text, n, "the schema", m->why);
    m->root = j;
    int code = new_shape(m, SHAPE_ANY, &root);
    if (!code) code = read_schema(m, &j, root);
    json_end(&j);
    return code;
}

static int make(struct schema **out, struct maker *m, int (*fill)(struct maker *m, const void *from), const void *from)
{
    m->where[0] = 0;
    *out = NULL;
    m->s = calloc(1, sizeof *m->s);
    if (!m->s) return no_memory(m->why);
    int code = fill(m, from);
    if (!code) code = check_circles(m);
    if (!code) code = count_levels(m);
    if (code) schema_free(&m->s);
    *out = m->s;
    return code;
}

static int fill_whole(struct maker *m, const void *from)
{
    const struct json_text *text = from;
    return make_whole(m, text->text, text->n);
}

int schema_make(struct schema **out, const char *text, size_t n, char where[128], struct err *why)
{
    struct maker m = {.where = where, .why = why};
    const struct json_text whole = {text, n};
    *out = NULL;
    if (n > SCHEMA_BYTES_MOST) return fail(why, E_USAGE, "the schema has %zu bytes, %u are the most", n, SCHEMA_BYTES_MOST);
    return make(out, &m, fill_whole, &whole);
}

/* ---- calls ---- */

struct calls {
    const struct schema_call *call;
    size_t n;
    bool or_words;
};

static int must_have(struct maker *m, uint32_t object, const char *name, enum shape_kind kind, uint32_t *inner)
{
    TRY(new_shape(m, kind, inner));
    TRY(add_member(m, object, (struct json_text){name, strlen(name)}, *inner));
    struct shape *s = &m->s->shape[object];
    s->member[s->n_members - 1].required = true;
    return 0;
}

static int add_call(struct maker *m, const struct schema_call *c)
{
    const char *parameters = c->parameters ? c->parameters : "{\"type\":\"object\"}";
    const size_t n = strlen(c->name) + 3;
    uint32_t object, name, arguments;
    char *text = malloc(n);
    if (text) snprintf(text, n, "\"%s\"", c->name);
    int code = new_shape(m, SHAPE_OBJECT, &object);
    if (!code) code = add_inner(m, 0, object);
    if (!code) code = must_have(m, object, "name", SHAPE_LITERALS, &name);
    if (code) return free(text), code;
    TRY(add_literal(m, name, text, n - 1));
    TRY(must_have(m, object, "arguments", SHAPE_ONE_OF, &arguments));
    TRY(add_inner(m, arguments, m->s->n));
    m->n_refs = 0; /* they are places in these parameters */
    return make_whole(m, parameters, strlen(parameters));
}

static int fill_calls(struct maker *m, const void *from)
{
    const struct calls *c = from;
    uint32_t root, words;
    TRY(new_shape(m, SHAPE_ONE_OF, &root));
    for (size_t i = 0; i < c->n; i++) {
        char number[24];
        snprintf(number, sizeof number, "%zu", i);
        const size_t had = enter(m, number, (struct json_text){"", 0});
        TRY(add_call(m, &c->call[i]));
        leave(m, had);
    }
    if (!c->or_words) return 0;
    TRY(new_shape(m, SHAPE_OBJECT, &words));
    TRY(add_inner(m, root, words));
    return must_have(m, words, "response", SHAPE_STRING, &words);
}

int schema_make_calls(struct schema **out, const struct schema_call *calls, size_t n, bool or_words, char where[128], struct err *why)
{
    struct maker m = {.where = where, .why = why};
    const struct calls all = {calls, n, or_words};
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) bytes += calls[i].parameters ? strlen(calls[i].parameters) : 0;
    *out = NULL;
    if (bytes > SCHEMA_BYTES_MOST) return fail(why, E_USAGE, "the functions' parameters have %zu bytes, %u are the most", bytes, SCHEMA_BYTES_MOST);
    return make(out, &m, fill_calls, &all);
}

int schema_make_any_object(struct schema **out, struct err *why)
{
    static const char text[] = "{\"type\":\"object\"}";
    char where[128];
    return schema_make(out, text, sizeof text - 1, where, why);
}
