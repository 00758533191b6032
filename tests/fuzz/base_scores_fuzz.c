/* tests/fuzz/base_scores_fuzz.c — any bytes at all as the scores of a base model: opened, and every record compared with. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "coordinator/quality/base_scores.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#define VOCAB 5

static bool look(const uint8_t *bytes, size_t n)
{
    static const float scores[VOCAB] = {0, 1, -3, 2, 0.5f};
    struct base_scores b;
    struct err why = {0};
    char path[64];
    const int fd = memfd_create("base", MFD_CLOEXEC);
    if (fd < 0) return false;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const bool is = pwrite(fd, bytes, n, 0) == (ssize_t)n && !base_scores_open(&b, path, VOCAB, &why);
    double sum = 0;
    for (size_t i = 0, judged = 0; is && i < windows_count(&b.text); i++) {
        uint32_t *ids = malloc(b.text.context * sizeof *ids);
        if (!ids) break;
        const struct window w = windows_at(&b.text, i, ids);
        for (uint32_t k = w.n - w.judged; k < w.n; k++) sum += base_scores_compare(base_scores_record(&b, judged++), scores, VOCAB, ids[k]).kl;
        free(ids);
    }
    if (!is && !why.text[0]) abort();
    base_scores_close(&b);
    close(fd);
    return is && sum == sum + 0 * (sum != sum); /* whatever it is, it was added up */
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    look(bytes, n);
    return 0;
}
