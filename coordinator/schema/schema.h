/* coordinator/schema/schema.h — a JSON schema, as the shape that an answer is held to.
 *
 * Understood: type (one, or several), properties, required, additionalProperties, items, prefixItems, minItems, maxItems, minLength, maxLength,
 * enum, const, anyOf, oneOf (as anyOf), $ref to "#", "#/$defs/…" and "#/definitions/…", recursion too; true and {}. Annotations (title,
 * description, default, examples, format, $schema, …) are passed over. Every other keyword is refused with its place: an answer that fits
 * half a schema helps nobody. Members come in the order of "properties", further ones behind them.
 *
 * Memory: a schema is its own, and does not change once it is made, so any number of answers may use it. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCHEMA_BYTES_MOST (256u << 10)
#define SCHEMA_MEMBERS_MOST 64 /* of one object that are named */
#define SCHEMA_SHAPES_MOST 20000
#define SCHEMA_LEVELS_MOST 48  /* of values in values that an answer may have open */
#define SCHEMA_NONE UINT32_MAX

enum shape_kind { SHAPE_ANY, SHAPE_OBJECT, SHAPE_ARRAY, SHAPE_STRING, SHAPE_NUMBER, SHAPE_INTEGER, SHAPE_LITERALS, SHAPE_ONE_OF };

struct shape_member {
    char *name; /* [n] as it stands between quotes */
    size_t n;
    uint32_t shape;
    bool required;
};

struct shape_literal {
    char *text; /* [n] as it stands in JSON */
    size_t n;
};

struct shape {
    enum shape_kind kind;
    struct shape_member *member; /* [n_members] of an object, in order */
    uint32_t n_members;
    uint32_t others;  /* of an object: the shape of further members; of an array: of items behind the first ones. SCHEMA_NONE: there are none */
    uint32_t *inner;  /* [n_inner] the first items of an array; the shapes of which it is one */
    uint32_t n_inner;
    uint32_t least, most; /* items; code points */
    uint32_t levels;  /* values in values that it has at least, itself included */
    struct shape_literal *literal; /* [n_literals], sorted by bytes */
    uint32_t n_literals;
};

struct schema {
    struct shape *shape; /* [n]; 0 is what an answer must be */
    uint32_t n, room;
};

/* text[0..n): JSON. E_USAGE: it cannot be used; `where` gets the JSON pointer to what is wrong. */
int schema_make(struct schema **out, const char *text, size_t n, char where[128], struct err *why);
int schema_make_any_object(struct schema **out, struct err *why); /* any JSON object */
/* A call of one of these functions, {"name": …, "arguments": …}; or_words: or {"response": "…"}. Names need no escapes; parameters are a
 * schema, with references to places in itself; NULL: any object. `where` begins with the number of the function. */
struct schema_call {
    const char *name, *parameters;
};
int schema_make_calls(struct schema **out, const struct schema_call *calls, size_t n, bool or_words, char where[128], struct err *why);
void schema_free(struct schema **s); /* NULL is fine */
