/* partition/make/quantize_report.h — what a conversion did, in a few lines or in a table. */
#ifndef PARTITION_MAKE_QUANTIZE_REPORT_H
#define PARTITION_MAKE_QUANTIZE_REPORT_H

#include "partition/make/convert.h"

#include <stdio.h>

/* A line per tensor if errors were measured, then one per pair of formats, then the sum. */
void quantize_report(FILE *to, const char *path, const struct convert *done, double seconds);

#endif
