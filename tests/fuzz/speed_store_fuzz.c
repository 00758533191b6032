/* tests/fuzz/speed_store_fuzz.c — any bytes at all as what is known of a worker's speed. */
#include "coordinator/cluster/speed_store.h"

#include "base/log.h"
#include "tests/support/folder.h"

#include <glob.h>
#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#define NOW 1700000000u

static const struct speed_place place = {"tcp://attic:7001", 2, 77};

static struct folder kept;

static void remove_folder(void)
{
    folder_end(&kept);
}

/* Where the store keeps it: that is found out by keeping something. */
static const char *its_file(void)
{
    static char path[300];
    glob_t found;
    if (path[0]) return path;
    kept = folder_in_memory();
    atexit(remove_folder);
    setenv("XDG_CACHE_HOME", kept.path, 1);
    speed_store_keep(&(struct known_speed){.at = NOW}, &place);
    snprintf(path, sizeof path, "%s/*/*.speed", kept.path);
    if (glob(path, 0, NULL, &found) || found.gl_pathc != 1) abort();
    snprintf(path, sizeof path, "%s", found.gl_pathv[0]);
    globfree(&found);
    return path;
}

/* What is taken can be computed with: curves ascend, times are times. */
static void check_curve(const struct curve *c)
{
    if (c->n > CURVE_POINTS) abort();
    for (uint32_t i = 0; i < c->n; i++)
        if (!isfinite(c->rows[i]) || !(c->seconds[i] >= 0) || !isfinite(c->seconds[i]) || (i && c->rows[i] <= c->rows[i - 1])) abort();
}

static bool look(const uint8_t *bytes, size_t n)
{
    struct known_speed k;
    log_open("fuzz", LOG_ERROR);
    FILE *f = fopen(its_file(), "wb");
    if (!f || fwrite(bytes, 1, n, f) != n || fclose(f)) abort();
    if (!speed_store_find(&k, &place, NOW)) return false;
    check_curve(&k.speed.local);
    check_curve(&k.speed.head_part);
    if (!k.speed.local.n || !isfinite(k.speed.key) || !isfinite(k.speed.to.delay) || strnlen(k.of.host, WIRE_TEXT) == WIRE_TEXT) abort();
    speed_store_keep(&k, &place);
    if (!speed_store_find(&k, &place, NOW)) abort(); /* what was understood is understood again */
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    look(bytes, n);
    return 0;
}
