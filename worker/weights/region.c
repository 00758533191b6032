/* worker/weights/region.c — see region.h. */
#define _GNU_SOURCE
#include "worker/weights/region.h"

#include "base/threads.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE (2ull << 20)   /* of a large page, where it matters */
#define DRAWN (64ull << 10) /* bytes; then they come again */

/* The map of the process's memory is locked while a piece is found: the thread that answers pings may want memory meanwhile, and where
 * the host has to find it first that took seconds (docs/SPEED.md 12). A multiple of every page size in use. */
#define PIECE HUGE

/* Writes to every page, by the kernel's own loop where it has one (Linux 5.14). Returns errno. */
static int touch_piece(uint8_t *at, uint64_t bytes)
{
#ifdef MADV_POPULATE_WRITE
    if (madvise(at, bytes, MADV_POPULATE_WRITE) == 0) return 0;
    if (errno == ENOMEM || errno == EFAULT) return errno;
#endif
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    for (uint64_t i = 0; i < bytes; i += page) ((volatile uint8_t *)at)[i] = 0;
    return 0;
}

static int touch(const struct region *r, int threads, const char *what, struct err *why)
{
    int code = 0;
#pragma omp parallel for schedule(dynamic) num_threads(threads) reduction(max : code)
    for (uint64_t from = 0; from < r->bytes; from += PIECE) {
        int failed = touch_piece(r->at + from, r->bytes - from < PIECE ? r->bytes - from : PIECE);
        code = failed > code ? failed : code;
    }
    if (code == 0) return 0;
    errno = code;
    return fail_errno(why, E_MEMORY, "the machine has no %llu bytes for %s", (unsigned long long)r->bytes, what);
}

static uint64_t page(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t whole_pages(uint64_t bytes)
{
    return (bytes + page() - 1) / page() * page();
}

/* From a multiple of HUGE on where that matters, so that as many large pages fit in as can. NULL if it cannot be had. */
static uint8_t *take(uint64_t bytes)
{
    const uint64_t more = bytes >= HUGE ? HUGE : 0;
    uint8_t *at = mmap(NULL, bytes + more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return NULL;
    const uint64_t before = more ? (HUGE - (uintptr_t)at % HUGE) % HUGE : 0;
    if (before) munmap(at, before);
    if (more > before) munmap(at + before + bytes, more - before);
    (void)madvise(at + before, bytes, MADV_HUGEPAGE); /* a kernel without them is fine too */
    return at + before;
}

int regions_open(struct region *r, uint32_t n, const uint64_t *bytes, const char *what, int threads, struct err *why)
{
    const uint64_t most = memory_allowed();
    uint64_t sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        r[i] = (struct region){0};
        sum = bytes[i] > most || sum > most ? UINT64_MAX : sum + whole_pages(bytes[i]);
    }
    if (sum == 0) return 0;
    if (sum > most)
        return fail(why, E_MEMORY, "this stage needs %llu bytes for %s; the machine gives this process %llu in all",
                    (unsigned long long)(n == 1 ? *bytes : sum), what, (unsigned long long)most);
    struct region all = {take(sum), sum};
    if (!all.at) return fail_errno(why, E_MEMORY, "the machine refuses %llu bytes for %s", (unsigned long long)sum, what);
    const int code = touch(&all, threads, what, why);
    if (code) return region_close(&all), code;
    uint8_t *at = all.at;
    for (uint32_t i = 0; i < n; at += whole_pages(bytes[i++]))
        if (bytes[i]) r[i] = (struct region){at, bytes[i]};
    return 0;
}

int region_open(struct region *r, uint64_t bytes, const char *what, int threads, struct err *why)
{
    return regions_open(r, 1, &bytes, what, threads, why);
}

void region_close(struct region *r)
{
    if (r->at) munmap(r->at, whole_pages(r->bytes));
    *r = (struct region){0};
}

/* Of each 16 bits those that say how large the number is are set: 2^-11 to 2^-7 in an f16, 2^-7 to 2 in the others. */
void numbers_draw(uint8_t *at, uint64_t bytes, bool wide)
{
    const uint64_t free = wide ? 0x83ff83ff83ff83ffull : 0x8fff8fff8fff8fffull, set = wide ? 0x3c003c003c003c00ull : 0x1000100010001000ull;
    uint64_t x = 0x9e3779b97f4a7c15ull;
    for (uint64_t i = 0; i < bytes && i < DRAWN; i += sizeof x) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        const uint64_t numbers = (x & free) | set;
        memcpy(at + i, &numbers, sizeof numbers);
    }
    for (uint64_t i = DRAWN; i < bytes; i += DRAWN) memcpy(at + i, at, bytes - i < DRAWN ? bytes - i : DRAWN);
}
