/* coordinator/report/chart_svg.c — see chart_svg.h. */
#include "coordinator/report/chart_svg.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define LEFT 210.0   /* room for the names of the stages */
#define WIDE 1000.0  /* of the time */
#define RIGHT 190.0  /* room for the sums */
#define LANE 26.0    /* height of a stage */
#define STEP 34.0    /* from one to the next */
#define HEAD 50.0    /* above the first stage of a chart: its title */
#define FOOT 34.0    /* below the last: the scale */
#define LEGEND 62.0
#define MARGIN 12.0
#define HUES 12
#define JOINED 0.5   /* pixels: a bar that is narrower is joined to what is next to it */
#define SLICED 4.0   /* pixels: a bar that is wider shows its asks one above the other */

static const char *const kind_name[BAR_KINDS] = {"prompt", "answers", "prompt and answers", "computed again", "scores", "picture"};
static const char *const kind_class[BAR_KINDS] = {"p", "a", "b", "r", "s", "v"};
static const char *const wait_name[WAITS] = {"nothing to do", "waits for a stage before", "on the way"};
static const char *const wait_class[WAITS] = {"n", "u", "w"};

/* Of the height of a stage, so that kinds can be told apart without colours. */
static const double tall[BAR_KINDS] = {1, 0.62, 0.82, 1, 0.36, 1};

struct sheet {
    FILE *to;
    double top;            /* of the chart that is drawn */
    uint64_t begin_ns;
    double pixels;         /* of a nanosecond */
};

static void text(FILE *to, const char *s)
{
    for (; *s; s++) switch (*s) {
        case '&': fputs("&amp;", to); break;
        case '<': fputs("&lt;", to); break;
        case '>': fputs("&gt;", to); break;
        default: fputc((unsigned char)*s < ' ' ? ' ' : *s, to);
        }
}

static double across(const struct sheet *s, uint64_t ns)
{
    return LEFT + (double)(int64_t)(ns - s->begin_ns) * s->pixels;
}

/* ---- what is the same for all ---- */

static void print_style(FILE *to)
{
    fprintf(to, "<style>\n"
                "svg{--paper:#fff;--ink:#1c2430;--faint:#5d6775;--line:#d5dae1;--n:#f1f3f5;--u:#f1e3c2;--w:#f3cfcf;background:var(--paper)}\n"
                "text{font:12px system-ui,sans-serif;fill:var(--ink)}.t{font-size:15px;font-weight:600}.f{fill:var(--faint)}\n"
                ".g{stroke:var(--line);stroke-width:1}.m{stroke:#d0342c;stroke-width:1.5;stroke-dasharray:4 3}\n"
                ".n{fill:var(--n)}.u{fill:var(--u)}.w{fill:var(--w)}.k{fill:#8a93a0}\n"
                ".a{opacity:.8}.o{fill:url(#again)}.x{fill:url(#seen)}\n");
    for (int i = 0; i < HUES; i++) fprintf(to, ".h%d{fill:hsl(%d 58%% 50%%)}", i, (i * 150 + 210) % 360);
    fprintf(to, "\n@media(prefers-color-scheme:dark){svg{--paper:#12161c;--ink:#e4e8ee;--faint:#98a2b0;--line:#2c343f;--n:#1b2129;--u:#423718;"
                "--w:#4d2626}}\n</style>\n"
                "<defs><pattern id=\"again\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">"
                "<rect width=\"2.5\" height=\"6\" fill=\"#d0342c\"/></pattern>"
                "<pattern id=\"seen\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\">"
                "<circle cx=\"2.5\" cy=\"2.5\" r=\"1.2\" fill=\"#fff\"/></pattern></defs>\n");
}

static void print_legend(FILE *to, double y)
{
    double x = LEFT;
    for (int k = 0; k < BAR_KINDS; k++) {
        const double h = 14 * tall[k];
        fprintf(to, "<rect class=\"h0 %s\" x=\"%.0f\" y=\"%.1f\" width=\"20\" height=\"%.1f\"/>", kind_class[k], x, y + (14 - h) / 2, h);
        if (k == BAR_REPLAY || k == BAR_PICTURE)
            fprintf(to, "<rect class=\"%s\" x=\"%.0f\" y=\"%.1f\" width=\"20\" height=\"14\"/>", k == BAR_REPLAY ? "o" : "x", x, y);
        fprintf(to, "<text x=\"%.0f\" y=\"%.1f\">%s</text>\n", x + 26, y + 11, kind_name[k]);
        x += 42 + 7.2 * (double)strlen(kind_name[k]);
    }
    x = LEFT;
    for (int w = 0; w < WAITS; w++) {
        fprintf(to, "<rect class=\"%s\" x=\"%.0f\" y=\"%.1f\" width=\"20\" height=\"14\"/><text x=\"%.0f\" y=\"%.1f\">%s</text>\n", wait_class[w],
                x, y + 24, x + 26, y + 35, wait_name[w]);
        x += 42 + 7.2 * (double)strlen(wait_name[w]);
    }
    fprintf(to, "<text class=\"f\" x=\"%.0f\" y=\"%.1f\">a colour for each ask; grey: more than %d at once</text>\n", x, y + 35, BAR_ASKS);
}

/* ---- a chart ---- */

/* 1, 2 or 5 times a power of ten, so that there are about ten of them. */
static double tick_seconds(double all)
{
    const double rough = all > 0 ? all / 10 : 1, ten = pow(10, floor(log10(rough))), rest = rough / ten;
    return ten * (rest > 5 ? 10 : rest > 2 ? 5 : rest > 1 ? 2 : 1);
}

static void print_scale(const struct sheet *s, double seconds, double bottom)
{
    const double tick = tick_seconds(seconds);
    const bool ms = tick < 1;
    for (double t = 0; t <= seconds * 1.0001; t += tick) {
        const double x = LEFT + t * 1e9 * s->pixels;
        fprintf(s->to, "<line class=\"g\" x1=\"%.2f\" y1=\"%.1f\" x2=\"%.2f\" y2=\"%.1f\"/>"
                       "<text class=\"f\" x=\"%.2f\" y=\"%.1f\" text-anchor=\"middle\">%g%s</text>\n",
                x, s->top + HEAD - 6, x, bottom + 4, x, bottom + 18, ms ? round(t * 1e6) / 1e3 : round(t * 1e3) / 1e3, ms ? " ms" : " s");
    }
}

static double lane_top(const struct sheet *s, int lane)
{
    return s->top + HEAD + STEP * lane;
}

static void print_lane(const struct sheet *s, const struct chart *c, int lane)
{
    const struct lane *l = &c->lane[lane];
    const double y = lane_top(s, lane);
    fprintf(s->to, "<text x=\"%.0f\" y=\"%.1f\">", MARGIN, y + 11);
    text(s->to, l->label);
    fprintf(s->to, "</text><text class=\"f\" x=\"%.0f\" y=\"%.1f\">", MARGIN, y + 24);
    text(s->to, l->detail);
    fprintf(s->to, "</text><text x=\"%.0f\" y=\"%.1f\">busy %.0f %%, bubble %.0f %%</text>"
                   "<text class=\"f\" x=\"%.0f\" y=\"%.1f\">%.0f idle, %.0f stages, %.0f way</text>\n",
            LEFT + WIDE + 10, y + 11, 100 * l->busy, 100 * (1 - l->busy), LEFT + WIDE + 10, y + 24, 100 * l->wait[WAIT_NOTHING],
            100 * l->wait[WAIT_STAGE], 100 * l->wait[WAIT_WIRE]);
}

static void print_gap(const struct sheet *s, const struct gap *g)
{
    const double x = across(s, g->begin_ns), w = across(s, g->end_ns) - x;
    if (w < JOINED / 2) return;
    fprintf(s->to, "<rect class=\"%s\" x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.0f\"/>\n", wait_class[g->what], x, lane_top(s, g->lane), w,
            LANE);
}

static void print_bar(const struct sheet *s, const struct bar *b)
{
    const double x = across(s, b->begin_ns), w = fmax(across(s, b->end_ns) - x, JOINED);
    const double h = LANE * tall[b->kind], y = lane_top(s, b->lane) + (LANE - h) / 2;
    const uint32_t slices = b->asks > BAR_ASKS || !b->asks ? 0 : w >= SLICED ? b->asks : 1;
    fprintf(s->to, "<g class=\"%s\"><title>%s %s%" PRIu64 ": %u %s, %u %s, %.3f ms</title>", kind_class[b->kind], kind_name[b->kind],
            b->kind == BAR_PICTURE ? "" : "in micro-batch ", b->number, b->rows, b->kind == BAR_PICTURE ? "layers" : "rows", b->asks,
            b->asks == 1 ? "ask" : "asks", (double)(b->end_ns - b->begin_ns) / 1e6);
    for (uint32_t i = 0; i < slices; i++)
        fprintf(s->to, "<rect class=\"h%d\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"/>", (int)(b->ask[i] % HUES), x, y + h * i / slices, w,
                h / slices);
    if (!slices) fprintf(s->to, "<rect class=\"k\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"/>", x, y, w, h);
    if (b->kind == BAR_REPLAY || b->kind == BAR_PICTURE)
        fprintf(s->to, "<rect class=\"%s\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"/>", b->kind == BAR_REPLAY ? "o" : "x", x, y, w, h);
    fputs("</g>\n", s->to);
}

/* Bars of one stage are in order. The joined one is of the longest one's kind. */
static void print_bars(const struct sheet *s, const struct chart *c)
{
    struct bar open = {.lane = -1};
    uint64_t longest = 0;
    for (size_t i = 0; i < c->n; i++) {
        const struct bar *b = &c->bar[i];
        const uint64_t lasts = b->end_ns - b->begin_ns;
        const bool narrow = open.lane == b->lane && across(s, b->end_ns) - across(s, open.begin_ns) < JOINED;
        if (!narrow && open.lane >= 0) print_bar(s, &open);
        const uint64_t begin = narrow ? open.begin_ns : b->begin_ns;
        if (!narrow || lasts > longest) open = *b, longest = lasts;
        open.begin_ns = begin;
        open.end_ns = b->end_ns;
    }
    if (open.lane >= 0) print_bar(s, &open);
}

static double height_of(const struct chart *c)
{
    return HEAD + STEP * c->lanes + FOOT;
}

static void print_chart(const struct sheet *s, const struct chart *c)
{
    const double bottom = lane_top(s, c->lanes) - (STEP - LANE);
    fprintf(s->to, "<text class=\"t\" x=\"%.0f\" y=\"%.1f\">", MARGIN, s->top + 18);
    text(s->to, c->title);
    fprintf(s->to, "</text><text class=\"f\" x=\"%.0f\" y=\"%.1f\">", MARGIN, s->top + 35);
    text(s->to, c->detail);
    fputs("</text>\n", s->to);
    print_scale(s, (double)(c->end_ns - c->begin_ns) / 1e9, bottom);
    for (size_t i = 0; i < c->gaps; i++) print_gap(s, &c->gap[i]);
    print_bars(s, c);
    for (int i = 0; i < c->lanes; i++) print_lane(s, c, i);
    for (size_t i = 0; i < c->marks; i++) {
        const double x = across(s, c->mark[i]);
        if (x >= LEFT && x <= LEFT + WIDE)
            fprintf(s->to, "<line class=\"m\" x1=\"%.2f\" y1=\"%.1f\" x2=\"%.2f\" y2=\"%.1f\"><title>all began again</title></line>\n", x,
                    s->top + HEAD - 6, x, bottom + 4);
    }
}

void charts_print(FILE *to, const struct chart *const *charts, int n)
{
    double high = 2 * MARGIN + LEGEND, longest = 1;
    for (int i = 0; i < n; i++) {
        high += height_of(charts[i]);
        longest = fmax(longest, (double)(charts[i]->end_ns - charts[i]->begin_ns));
    }
    const double wide = LEFT + WIDE + RIGHT;
    fprintf(to, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\" role=\"img\">\n<title>", wide, high,
            wide, high);
    text(to, n ? charts[0]->title : "");
    fputs("</title>\n", to);
    print_style(to);
    struct sheet s = {.to = to, .top = MARGIN, .pixels = WIDE / longest};
    for (int i = 0; i < n; i++) {
        s.begin_ns = charts[i]->begin_ns;
        print_chart(&s, charts[i]);
        s.top += height_of(charts[i]);
    }
    print_legend(to, s.top + 6);
    fputs("</svg>\n", to);
}
