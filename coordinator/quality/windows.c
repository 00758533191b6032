/* coordinator/quality/windows.c — see windows.h. */
#include "coordinator/quality/windows.h"

#include <string.h>

int windows_check(const struct windows *w, struct err *why)
{
    if (w->context < 4) return fail_about(why, ABOUT_CONTEXT, E_USAGE, "a context of %u ids leaves no half to judge; 4 are the least", w->context);
    if (w->stride >= w->context)
        return fail(why, E_USAGE, "a stride of %u leaves words out: a context of %u holds %u of them", w->stride, w->context, w->context - 1);
    if (w->stride ? w->n < 2 : w->n / 2 < w->context)
        return fail(why, E_USAGE, "the text has %zu tokens with <bos>; %s of %u want %zu", w->n, w->stride ? "windows" : "two chunks", w->context,
                    w->stride ? (size_t)2 : (size_t)2 * w->context);
    return 0;
}

size_t windows_count(const struct windows *w)
{
    const size_t words = w->n - 1, first = w->context - 1;
    if (!w->stride) return w->n / w->context;
    return words <= first ? 1 : 1 + (words - first + w->stride - 1) / w->stride;
}

static struct window chunk_at(const struct windows *w, size_t i, uint32_t *out)
{
    const uint32_t judged = w->context - w->context / 2 - 1;
    memcpy(out, w->ids + i * w->context, w->context * sizeof *out);
    out[0] = w->ids[0];
    return (struct window){w->context, judged, i * judged};
}

struct window windows_at(const struct windows *w, size_t i, uint32_t *out)
{
    if (!w->stride) return chunk_at(w, i, out);
    const size_t words = w->n - 1, from = i * w->stride, before = i ? from - w->stride + w->context - 1 : 0;
    const size_t end = from + w->context - 1 < words ? from + w->context - 1 : words;
    out[0] = w->ids[0];
    memcpy(out + 1, w->ids + 1 + from, (end - from) * sizeof *out);
    return (struct window){(uint32_t)(end - from + 1), (uint32_t)(end - before), before};
}
