/* transport/wire/cursor.c — see cursor.h. */
#include "transport/wire/cursor.h"

#include "base/checked.h"
#include "base/half.h"
#include "base/little_endian.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void cursor_refuse(struct cursor *c, const char *format, ...)
{
    char text[300];
    va_list args;
    if (c->code) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    c->code = fail(c->why, E_WIRE, "%s %s: %s", c->message, c->from, text);
}

/* The next n bytes of the body, or NULL: while measuring, and when they are not there. */
static uint8_t *step(struct cursor *c, uint64_t n)
{
    if (c->code) return NULL;
    if (c->direction != CURSOR_MEASURE && n > c->size - c->at) {
        cursor_refuse(c, "cut short, %llu bytes wanted at byte %llu of %llu", (unsigned long long)n, (unsigned long long)c->at,
               (unsigned long long)c->size);
        return NULL;
    }
    uint8_t *place = c->body ? c->body + c->at : NULL;
    if (!add_ok(c->at, n, &c->at)) cursor_refuse(c, "its size is over all bounds");
    return place;
}

static uint64_t walk_number(struct cursor *c, uint64_t value, unsigned bytes)
{
    uint8_t *p = step(c, bytes);
    if (c->direction == CURSOR_READ) return p ? le_of(p, bytes) : 0;
    if (p) put_le(p, value, bytes);
    return value;
}

/* Stored only when reading: the message of a writer is const. */
#define STORE(c, place, value) do { if ((c)->direction == CURSOR_READ) *(place) = (value); } while (0)

void walk_u8(struct cursor *c, uint8_t *v)
{
    uint64_t n = walk_number(c, *v, 1);
    STORE(c, v, (uint8_t)n);
}

void walk_u16(struct cursor *c, uint16_t *v)
{
    uint64_t n = walk_number(c, *v, 2);
    STORE(c, v, (uint16_t)n);
}

void walk_u32(struct cursor *c, uint32_t *v)
{
    uint64_t n = walk_number(c, *v, 4);
    STORE(c, v, (uint32_t)n);
}

void walk_u64(struct cursor *c, uint64_t *v)
{
    uint64_t n = walk_number(c, *v, 8);
    STORE(c, v, n);
}

void walk_f32(struct cursor *c, float *v)
{
    uint64_t n = walk_number(c, f32_bits(*v), 4);
    STORE(c, v, f32_from_bits((uint32_t)n));
}

void walk_f64(struct cursor *c, double *v)
{
    uint64_t bits;
    memcpy(&bits, v, 8);
    bits = walk_number(c, bits, 8);
    if (c->direction == CURSOR_READ) memcpy(v, &bits, 8);
}

void walk_bool(struct cursor *c, bool *v)
{
    uint64_t n = walk_number(c, c->direction == CURSOR_READ ? 0 : *v, 1); /* a reader's may hold no bool yet */
    if (n > 1) cursor_refuse(c, "a yes or no of %llu at byte %llu", (unsigned long long)n, (unsigned long long)c->at - 1);
    STORE(c, v, n == 1);
}

/* Bytes that are there to bring what follows to its alignment; another version may give them a meaning. */
void walk_zeros(struct cursor *c, int n)
{
    if (walk_number(c, 0, n)) cursor_refuse(c, "bytes before byte %llu that must be zero are not", (unsigned long long)c->at);
}

/* How many records follow. `record` is the least that one takes. */
void walk_count(struct cursor *c, uint32_t *n, uint64_t most, uint64_t record, const char *what)
{
    walk_u32(c, n);
    if (c->code) return;
    uint64_t left = c->size - c->at;
    if (*n > most) cursor_refuse(c, "%u %s; at most %llu are allowed", *n, what, (unsigned long long)most);
    else if (c->direction == CURSOR_READ && *n > left / record)
        cursor_refuse(c, "%u %s cannot be in the %llu bytes that are left", *n, what, (unsigned long long)left);
    if (c->code) STORE(c, n, 0);
}

/* Text is shown to people, so it holds no byte that moves a terminal's cursor. The array is filled up with zeros. */
void walk_text(struct cursor *c, char *text, size_t size, const char *what)
{
    uint16_t n = 0;
    if (c->direction != CURSOR_READ) n = (uint16_t)strnlen(text, size);
    walk_u16(c, &n);
    if (n >= size) cursor_refuse(c, "%s of %u bytes; at most %zu are allowed", what, n, size - 1);
    uint8_t *p = step(c, n);
    const uint8_t *bytes = c->direction == CURSOR_READ ? p : (const uint8_t *)text;
    for (size_t i = 0; i < n && bytes && !c->code; i++)
        if (bytes[i] < 32 || bytes[i] == 127) cursor_refuse(c, "%s holds the control character %u", what, bytes[i]);
    if (c->direction == CURSOR_READ) memset(text, 0, size);
    if (c->direction == CURSOR_READ && p && !c->code) memcpy(text, p, n);
    if (c->direction == CURSOR_WRITE && p) memcpy(p, text, n);
}

/* n bytes that lie in the frame: *bytes points there afterwards, to be filled in by a writer. */
void walk_room(struct cursor *c, uint8_t **bytes, uint64_t n)
{
    uint8_t *p = step(c, n);
    if (c->direction != CURSOR_MEASURE) *bytes = p;
}

/* The same, but a writer brings the bytes. */
void walk_bytes(struct cursor *c, uint8_t **bytes, uint64_t n)
{
    uint8_t *p = step(c, n);
    if (c->direction == CURSOR_READ) *bytes = p;
    if (c->direction == CURSOR_WRITE && p && n) memcpy(p, *bytes, n);
}

int message_write(struct frame **out, enum message type, walker *walk, const void *message, struct err *why)
{
    struct cursor c = {.direction = CURSOR_MEASURE, .why = why, .message = message_name(type), .from = "cannot be written"};
    *out = 0;
    walk(&c, (void *)message); /* a walk stores only when it reads, or into pointers the header says it sets */
    if (!c.code && c.at > FRAME_BODY_MOST)
        cursor_refuse(&c, "%llu bytes; at most %u are allowed", (unsigned long long)c.at, FRAME_BODY_MOST);
    TRY(c.code);
    struct frame *f = frame_new(type, c.at);
    if (!f) return fail(why, E_MEMORY, "no memory for a %s of %llu bytes", c.message, (unsigned long long)c.at);
    c.direction = CURSOR_WRITE;
    c.body = frame_body(f);
    c.size = c.at;
    c.at = 0;
    walk(&c, (void *)message);
    if (c.code) return frame_free(f), c.code;
    *out = f;
    return 0;
}

int message_read(struct frame *f, enum message type, walker *walk, void *message, struct err *why)
{
    struct cursor c = {.direction = CURSOR_READ, .body = frame_body(f), .size = f->head.body_bytes, .why = why,
                       .message = message_name(type), .from = "from the coordinator"};
    if (f->head.from) snprintf(c.from, sizeof c.from, "from worker %u", f->head.from);
    if (f->head.type != type) cursor_refuse(&c, "wanted, but %s came", message_name(f->head.type));
    if (!c.code) walk(&c, message);
    if (c.at != c.size)
        cursor_refuse(&c, "%llu bytes are left over after byte %llu", (unsigned long long)(c.size - c.at), (unsigned long long)c.at);
    return c.code;
}
