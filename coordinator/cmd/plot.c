/* coordinator/cmd/plot.c — see plot.h.
 *
 * Upright marks stand at the numbers that were measured, and not at round ones: who swept 1, 2, 4 wants to read off 4. Lines are told
 * apart by colour and by dashes, so that a print without colours can be read too. */
#include "coordinator/cmd/plot.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#define WIDTH 880
#define HEIGHT 520
#define LEFT 74
#define RIGHT 650 /* what is behind it names the lines */
#define TOP 56
#define BOTTOM 452
#define COLOURS 6
#define MARKS_APART 34 /* closer ones would be written over each other */
#define NAMES_APART 20

static const char *const dashes[] = {"none", "9 4", "2 4", "9 4 2 4"};

static const char style[] =
    "<style>"
    "svg{--paper:#fff;--ink:#24292f;--faint:#d8dee4;--c0:#0969da;--c1:#bc4c00;--c2:#1a7f37;--c3:#8250df;--c4:#9a6700;--c5:#bf3989}"
    "@media(prefers-color-scheme:dark){svg{--paper:#0d1117;--ink:#e6edf3;--faint:#30363d;--c0:#58a6ff;--c1:#f0883e;--c2:#3fb950;"
    "--c3:#bc8cff;--c4:#d29922;--c5:#f778ba}}"
    "text{fill:var(--ink);font:13px system-ui,sans-serif}.title{font-size:16px;font-weight:600}.paper{fill:var(--paper)}"
    ".grid{stroke:var(--faint)}.axis{stroke:var(--ink)}polyline{fill:none;stroke-width:2}"
    "</style>\n";

/* What could end a text, or is no character of XML, does not get into one. */
static void put_text(FILE *to, const char *text)
{
    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c == '<') fputs("&lt;", to);
        else if (c == '>') fputs("&gt;", to);
        else if (c == '&') fputs("&amp;", to);
        else if (c == '"') fputs("&quot;", to);
        else fputc(c < ' ' || c > '~' ? '?' : c, to);
    }
}

/* ---- scales ---- */

struct scale {
    double least, most; /* of x */
    bool doublings;
    double top, step; /* of y, which begins at 0 */
};

static double place(const struct scale *s, double x)
{
    const double from = s->doublings ? log2(s->least) : s->least, to = s->doublings ? log2(s->most) : s->most;
    const double at = s->doublings ? log2(x) : x;
    return to > from ? LEFT + 20 + (at - from) / (to - from) * (RIGHT - LEFT - 40) : (LEFT + RIGHT) / 2.0;
}

static double height(const struct scale *s, double y)
{
    return BOTTOM - y / s->top * (BOTTOM - TOP);
}

/* The least of 1, 2, 5, 10, 20, … that cuts `most` into eight parts or fewer. */
static double round_step(double most)
{
    double step = pow(10, floor(log10(most / 8)));
    for (int i = 0; most / step > 8; i++) step *= i % 3 == 1 ? 2.5 : 2;
    return step;
}

static struct scale scale_of(const struct plot *p)
{
    struct scale s = {.least = INFINITY, .most = -INFINITY};
    double most = 0;
    for (uint32_t i = 0; i < p->n; i++)
        for (uint32_t k = 0; k < p->line[i].n; k++) {
            const struct plot_point *q = &p->line[i].point[k];
            s.least = fmin(s.least, q->x);
            s.most = fmax(s.most, q->x);
            most = fmax(most, q->y);
        }
    s.doublings = s.least > 0 && s.most / s.least >= 4;
    s.step = round_step(most > 0 ? most : 1);
    s.top = s.step * ceil((most > 0 ? most : 1) * 1.02 / s.step);
    return s;
}

/* ---- what is drawn ---- */

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void put_marks_of_x(FILE *to, const struct plot *p, const struct scale *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n; i++) n += p->line[i].n;
    double *x = malloc((n + 1) * sizeof *x), last = -INFINITY;
    if (!x) return;
    n = 0;
    for (uint32_t i = 0; i < p->n; i++)
        for (uint32_t k = 0; k < p->line[i].n; k++) x[n++] = p->line[i].point[k].x;
    qsort(x, n, sizeof *x, by_size);
    for (uint32_t i = 0; i < n; i++) {
        const double at = place(s, x[i]);
        if (at - last < MARKS_APART) continue;
        last = at;
        fprintf(to, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", at, at, TOP, BOTTOM);
        fprintf(to, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%g</text>\n", at, BOTTOM + 20, x[i]);
    }
    free(x);
}

static void put_axes(FILE *to, const struct plot *p, const struct scale *s)
{
    for (double y = 0; y < s->top * 1.001; y += s->step) {
        const double at = height(s, y);
        fprintf(to, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", LEFT, RIGHT, at, at);
        fprintf(to, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n", LEFT - 8, at + 4, y);
    }
    put_marks_of_x(to, p, s);
    fprintf(to, "<line class=\"axis\" x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>", LEFT, RIGHT, BOTTOM, BOTTOM);
    fprintf(to, "<line class=\"axis\" x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>\n", LEFT, LEFT, TOP, BOTTOM);
    fprintf(to, "<text class=\"title\" x=\"%d\" y=\"28\">", LEFT);
    put_text(to, p->title);
    fprintf(to, "</text>\n<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">", (LEFT + RIGHT) / 2, BOTTOM + 46);
    put_text(to, p->x);
    fprintf(to, "</text>\n<text transform=\"translate(22 %d) rotate(-90)\" text-anchor=\"middle\">", (TOP + BOTTOM) / 2);
    put_text(to, p->y);
    fputs("</text>\n", to);
}

static void put_line(FILE *to, const struct plot *p, uint32_t number, const struct scale *s)
{
    const struct plot_line *l = &p->line[number];
    const uint32_t colour = number % COLOURS;
    fprintf(to, "<g stroke=\"var(--c%u)\" fill=\"var(--c%u)\"><polyline stroke-dasharray=\"%s\" points=\"", colour, colour,
            dashes[number % (sizeof dashes / sizeof *dashes)]);
    for (uint32_t i = 0; i < l->n; i++) fprintf(to, "%s%.1f,%.1f", i ? " " : "", place(s, l->point[i].x), height(s, l->point[i].y));
    fputs("\"/>\n", to);
    for (uint32_t i = 0; i < l->n; i++) {
        fprintf(to, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\"><title>", place(s, l->point[i].x), height(s, l->point[i].y));
        put_text(to, l->name);
        fputs(*l->name ? "; " : "", to);
        put_text(to, p->x);
        fprintf(to, " %g: %.4g</title></circle>\n", l->point[i].x, l->point[i].y);
    }
    fputs("</g>\n", to);
}

static void put_name(FILE *to, const struct plot_line *l, uint32_t number)
{
    const double y = TOP + 12 + (double)number * NAMES_APART;
    fprintf(to, "<polyline stroke=\"var(--c%u)\" stroke-dasharray=\"%s\" points=\"%d,%.0f %d,%.0f\"/>", number % COLOURS,
            dashes[number % (sizeof dashes / sizeof *dashes)], RIGHT + 14, y, RIGHT + 44, y);
    fprintf(to, "<text x=\"%d\" y=\"%.0f\">", RIGHT + 52, y + 4);
    put_text(to, l->name);
    fputs("</text>\n", to);
}

void plot_write(FILE *to, const struct plot *p)
{
    const struct scale s = scale_of(p);
    const uint32_t names = TOP + 24 + p->n * NAMES_APART, tall = names > HEIGHT ? names : HEIGHT;
    fprintf(to, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %u\" width=\"%d\" height=\"%u\">\n", WIDTH, tall, WIDTH, tall);
    fprintf(to, "%s<rect class=\"paper\" width=\"%d\" height=\"%u\"/>\n", style, WIDTH, tall);
    if (s.most >= s.least) put_axes(to, p, &s);
    for (uint32_t i = 0; i < p->n; i++) put_line(to, p, i, &s);
    for (uint32_t i = 0; i < p->n; i++)
        if (*p->line[i].name) put_name(to, &p->line[i], i);
    fputs("</svg>\n", to);
}
