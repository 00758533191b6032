/* coordinator/report/chart_svg.h — charts as one SVG, which any browser shows, by day and by night, without script or font of its own.
 *
 * Stages are rows, time runs to the right. The colour of a bar is the ask's (twelve that come round), its height and pattern what it is.
 * What is narrower than half a pixel is joined to its neighbour, so a file has at most a few thousand shapes a stage. */
#pragma once

#include "coordinator/report/chart.h"

/* One below the other, on one scale of time, that of the longest. */
void charts_print(FILE *to, const struct chart *const *charts, int n);
