/* partition/file/gguf_copy.h — the metadata of one GGUF file into another, as it lies. */
#pragma once

#include "partition/file/gguf.h"
#include "partition/file/gguf_write.h"

/* Every key of (the first file of) `g` in its order, except those whose names are in `except` (ends with NULL) and
 * those that describe the old file and not the model: general.alignment and split.*. */
void gguf_copy_keys(const struct gguf *g, struct gguf_out *o, const char *const *except);
