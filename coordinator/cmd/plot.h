/* coordinator/cmd/plot.h — lines through points as an SVG, for a page or a person with a browser. Pure: numbers in, text out.
 *
 * It carries its own background and has both a light and a dark set of colours, which the reader's system chooses between. Each point
 * is a circle that says its numbers when pointed at. */
#pragma once

#include <stdint.h>
#include <stdio.h>

struct plot_point {
    double x, y;
};

struct plot_line {
    char name[200];
    struct plot_point *point; /* [n], x ascends */
    uint32_t n;
};

struct plot {
    const char *title, *x, *y;    /* what the axes say */
    const struct plot_line *line; /* [n] */
    uint32_t n;
};

/* Horizontal places are even steps where the numbers are, else by doublings: where the largest is 4 times the least or more. */
void plot_write(FILE *to, const struct plot *p);
