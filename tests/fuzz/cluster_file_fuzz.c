/* tests/fuzz/cluster_file_fuzz.c — any bytes at all as a cluster file. */
#include "coordinator/cluster/cluster_file.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* What was read is within the limits that others build tables by. */
static bool look(const uint8_t *bytes, size_t n)
{
    struct cluster *c = malloc(sizeof *c);
    if (!c) return false;
    const bool taken = !cluster_parse(c, (const char *)bytes, n, "cluster.json", NULL);
    uint32_t parts = 0;
    if (taken && (c->workers < 1 || c->workers > WORKERS_MOST)) abort();
    for (int i = 0; taken && i < c->workers; i++) {
        const size_t address = strnlen(c->addresses[i], CLUSTER_ADDRESS), name = strnlen(c->offers[i].name, sizeof c->offers[i].name);
        if (!address || address == CLUSTER_ADDRESS || !name || name == sizeof c->offers[i].name) abort();
        if (c->offers[i].threads < 0 || c->offers[i].threads > THREADS_MOST) abort();
        parts += c->cuts[i].parts;
    }
    if (taken && c->by_hand && parts != HEAD_PARTS) abort();
    free(c);
    return taken;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    look(bytes, n);
    return 0;
}
