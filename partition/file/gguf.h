/* partition/file/gguf.h — reads GGUF v3 files: mapped, never copied; nothing in them is believed before it is checked.
 *
 * Ownership: everything handed out points into the mapping or into the object and lives until gguf_close.
 * Threads:   read-only after gguf_open, so any number may look.
 * Errors:    E_FILE, with one sentence that names the file, what was found and what was wanted. */
#pragma once

#include "base/error.h"
#include "base/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gguf_value_type {
    GGUF_U8, GGUF_I8, GGUF_U16, GGUF_I16, GGUF_U32, GGUF_I32, GGUF_F32, GGUF_BOOL, GGUF_STRING, GGUF_ARRAY, GGUF_U64,
    GGUF_I64, GGUF_F64,
};

struct gguf_tensor {
    const char *name;    /* NUL-terminated */
    uint32_t type;       /* enum tensor_type; always one block_info knows */
    uint32_t n_dims;     /* 1..4 */
    uint64_t dims[4];    /* dims[0] is the contiguous one; unused ones are 1 */
    uint32_t file;       /* which file of a split model */
    uint64_t offset;     /* of the data in that file */
    uint64_t bytes;
    const uint8_t *data; /* mapped */
};

struct gguf_string {
    const char *text; /* not NUL-terminated, may hold any byte */
    size_t n;
};

struct gguf_array {
    uint32_t type; /* of the elements: any value type but GGUF_ARRAY */
    uint64_t count;
    const uint8_t *data; /* numbers little-endian and unaligned; strings as u64 length + bytes */
};

struct gguf;

/* Opens one file, or all files of a split model when given the first ("-00001-of-0000N.gguf"). */
int gguf_open(struct gguf **out, const char *path, struct err *why);
void gguf_close(struct gguf **file); /* sets *file to NULL; NULL is fine */

int gguf_file_count(const struct gguf *g);
const char *gguf_path(const struct gguf *g, int file);
uint64_t gguf_bytes(const struct gguf *g, int file);

/* What makes this model this model: a hash over all metadata and tensor descriptions, and over the first and last
 * 4096 bytes of every tensor. Either of two files with the same fingerprint may serve for the other. */
struct hash128 gguf_fingerprint(const struct gguf *g);

size_t gguf_tensor_count(const struct gguf *g);
const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t i);
const struct gguf_tensor *gguf_tensor(const struct gguf *g, const char *name); /* NULL if there is none */

/* Metadata. A missing key and a value of the wrong kind are both E_FILE; use gguf_has for optional keys.
 * Integers of any width are accepted where they fit. */
bool gguf_has(const struct gguf *g, const char *key);
int gguf_u64(const struct gguf *g, const char *key, uint64_t *out, struct err *why);
int gguf_u32(const struct gguf *g, const char *key, uint32_t *out, struct err *why); /* more is refused as absurd */
int gguf_f32(const struct gguf *g, const char *key, float *out, struct err *why);
int gguf_bool(const struct gguf *g, const char *key, bool *out, struct err *why);
int gguf_text(const struct gguf *g, const char *key, struct gguf_string *out, struct err *why);
int gguf_list(const struct gguf *g, const char *key, struct gguf_array *out, struct err *why);

bool gguf_text_is(struct gguf_string s, const char *word);
/* Foreign text as it may be shown: no spaces, nothing a terminal would obey, the beginning of it. Returns `out`. */
#define GGUF_SHOWN 40
const char *gguf_show_text(char out[GGUF_SHOWN], struct gguf_string s);

/* Walks the strings of an array: start with *cursor = array->data. All lengths were checked by gguf_open. */
struct gguf_string gguf_next_string(const uint8_t **cursor);

/* Metadata by position, for `inspect`: key i, its type, and a short rendering of the value into `out`. */
size_t gguf_key_count(const struct gguf *g);
const char *gguf_key_at(const struct gguf *g, size_t i, uint32_t *type, char *out, size_t out_size);

/* E_FILE, and what to get instead, if Ollama made it: text and vision in one file, under names of its own. */
int gguf_refuse_ollamas(const struct gguf *g, struct err *why);

/* The n bytes that are mapped at `from`, by read: a file that was cut meanwhile is E_FILE. */
int gguf_read(const struct gguf *g, const void *from, void *out, size_t n, struct err *why);

/* E_FILE if one of the files was written to or cut since it was opened: what was read may be half of this, half of that. */
int gguf_unchanged(const struct gguf *g, struct err *why);

/* Tells the system that what is mapped here will be read soon, so it fetches it in one go. */
void gguf_expect(const struct gguf *g, const void *from, size_t bytes);
