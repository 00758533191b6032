/* base/read_to_end.h — all bytes of what a person named: a file, stdin, or a descriptor that was given to the process, /dev/fd/N.
 * Other pipes and devices are refused by what they are. */
#pragma once

#include "base/error.h"

#include <stddef.h>

/* `path` "-" is stdin. *out, the caller's to free, has *n bytes and a 0 behind them. E_FILE if there are more than `most`,
 * E_INTERRUPTED if Ctrl-C came before the end. */
int read_to_end(const char *path, size_t most, char **out, size_t *n, struct err *why);
