/* partition/file/gguf_copy.c — see gguf_copy.h. Bytes are copied without being understood: a key we do not know is kept. */
#include "partition/file/gguf_copy.h"

#include "base/mapped.h"
#include "partition/file/gguf_parse.h"

#include <string.h>

/* The byte after a value. The reader has walked them all, so lengths are true here. */
static const uint8_t *value_end(uint32_t type, const uint8_t *p)
{
    if (type == GGUF_STRING) return p + 8 + le_of(p, 8);
    if (type != GGUF_ARRAY) return p + gguf_value_bytes[type];
    uint32_t elem = (uint32_t)le_of(p, 4);
    uint64_t count = le_of(p + 4, 8);
    p += 12;
    if (gguf_value_bytes[elem]) return p + count * gguf_value_bytes[elem];
    while (count--) p = value_end(elem, p);
    return p;
}

static bool wanted(const char *key, const char *const *except)
{
    if (!strcmp(key, "general.alignment") || !strncmp(key, "split.", 6)) return false;
    for (; *except; except++)
        if (!strcmp(key, *except)) return false;
    return true;
}

void gguf_copy_keys(const struct gguf *g, struct gguf_out *o, const char *const *except)
{
    const struct gguf_file *f = &g->files[0];
    for (size_t i = 0; i < f->n_keys; i++) {
        const struct gguf_key *k = &f->keys[i];
        const uint8_t *value = k->type == GGUF_ARRAY ? k->value - 12 : k->value;
        if (!wanted(k->name, except)) continue;
        gguf_put_raw(o, k->name, k->type, value, (size_t)(value_end(k->type, value) - value));
    }
    mapped_forget(f->map, f->header_bytes);
}
