/* coordinator/quality/windows.h — a long text as windows of the context's size, and which of their words are judged. Pure.
 *
 * Chunks, as llama.cpp's tool has them: the ids of the text, <bos> first, are cut into chunks of `context` ids; what is left over is
 * dropped. Of each chunk the first id is replaced by <bos>, and the words behind its first half are judged: context - context / 2 - 1,
 * each behind at least half a context.
 *
 * With a stride: windows of <bos> and context - 1 ids of the text, each beginning `stride` ids after the one before, until the text
 * ends. Every word is judged once, in the first window that holds it: so behind context - 1 - stride others, but at the beginning. */
#pragma once

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct windows {
    const uint32_t *ids; /* [n] of the whole text, <bos> first */
    size_t n;
    uint32_t context;
    uint32_t stride; /* 0: chunks */
};

struct window {
    uint32_t n;      /* ids; of these the last `judged` are */
    uint32_t judged;
    size_t before;   /* words judged in the windows before */
};

/* E_USAGE if the text is too short (chunks: two are wanted, because one says little), or the stride leaves words out. */
int windows_check(const struct windows *w, struct err *why);
size_t windows_count(const struct windows *w);
struct window windows_at(const struct windows *w, size_t i, uint32_t *out); /* out [context]: its ids */
