/* coordinator/schema/automaton.h — how far an answer has come in its shape, and which byte may follow.
 *
 * A pushdown automaton over bytes. A stack stands for what is open: the innermost value, and all it lies in. Where a shape is one of
 * several there are several stacks, and a byte is possible if it is so for one of them. All JSON that fits may be said, with the blanks of
 * usual writing between its parts, members in the order of the schema, keys without escapes. A state is plain data: copied to try something, kept to go
 * back, made anew from the bytes of an answer. */
#pragma once

#include "coordinator/schema/schema.h"

#define STACK_DEPTH SCHEMA_LEVELS_MOST
#define STACKS_MOST 32

struct open_value { /* 16 bytes: states are copied all the time */
    uint32_t shape;
    uint8_t phase;
    uint8_t more;    /* of a text: bytes of a character, or digits of an escape, that are still to come; of a key: it may be any */
    uint16_t member; /* of an object: the next that may come; of literals: bytes of them so far */
    uint32_t n;      /* items, members, code points, digits, bytes of a key; of literals: the first that fits */
    uint32_t end;    /* of literals: behind the last that fits */
};

struct stack {
    uint16_t depth;  /* open[0..depth); 0: the value is complete */
    uint16_t blanks; /* said since the last part */
    uint64_t keys;   /* while a key is read: the named members it may still become */
    uint64_t taken;  /* and, of those that may not come (any more), the ones it is equal to so far */
    struct open_value open[STACK_DEPTH];
};

struct automaton {
    const struct schema *schema;
    uint32_t n;
    struct stack stack[STACKS_MOST];
};

void stack_copy(struct stack *to, const struct stack *from); /* what is open of it */

void automaton_begin(struct automaton *a, const struct schema *s);
/* False: this byte cannot follow, and *a is of no more use. */
bool automaton_step(struct automaton *a, uint8_t byte);
/* A whole word, of each stack by itself, as a mask tries it: what a stack comes to is not crowded out by what others come to half way. */
bool automaton_word(struct automaton *a, const uint8_t *bytes, size_t n);
bool automaton_may_end(const struct automaton *a); /* what was said so far is complete */

/* One stack by itself: 0..STACKS_MOST stacks come of it. `out` and `in` differ. */
uint32_t stack_step(const struct schema *s, const struct stack *in, uint8_t byte, struct stack *out, uint32_t room);

/* Code points that may follow in any order before anything else must happen, inside a text without escapes under way; 0: it is not
 * inside a text. So many plain characters (no quote, backslash or control character) can be said. */
uint32_t stack_plain_room(const struct schema *s, const struct stack *k);
