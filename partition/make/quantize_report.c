/* partition/make/quantize_report.c — see quantize_report.h. */
#include "partition/make/quantize_report.h"

#include "base/size_text.h"
#include "base/threads.h"
#include "partition/format/blocks.h"

#include <math.h>

struct sum {
    size_t tensors;
    uint64_t from, to;
    struct conversion_error error;
};

/* Root mean square of what the values are off, relative to that of the values: 0.07 of Q4_0 is usual. */
static void print_error(FILE *to, const struct conversion_error *e)
{
    fprintf(to, "  %8.5f", e->signal > 0 ? sqrt(e->noise / e->signal) : 0);
}

static void add(struct sum *s, const struct convert *done, size_t i)
{
    s->tensors++;
    s->from += conversion_bytes_from(&done->list[i]);
    s->to += conversion_bytes(&done->list[i]);
    if (!done->error) return;
    s->error.signal += done->error[i].signal;
    s->error.noise += done->error[i].noise;
}

static void print_tensors(FILE *to, const struct convert *done)
{
    fprintf(to, "%-36s %-5s %-5s %16s %14s  %8s\n", "tensor", "from", "to", "bytes before", "after", "error");
    for (size_t i = 0; i < done->count; i++) {
        const struct conversion *c = &done->list[i];
        fprintf(to, "%-36s %-5s %-5s %16llu %14llu", c->name, block_info(c->from_type)->name, block_info(c->type)->name,
                (unsigned long long)conversion_bytes_from(c), (unsigned long long)conversion_bytes(c));
        print_error(to, &done->error[i]);
        fputc('\n', to);
    }
}

static void print_pair(FILE *to, const struct convert *done, uint32_t from, uint32_t type)
{
    struct sum s = {0};
    char before[24], after[24], tensors[32];
    for (size_t i = 0; i < done->count; i++)
        if (done->list[i].from_type == from && done->list[i].type == type) add(&s, done, i);
    if (!s.tensors) return;
    snprintf(tensors, sizeof tensors, "%zu tensor%s", s.tensors, s.tensors == 1 ? "" : "s");
    fprintf(to, "%-36s %-5s %-5s %16s %14s", tensors, block_info(from)->name, block_info(type)->name,
            show_bytes(before, s.from), show_bytes(after, s.to));
    if (done->error) print_error(to, &s.error);
    fputc('\n', to);
}

void quantize_report(FILE *to, const char *path, const struct convert *done, double seconds)
{
    struct sum all = {0};
    char before[24], after[24], rate[24], memory[24];
    if (done->error) print_tensors(to, done);
    for (uint32_t from = 0; from < 64; from++)
        for (uint32_t type = 0; type < 64; type++)
            if (block_info(from) && block_info(type)) print_pair(to, done, from, type);
    for (size_t i = 0; i < done->count; i++) add(&all, done, i);
    fprintf(to, "%s: %s from %s in %.1f s (%s/s read), at most %s of memory\n", path, show_bytes(after, all.to),
            show_bytes(before, all.from), seconds,
            show_bytes(rate, seconds > 0 ? (uint64_t)((double)all.from / seconds) : all.from),
            show_bytes(memory, peak_resident_bytes()));
}
