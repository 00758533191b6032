/* tests/support/check.c — runs the claims of one test program.   PROGRAM [WORD…]: only claims whose name holds a word */
#include "tests/support/check.h"

#include "base/clock.h"

#include <stdarg.h>

static struct test *first, **last = &first;
static int failures;
static char skipped[200];

void test_register(struct test *t)
{
    *last = t;
    last = &t->next;
}

void check_failed(const char *file, int line, const char *what, const char *format, ...)
{
    if (failures++ >= 5) return; /* five lines are enough to see what is wrong */
    printf("  %s:%d: %s", file, line, what);
    if (format[1]) {
        printf(":");
        va_list args;
        va_start(args, format);
        vprintf(format, args);
        va_end(args);
    }
    printf("\n");
}

void test_skip(const char *reason)
{
    snprintf(skipped, sizeof skipped, "%s", reason);
}

static bool wanted(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strstr(name, argv[i])) return true;
    return argc <= 1;
}

int main(int argc, char **argv)
{
    int failed = 0;
    setvbuf(stdout, 0, _IOLBF, 0);
    for (struct test *t = first; t; t = t->next) {
        if (!wanted(t->name, argc, argv)) continue;
        failures = 0;
        skipped[0] = 0;
        uint64_t start = clock_ns();
        t->run();
        double ms = (double)(clock_ns() - start) / 1e6;
        if (failures) failed++, printf("FAIL %s (%d checks)\n", t->name, failures);
        else if (skipped[0]) printf("skip %s: %s\n", t->name, skipped);
        else printf("ok %s (%.0f ms)\n", t->name, ms);
    }
    return failed ? 1 : 0;
}
