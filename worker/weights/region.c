/* worker/weights/region.c — see region.h. */
#define _GNU_SOURCE
#include "worker/weights/region.h"

#include "base/threads.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#define PIECE (64ull << 20) /* a multiple of every page size in use */

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

int region_open(struct region *r, uint64_t bytes, const char *what, int threads, struct err *why)
{
    *r = (struct region){0};
    if (bytes == 0) return 0;
    if (bytes > memory_allowed())
        return fail(why, E_MEMORY, "this stage needs %llu bytes for %s; the machine gives this process %llu in all",
                    (unsigned long long)bytes, what, (unsigned long long)memory_allowed());
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return fail_errno(why, E_MEMORY, "the machine refuses %llu bytes for %s", (unsigned long long)bytes, what);
    *r = (struct region){at, bytes};
    (void)madvise(at, bytes, MADV_HUGEPAGE); /* fewer TLB misses; a kernel without them is fine too */
    return touch(r, threads, what, why);
}

void region_close(struct region *r)
{
    if (r->at) munmap(r->at, r->bytes);
    *r = (struct region){0};
}
