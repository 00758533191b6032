/* base/size_text.h — numbers of bytes as people write and read them. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

/* "1.25 GiB" into `out`; returns out. */
char *show_bytes(char out[24], uint64_t bytes);

/* Bytes, or a number with K, M, G or T, which count in 1024 however they are written on ("G", "GB", "GiB"); a fraction is
 * fine: "1.5G". E_USAGE otherwise, also for 0: to callers 0 means that nothing was said. */
int read_size(const char *text, uint64_t *bytes, struct err *why);

/* The decimal digits at *at, which then stands after them. False if there are none, or more than 64 bits hold. */
bool read_digits(const char **at, uint64_t *out);
