/* base/cores.h — which cores threads are bound to, where that is asked for: neighbours share a memory node, and nobody
 * shares a core with another thread while a whole one is free. */
#ifndef BASE_CORES_H
#define BASE_CORES_H

#include "base/error.h"

#include <stdint.h>

#define CORES_MOST 1024

/* Logical CPUs by the system's numbers, in an order that means something. n 0: none, nobody is bound. */
struct cores {
    int n;
    uint16_t id[CORES_MOST];
};

/* Those the calling thread may run on, ascending. */
void cores_mine(struct cores *out);

#define CORES_SYS "/sys/devices/system"

/* The same ones in the order in which so many threads (of all workers here together) should take them: node by node, and within
 * one by number. If there are enough whole cores the further threads of each core are left out; if not, the threads of a core stand
 * side by side. `sys` is where the system describes itself, CORES_SYS; what it does not say counts as one node of whole
 * cores. */
void cores_in_order(struct cores *out, const struct cores *of, int threads, const char *sys);

/* The caller's own, in the order for so many threads. */
void cores_for(struct cores *out, int threads);

/* Number first and the n - 1 behind it, from the start again after the last; none twice. */
struct cores cores_from(const struct cores *of, int first, int n);

/* "0-3,8,10": in that order. E_USAGE if it is no such list, names one twice, or one the caller may not run on. */
int cores_read(struct cores *out, const char *text, struct err *why);

/* The same text without ranges. */
#define CORES_TEXT (CORES_MOST * 6)
const char *cores_text(const struct cores *of, char text[CORES_TEXT]);

/* From now on the calling thread runs on these only, and so do threads it starts: pages they touch first lie near. */
void cores_keep_to(const struct cores *of);

/* Binds each thread of the calling thread's team of so many to one of them, from the start again after the last. Later teams of
 * that size are the same threads. */
void cores_bind_team(const struct cores *of, int threads);

#endif
