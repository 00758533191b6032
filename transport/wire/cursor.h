/* transport/wire/cursor.h — one walk over a message, used three times: to measure it, to write it, to read it.
 *
 * A walk names the fields in the order they have on the wire and cannot get out of step with itself: what one direction
 * does, the others do. The price is a branch per field; a micro-batch of 512 rows has about 1,100 fields beside 5 MB of
 * activations, so nobody will see it.
 *
 * The cursor is poisoned by the first thing that is wrong: it keeps the sentence, every later field reads as zero, and
 * loops over counts do not start, because a count is only believed when that many records fit into what is left.
 *
 * The messages of the wire are walked in this sub-room. A message that carries nouns of another room (an assignment: what a
 * model is made of) is walked by the room that owns them: worker/assign.c. */
#pragma once

#include "base/numeric.h"
#include "transport/wire/frame.h"

#include <stdbool.h>

enum cursor_direction { CURSOR_MEASURE, CURSOR_WRITE, CURSOR_READ };

struct cursor {
    enum cursor_direction direction;
    uint8_t *body;     /* NULL while measuring */
    uint64_t at, size; /* size: of the body; while measuring there is no end */
    int code;          /* of the first thing that was wrong */
    struct err *why;
    const char *message; /* "WORK" */
    char from[32];       /* "worker 2" */
};

/* Something is wrong: E_WIRE, after the message's name and who it is from. The first sentence stays. */
__attribute__((format(printf, 2, 3))) void cursor_refuse(struct cursor *c, const char *format, ...);

/* Numbers, little-endian. What they point to is changed only when reading. */
void walk_u8(struct cursor *c, uint8_t *v);
void walk_mode(struct cursor *c, struct numeric_mode *m); /* 4 bytes; what it means is checked by who computes */
void walk_u16(struct cursor *c, uint16_t *v);
void walk_u32(struct cursor *c, uint32_t *v);
void walk_u64(struct cursor *c, uint64_t *v);
void walk_f32(struct cursor *c, float *v);
void walk_f64(struct cursor *c, double *v);
void walk_bool(struct cursor *c, bool *v);

/* n bytes (at most 8) that bring what follows to its alignment and must be zero: another version may give them a meaning. */
void walk_zeros(struct cursor *c, int n);

/* How many records follow, at most `most`. `record`: the least bytes that one takes. `what`: their name, for the sentence. */
void walk_count(struct cursor *c, uint32_t *n, uint64_t most, uint64_t record, const char *what);

/* Text is shown to people, so it holds no byte that moves a terminal's cursor. The array is filled up with zeros. */
void walk_text(struct cursor *c, char *text, size_t size, const char *what);

/* n bytes that lie in the frame: *bytes points there afterwards, to be filled in by a writer. */
void walk_room(struct cursor *c, uint8_t **bytes, uint64_t n);

/* The same, but a writer brings the bytes. */
void walk_bytes(struct cursor *c, uint8_t **bytes, uint64_t n);

/* Makes a frame of the message, or reads one: a walk names the fields. E_WIRE; the frame must hold exactly the message. */
typedef void walker(struct cursor *c, void *message);
int message_write(struct frame **out, enum message type, walker *walk, const void *message, struct err *why);
int message_read(struct frame *f, enum message type, walker *walk, void *message, struct err *why);

/* name_write and name_read of a struct name that walk_name walks. constness: const, or nothing where writing sets a pointer
 * into the frame. */
#define WALKED(name, type, constness)                                                                                  \
    int name##_write(struct frame **out, constness struct name *m, struct err *why)                                    \
    {                                                                                                                  \
        return message_write(out, type, walk_##name, m, why);                                                          \
    }                                                                                                                  \
    int name##_read(struct name *m, struct frame *f, struct err *why)                                                  \
    {                                                                                                                  \
        return message_read(f, type, walk_##name, m, why);                                                             \
    }
