/* base/cores.h — which cores threads are bound to, where that is asked for.
 *
 * Threads with neighbouring numbers get cores of one memory node, and no two threads share a core while a whole one is
 * free. */
#pragma once

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

/* The CPUs of `of` in the order in which `threads` threads, those of all workers of this machine together, should take them:
 * node by node, within a node by number. If there are enough whole cores, only the first hardware thread of each is in the
 * list; if not, the hardware threads of a core stand side by side. `sys` is the folder where the system describes itself,
 * CORES_SYS outside tests; where it says nothing, all CPUs count as whole cores of one node. */
void cores_in_order(struct cores *out, const struct cores *of, int threads, const char *sys);

/* The same of the CPUs the calling thread may run on. */
void cores_for(struct cores *out, int threads);

/* n CPUs of the list from place `first` on, going round at its end; fewer if it has fewer, none twice. */
struct cores cores_from(const struct cores *of, int first, int n);

/* "0-3,8,10" in that order. E_USAGE if it is not such a list, names a CPU twice, or one the caller may not run on. */
int cores_read(struct cores *out, const char *text, struct err *why);

/* The same text without ranges. */
#define CORES_TEXT (CORES_MOST * 6)
const char *cores_text(const struct cores *of, char text[CORES_TEXT]);

/* From now on the calling thread runs on these only, and so do threads it starts. Memory they touch first is then near. */
void cores_keep_to(const struct cores *of);

/* Binds each of the `threads` OpenMP threads of the calling thread to one CPU of the list, going round at its end. Later
 * teams of that size are made of the same threads, so this holds for them too. */
void cores_bind_team(const struct cores *of, int threads);
