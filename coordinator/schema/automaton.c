/* coordinator/schema/automaton.c — see automaton.h. A step copies a stack, changes its top, and adds it to those that come of it. */
#include "coordinator/schema/automaton.h"

#include <string.h>

#define INDENT_MOST 32  /* blanks behind a line end */
#define ONE_BLANK 1000  /* of stack.blanks: one was said, and no line end */
#define DIGITS_MOST 24
#define KEY_MOST 200    /* bytes of a key that the schema does not name */

/* What an open value waits for. */
enum phase {
    VALUE,                                                   /* its first byte */
    OPENED, KEY_WANTED, KEY, COLON, AFTER_VALUE,             /* of objects; OPENED and AFTER_VALUE of arrays too */
    ITEM_WANTED,                                             /* behind a comma */
    TEXT, ESCAPE, HEX,                                       /* of texts */
    MINUS, ZERO, WHOLE, POINT, FRACTION, EXPONENT, SIGN, POWER, /* of numbers */
    LITERAL,
};

struct step {
    const struct schema *schema;
    struct stack *out;
    uint32_t n, room;
};

static bool is_digit(uint8_t b)
{
    return b >= '0' && b <= '9';
}

void stack_copy(struct stack *to, const struct stack *from)
{
    memcpy(to, from, offsetof(struct stack, open) + from->depth * sizeof *from->open);
}

static void give(struct step *t, const struct stack *k)
{
    if (t->n < t->room) stack_copy(&t->out[t->n++], k);
}

static struct open_value *top(struct stack *k)
{
    return &k->open[k->depth - 1];
}

static void step_one(struct step *t, struct stack *k, uint8_t b);

/* ---- the end of a value ---- */

static void pop(struct stack *k)
{
    k->depth--;
}

/* ---- the beginning of one ---- */

static bool push(struct stack *k, uint32_t shape)
{
    if (k->depth == STACK_DEPTH) return false;
    k->open[k->depth++] = (struct open_value){.shape = shape, .phase = VALUE};
    return true;
}

static void literal_byte(struct step *t, struct stack *k, uint8_t b)
{
    struct open_value *o = top(k);
    const struct shape *s = &t->schema->shape[o->shape];
    uint32_t first = o->n, end = o->end;
    while (first < end && (s->literal[first].n <= o->member || (uint8_t)s->literal[first].text[o->member] < b)) first++;
    while (end > first && (uint8_t)s->literal[end - 1].text[o->member] > b) end--;
    if (first == end) return;
    o->n = first;
    o->end = end;
    o->member++;
    o->phase = LITERAL;
    give(t, k);
}

/* Complete literals come first among those that begin with them. */
static bool literal_complete(const struct schema *schema, const struct open_value *o)
{
    return schema->shape[o->shape].literal[o->n].n == o->member;
}

static void any_word(struct step *t, struct stack *k, uint8_t b)
{
    /* Words of JSON, letter by letter: n says which, member how far. */
    static const char *const words[] = {"true", "false", "null"};
    struct open_value *o = top(k);
    if (o->phase == VALUE) {
        const uint32_t which = b == 't' ? 0 : b == 'f' ? 1 : b == 'n' ? 2 : 3;
        if (which == 3) return;
        o->phase = LITERAL, o->n = which, o->member = 1;
    } else if (words[o->n][o->member] && (uint8_t)words[o->n][o->member] == b) {
        o->member++;
    } else {
        return;
    }
    if (!words[o->n][o->member]) pop(k);
    give(t, k);
}

static bool begin_number(struct open_value *o, uint8_t b)
{
    if (b == '-') o->phase = MINUS;
    else if (b == '0') o->phase = ZERO;
    else if (is_digit(b)) o->phase = WHOLE;
    else return false;
    o->n = 1;
    return true;
}

/* There is room for the least that this shape must have open, on top of what is. */
static bool has_room(const struct schema *s, const struct stack *k, uint32_t shape)
{
    return k->depth + s->shape[shape].levels <= STACK_DEPTH;
}

static void begin_one(struct step *t, struct stack *k, uint8_t b)
{
    struct open_value *o = top(k);
    const struct shape *s = &t->schema->shape[o->shape];
    const bool any = s->kind == SHAPE_ANY;
    if (s->kind == SHAPE_LITERALS) {
        o->end = s->n_literals;
        literal_byte(t, k, b);
        return;
    }
    if ((any || s->kind == SHAPE_OBJECT) && b == '{') o->phase = OPENED, o->more = 0;
    else if ((any || s->kind == SHAPE_ARRAY) && b == '[') o->phase = OPENED, o->more = 1; /* of any value: it is a list */
    else if ((any || s->kind == SHAPE_STRING) && b == '"') o->phase = TEXT;
    else if ((any || s->kind == SHAPE_NUMBER || s->kind == SHAPE_INTEGER) && begin_number(o, b)) o->more = 0;
    else if (any) {
        any_word(t, k, b);
        return;
    } else {
        return;
    }
    give(t, k);
}

/* The shapes that are one of others come to the same few in very many ways: each is tried once. */
static void begin_each(struct step *t, const struct stack *k, uint32_t shape, uint8_t b, uint8_t *tried)
{
    const struct shape *s = &t->schema->shape[shape];
    if (tried[shape / 8] >> shape % 8 & 1) return;
    tried[shape / 8] |= (uint8_t)(1u << shape % 8);
    for (uint32_t i = 0; s->kind == SHAPE_ONE_OF && i < s->n_inner; i++) begin_each(t, k, s->inner[i], b, tried);
    if (s->kind == SHAPE_ONE_OF || k->depth - 1 + s->levels > STACK_DEPTH) return;
    struct stack one;
    stack_copy(&one, k);
    top(&one)->shape = shape;
    begin_one(t, &one, b);
}

static void begin_value(struct step *t, struct stack *k, uint8_t b)
{
    const uint32_t shape = top(k)->shape;
    if (t->schema->shape[shape].kind != SHAPE_ONE_OF) {
        begin_one(t, k, b);
        return;
    }
    uint8_t tried[SCHEMA_SHAPES_MOST / 8];
    memset(tried, 0, (t->schema->n + 7) / 8);
    begin_each(t, k, shape, b, tried);
}

/* ---- numbers ---- */

static bool number_complete(const struct open_value *o)
{
    return o->phase == ZERO || o->phase == WHOLE || o->phase == FRACTION || o->phase == POWER;
}

static bool number_byte_fits(const struct schema *s, struct open_value *o, uint8_t b)
{
    const bool whole = s->shape[o->shape].kind == SHAPE_INTEGER, digit = is_digit(b);
    switch (o->phase) {
    case MINUS: o->phase = b == '0' ? ZERO : WHOLE; return digit;
    case WHOLE:
        if (digit) return true;
        /* fall through */
    case ZERO:
        if (whole || (b != '.' && b != 'e' && b != 'E')) return false;
        o->phase = b == '.' ? POINT : EXPONENT;
        return true;
    case POINT: o->phase = FRACTION; return digit;
    case FRACTION:
        if (digit) return true;
        o->phase = EXPONENT;
        return b == 'e' || b == 'E';
    case EXPONENT:
        o->phase = digit ? POWER : SIGN;
        return digit || b == '+' || b == '-';
    case SIGN: o->phase = POWER; return digit;
    default: return digit;
    }
}

/* The last byte is kept for a digit that makes it complete. */
static bool number_goes_on(const struct schema *s, struct open_value *o, uint8_t b)
{
    return number_byte_fits(s, o, b) && ++o->n + !number_complete(o) <= DIGITS_MOST;
}

/* A number ends by what stands behind it. */
static void number_byte(struct step *t, struct stack *k, uint8_t b)
{
    struct open_value before = *top(k);
    if (number_goes_on(t->schema, top(k), b)) {
        give(t, k);
        return;
    }
    *top(k) = before;
    if (!number_complete(&before)) return;
    pop(k);
    if (k->depth) step_one(t, k, b);
}

/* ---- texts ---- */

/* The first byte of a character: how many follow, -1: none such. Of the second byte some are not allowed: n says which lead it was, in
 * phase TEXT's `member`. */
static int more_bytes(uint8_t b)
{
    return b < 0x80 ? 0 : b >= 0xc2 && b <= 0xdf ? 1 : b >= 0xe0 && b <= 0xef ? 2 : b >= 0xf0 && b <= 0xf4 ? 3 : -1;
}

static bool follows(uint8_t lead, uint8_t b)
{
    const uint8_t least = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80, most = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    return b >= least && b <= most;
}

/* Within quotes: false if the byte may not be there. *o is a text or a key; `member` is the lead of a character that was begun. */
static bool character_byte(struct open_value *o, uint8_t b)
{
    if (o->more) {
        if (!follows((uint8_t)o->member, b)) return false;
        o->more--;
        o->member = 0;
        return true;
    }
    const int more = more_bytes(b);
    if (more < 0 || b < 0x20) return false;
    o->more = (uint8_t)more;
    o->member = more ? b : 0;
    return true;
}

static void text_most(const struct schema *s, const struct open_value *o, uint32_t *least, uint32_t *most)
{
    const struct shape *shape = &s->shape[o->shape];
    *least = shape->kind == SHAPE_STRING ? shape->least : 0;
    *most = shape->kind == SHAPE_STRING ? shape->most : UINT32_MAX;
}

static bool escape_byte(struct open_value *o, uint8_t b)
{
    if (o->phase == ESCAPE) {
        o->phase = b == 'u' ? HEX : TEXT;
        o->more = b == 'u' ? 4 : 0;
        return b && strchr("\"\\/bfnrtu", b);
    }
    const uint8_t low = b | 0x20;
    /* Halves of a character beyond the first 65536 are not taken: they can be said as themselves. */
    if (o->more == 4) o->member = low == 'd';
    else if (o->more == 3 && o->member && b > '7') return false;
    else if (o->more == 3) o->member = 0;
    if (!--o->more) o->phase = TEXT, o->member = 0;
    return is_digit(b) || (low >= 'a' && low <= 'f');
}

static void text_byte(struct step *t, struct stack *k, uint8_t b)
{
    struct open_value *o = top(k);
    uint32_t least, most;
    text_most(t->schema, o, &least, &most);
    const bool starts = o->phase == TEXT && !o->more;
    if (starts && b == '"') {
        if (o->n < least) return;
        pop(k);
    } else if (starts && o->n >= most) {
        return;
    } else if (starts && b == '\\') {
        o->phase = ESCAPE;
        o->n++;
    } else if (o->phase == TEXT ? !character_byte(o, b) : !escape_byte(o, b)) {
        return;
    } else if (starts) {
        o->n++;
    }
    give(t, k);
}

/* ---- objects ---- */

static const struct shape *shape_of(const struct schema *s, const struct open_value *o)
{
    return &s->shape[o->shape];
}

static bool named_members(const struct shape *s)
{
    return s->kind == SHAPE_OBJECT;
}

/* Members of the object on top that may come next: up to the first that must. */
static uint64_t next_members(const struct schema *schema, const struct stack *k)
{
    const struct open_value *o = &k->open[k->depth - 1];
    const struct shape *s = shape_of(schema, o);
    uint64_t may = 0;
    for (uint32_t i = o->member; named_members(s) && i < s->n_members; i++) {
        if (has_room(schema, k, s->member[i].shape)) may |= 1ull << i;
        if (s->member[i].required) break;
    }
    return may;
}

static bool needs_more(const struct shape *s, uint32_t from)
{
    for (uint32_t i = from; named_members(s) && i < s->n_members; i++)
        if (s->member[i].required) return true;
    return false;
}

static bool takes_others(const struct schema *schema, const struct stack *k)
{
    const struct shape *s = shape_of(schema, &k->open[k->depth - 1]);
    return s->kind == SHAPE_ANY || (s->others != SCHEMA_NONE && has_room(schema, k, s->others));
}

static void begin_key(struct step *t, struct stack *k)
{
    struct open_value *o = top(k);
    const struct shape *s = shape_of(t->schema, o);
    const bool free_keys = takes_others(t->schema, k) && !needs_more(s, o->member);
    const uint64_t all = named_members(s) && s->n_members ? ~0ull >> (64 - s->n_members) : 0;
    k->keys = next_members(t->schema, k);
    k->taken = all & ~k->keys;
    if (!k->keys && !free_keys) return;
    /* The key is a value of its own on the stack, so that its bytes have a place. */
    if (k->depth == STACK_DEPTH) return;
    o->phase = COLON;
    k->open[k->depth++] = (struct open_value){.shape = o->shape, .phase = KEY, .end = free_keys};
    give(t, k);
}

/* Members whose name has this byte there, or ends there where `at_end`. */
static uint64_t narrow(const struct shape *s, uint64_t members, uint32_t at, uint8_t b, bool at_end)
{
    uint64_t left = 0;
    for (uint32_t i = 0; members >> i; i++) {
        if (!(members >> i & 1)) continue;
        const struct shape_member *m = &s->member[i];
        if (at_end ? m->n == at : m->n > at && (uint8_t)m->name[at] == b) left |= 1ull << i;
        if (i == 63) break;
    }
    return left;
}

static void key_ends(struct step *t, struct stack *k)
{
    const struct open_value key = *top(k);
    const struct shape *s = shape_of(t->schema, &key);
    const uint64_t named = narrow(s, k->keys, key.n, 0, true);
    uint32_t shape = s->kind == SHAPE_ANY ? key.shape : s->others;
    pop(k);
    struct open_value *o = top(k);
    if (named) {
        const uint32_t which = (uint32_t)__builtin_ctzll(named);
        shape = s->member[which].shape;
        o->member = (uint16_t)(which + 1);
    } else if (!key.end || narrow(s, k->taken, key.n, 0, true)) {
        return;
    }
    o->end = shape; /* of the value that comes */
    o->n++;
    give(t, k);
}

static void key_byte(struct step *t, struct stack *k, uint8_t b)
{
    struct open_value *o = top(k);
    const struct shape *s = shape_of(t->schema, o);
    if (!o->more && b == '"' && !narrow(s, k->keys, o->n, b, false)) { /* else it stands in a name, behind a backslash */
        key_ends(t, k);
        return;
    }
    k->keys = narrow(s, k->keys, o->n, b, false);
    k->taken = narrow(s, k->taken, o->n, b, false);
    /* A name of the schema may have escapes; a free key has none. */
    const bool can_be_free = o->end && b != '\\' && (o->n < KEY_MOST || o->more) && character_byte(o, b);
    if (!can_be_free) o->end = 0, o->more = 0;
    o->n++;
    if (can_be_free || k->keys) give(t, k);
}

static void object_byte(struct step *t, struct stack *k, uint8_t b)
{
    struct open_value *o = top(k);
    const struct shape *s = shape_of(t->schema, o);
    if (o->phase == COLON) {
        if (b != ':') return;
        o->phase = AFTER_VALUE;
        if (push(k, o->end)) give(t, k);
    } else if (b == '"' && (o->phase == OPENED || o->phase == KEY_WANTED)) {
        begin_key(t, k);
    } else if (b == '}' && o->phase != KEY_WANTED && !needs_more(s, o->member)) {
        pop(k);
        give(t, k);
    } else if (b == ',' && o->phase == AFTER_VALUE && (next_members(t->schema, k) || takes_others(t->schema, k))) {
        o->phase = KEY_WANTED;
        give(t, k);
    }
}

/* ---- arrays ---- */

/* Of the next one; SCHEMA_NONE: there is none. */
static uint32_t item_shape(const struct shape *s, const struct open_value *o)
{
    return s->kind == SHAPE_ANY ? o->shape : o->n >= s->most ? SCHEMA_NONE : o->n < s->n_inner ? s->inner[o->n] : s->others;
}

static void item_byte(struct step *t, struct stack *k, uint8_t b)
{
    struct open_value *o = top(k);
    const uint32_t shape = item_shape(shape_of(t->schema, o), o);
    if (shape == SCHEMA_NONE || !has_room(t->schema, k, shape)) return;
    o->phase = AFTER_VALUE;
    o->n++;
    if (push(k, shape)) begin_value(t, k, b);
}

static void array_byte(struct step *t, struct stack *k, uint8_t b)
{
    struct open_value *o = top(k);
    const struct shape *s = shape_of(t->schema, o);
    const uint32_t shape = item_shape(s, o);
    const bool enough = s->kind == SHAPE_ANY || o->n >= s->least, room = shape != SCHEMA_NONE && has_room(t->schema, k, shape);
    if (b == ']' && o->phase != ITEM_WANTED) {
        if (!enough) return;
        pop(k);
        give(t, k);
    } else if (o->phase == AFTER_VALUE) {
        if (b != ',' || !room) return;
        o->phase = ITEM_WANTED;
        give(t, k);
    } else {
        item_byte(t, k, b);
    }
}

/* ---- a step ---- */

static bool is_list(const struct schema *s, const struct open_value *o)
{
    return shape_of(s, o)->kind == SHAPE_ARRAY || (shape_of(s, o)->kind == SHAPE_ANY && o->more);
}

static bool may_close(const struct schema *s, const struct open_value *o)
{
    const struct shape *shape = shape_of(s, o);
    if (is_list(s, o)) return shape->kind == SHAPE_ANY || o->n >= shape->least;
    return !needs_more(shape, o->member);
}

static void literal_step(struct step *t, struct stack *k, uint8_t b)
{
    if (shape_of(t->schema, top(k))->kind == SHAPE_ANY) {
        any_word(t, k, b);
        return;
    }
    struct stack ended;
    stack_copy(&ended, k);
    literal_byte(t, k, b);
    if (!literal_complete(t->schema, top(&ended))) return;
    pop(&ended);
    if (ended.depth) step_one(t, &ended, b);
}

/* As JSON is mostly written: one blank, or a line end and an indent, behind an opening bracket and a comma and before a closing one; one
 * blank behind a colon. Models that may say any would go on with blanks for ever. */
static bool blank_byte(const struct schema *s, struct stack *k, uint8_t b)
{
    const struct open_value *o = top(k);
    const bool line = b == '\n', colon = o->phase == VALUE;
    if (colon ? k->depth == 1 || line : o->phase != OPENED && o->phase != KEY_WANTED && o->phase != ITEM_WANTED && o->phase != AFTER_VALUE)
        return false;
    if (o->phase == AFTER_VALUE && !may_close(s, o)) return false;
    if (!k->blanks) k->blanks = line ? 1 : ONE_BLANK;
    else if (!line && k->blanks <= INDENT_MOST) k->blanks++;
    else return false;
    return true;
}

static void step_one(struct step *t, struct stack *k, uint8_t b)
{
    if (!k->depth) return;
    if ((b == ' ' || b == '\n') && top(k)->phase != TEXT && top(k)->phase != KEY && top(k)->phase != LITERAL && top(k)->phase < MINUS) {
        if (blank_byte(t->schema, k, b)) give(t, k);
        return;
    }
    if (b == ',' && k->blanks) return;
    k->blanks = 0;
    switch (top(k)->phase) {
    case VALUE: begin_value(t, k, b); break;
    case TEXT:
    case ESCAPE:
    case HEX: text_byte(t, k, b); break;
    case KEY: key_byte(t, k, b); break;
    case LITERAL: literal_step(t, k, b); break;
    case OPENED:
    case KEY_WANTED:
    case COLON:
    case AFTER_VALUE:
    case ITEM_WANTED:
        if (is_list(t->schema, top(k))) array_byte(t, k, b);
        else object_byte(t, k, b);
        break;
    default: number_byte(t, k, b);
    }
}

uint32_t stack_step(const struct schema *s, const struct stack *in, uint8_t byte, struct stack *out, uint32_t room)
{
    struct step t = {.schema = s, .out = out, .room = room};
    struct stack k;
    stack_copy(&k, in);
    step_one(&t, &k, byte);
    return t.n;
}

/* A literal or a number that is all there is ends with the answer. */
static bool stack_may_end(const struct schema *s, const struct stack *k)
{
    if (k->depth != 1) return !k->depth;
    const struct open_value *o = &k->open[0];
    if (o->phase == LITERAL) return shape_of(s, o)->kind != SHAPE_ANY && literal_complete(s, o);
    return o->phase >= MINUS && o->phase <= POWER && number_complete(o);
}

uint32_t stack_plain_room(const struct schema *s, const struct stack *k)
{
    if (!k->depth) return 0;
    const struct open_value *o = &k->open[k->depth - 1];
    uint32_t least, most;
    if (o->more) return 0;
    if (o->phase == KEY) return o->end && o->n < KEY_MOST ? (KEY_MOST - o->n) / 4 : 0;
    if (o->phase != TEXT) return 0;
    text_most(s, o, &least, &most);
    return most - o->n;
}

void automaton_begin(struct automaton *a, const struct schema *s)
{
    a->schema = s;
    a->n = 1;
    a->stack[0] = (struct stack){.depth = 1};
}

bool automaton_step(struct automaton *a, uint8_t byte)
{
    struct stack next[STACKS_MOST];
    uint32_t n = 0;
    for (uint32_t i = 0; i < a->n; i++) n += stack_step(a->schema, &a->stack[i], byte, next + n, STACKS_MOST - n);
    for (uint32_t i = 0; i < n; i++) stack_copy(&a->stack[i], &next[i]);
    a->n = n;
    return n > 0;
}

bool automaton_word(struct automaton *a, const uint8_t *bytes, size_t n)
{
    struct automaton all = {.schema = a->schema}, one;
    for (uint32_t i = 0; i < a->n; i++) {
        one.schema = a->schema;
        one.n = 1;
        stack_copy(&one.stack[0], &a->stack[i]);
        for (size_t k = 0; k < n && one.n; k++) automaton_step(&one, bytes[k]);
        for (uint32_t k = 0; k < one.n && all.n < STACKS_MOST; k++) stack_copy(&all.stack[all.n++], &one.stack[k]);
    }
    for (uint32_t i = 0; i < all.n; i++) stack_copy(&a->stack[i], &all.stack[i]);
    a->n = all.n;
    return all.n > 0;
}

bool automaton_may_end(const struct automaton *a)
{
    for (uint32_t i = 0; i < a->n; i++)
        if (stack_may_end(a->schema, &a->stack[i])) return true;
    return false;
}
