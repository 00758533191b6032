/* partition/make/quantize_report.h — what a conversion did, in a few lines or in a table. */
#pragma once

#include "partition/make/convert.h"

#include <stdio.h>

/* A line per tensor if errors were measured, then one per pair of formats, then the sum. */
void quantize_report(FILE *to, const char *path, const struct convert *done, double seconds);
