/* worker/encoder/vision.c — see vision.h.
 *
 * All patches of a picture see each other, so a layer has one place where everyone waits: between "keys and values of
 * all rows" and "rows that look at them". Apart from that, rows are independent, and a piece of VISION_ROWS of them goes
 * through all steps on one thread: its activations stay in that core's cache, the ffn's wide rows exist for a piece only,
 * and a layer costs two waits instead of twelve.
 *
 *   before   x piece -> norm -> q, k, v -> queries, keys, values        all pieces, then wait
 *   after    q piece -> attention -> o -> x += -> norm -> up, gelu, down -> x +=      all pieces, then wait
 *
 * Pieces are handed out one by one: cores are seldom all ours, and the slowest would set the pace. */
#include "worker/encoder/vision.h"

#include "worker/kernels/blas.h"
#include "worker/weights/region.h"
#include "worker/encoder/vision_attention.h"
#include "worker/weights/held_weights.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BEFORE, ATTENTION, AFTER, ENDS, PARTS };

#define FEW 32 /* rows a kernel likes to have at least */
_Static_assert(VISION_ROWS % SHORT_KEYS == 0, "values are rounded SHORT_KEYS at a time");

/* What one thread has for itself. */
struct hand {
    float *narrow, *wide;
    void *attend;
    float *tiles; /* float32 math's */
    void *act_memory;
    struct acts acts;
    uint64_t ns[PARTS];
    bool finite; /* of what this thread has put out */
};

struct vision_stage {
    struct vision_config config;
    struct part part;
    struct kernels kernels;
    struct part_bytes bytes;
    struct region scratch;
    struct part_weights weights;
    struct held_weights *own; /* NULL: the weights are somebody else's */
    struct weight *patch, *post; /* before and behind the layers; NULL: not here */
    uint32_t first_group;        /* of the layers */
    int threads;
    bool exact; /* float32 math */
    uint32_t piece; /* rows; values are stored VISION_ROWS at a time always */
    size_t room_each;
    float *x, *tokens;
    struct patch_attention sight;
    struct hand *hands; /* [threads] */
    const atomic_bool *stop;
    uint32_t done; /* layers the picture has behind it */
};

/* ---- steps on one piece of rows ------------------------------------------------------------------------------- */

/* y [n, ldy] = x [n, its columns] times w, on this thread. */
static void multiply(const struct vision_stage *s, struct hand *h, float *y, size_t ldy, const struct weight *w)
{
    if (s->exact) blas_matmul(y, ldy, &w->panels, &h->acts, 0, (w->panels.rows + PANEL_ROWS - 1) / PANEL_ROWS, h->tiles);
    else s->kernels.matmul_many(y, ldy, &w->panels, &h->acts);
}

/* Says what the next products multiply; quantised if one of the n_weights from w on, two apart, wants that. */
static void operand(const struct vision_stage *s, struct hand *h, const float *x, uint32_t n, uint32_t cols, size_t ldx,
                    const struct weight *w, int n_weights)
{
    bool quantise = false;
    for (int i = 0; i < n_weights; i++) quantise |= !s->exact && weight_is_integer(&w[2 * i]);
    acts_shape(&h->acts, n, cols, x, ldx);
    for (uint32_t r = 0; quantise && r < n; r++) s->kernels.quantize(&h->acts, r, x + r * ldx, 0, cols);
}

static void norm_rows(const struct vision_stage *s, float *y, const float *x, const struct weight *g, uint32_t n)
{
    const struct vision_config *c = &s->config;
    for (size_t r = 0; r < n; r++)
        s->kernels.layer_norm(y + r * c->width, x + r * c->width, g[0].floats, g[1].floats, c->width, c->norm_epsilon);
}

/* x += y + bias, row by row. */
static void add_rows(const struct vision_stage *s, float *x, const float *y, const float *bias, uint32_t n)
{
    const size_t width = s->config.width;
    for (size_t r = 0; r < n; r++) s->kernels.add(x + r * width, y + r * width, bias, width);
}

static void rows_before(const struct vision_stage *s, struct hand *h, const struct weight *w, uint32_t first,
                        uint32_t n)
{
    const uint32_t width = s->config.width;
    const size_t ld = 3 * (size_t)width;
    norm_rows(s, h->narrow, s->x + (size_t)first * width, &w[V_LN1], n);
    operand(s, h, h->narrow, n, width, width, &w[V_Q], 3);
    multiply(s, h, h->wide, ld, &w[V_Q]);
    multiply(s, h, h->wide + width, ld, &w[V_K]);
    multiply(s, h, h->wide + 2 * (size_t)width, ld, &w[V_V]);
    patch_attention_store(&s->sight, first, n, h->wide, w[V_Q_BIAS].floats, w[V_K_BIAS].floats, w[V_V_BIAS].floats);
}

static void rows_after(const struct vision_stage *s, struct hand *h, const struct weight *w, uint32_t first,
                       uint32_t n)
{
    const uint32_t width = s->config.width, ffn = s->config.ffn;
    float *x = s->x + (size_t)first * width;
    operand(s, h, h->narrow, n, width, width, &w[V_O], 1);
    multiply(s, h, h->wide, width, &w[V_O]);
    add_rows(s, x, h->wide, w[V_O_BIAS].floats, n);
    norm_rows(s, h->narrow, x, &w[V_LN2], n);
    operand(s, h, h->narrow, n, width, width, &w[V_UP], 1);
    multiply(s, h, h->wide, ffn, &w[V_UP]);
    for (size_t r = 0; r < n; r++) s->kernels.gelu_bias(h->wide + r * ffn, w[V_UP_BIAS].floats, ffn);
    operand(s, h, h->wide, n, ffn, ffn, &w[V_DOWN], 1);
    multiply(s, h, h->narrow, width, &w[V_DOWN]);
    add_rows(s, x, h->narrow, w[V_DOWN_BIAS].floats, n);
}

/* ---- the parts of a pass; each is called by all threads and ends with all of it done ----------------------------- */

static struct hand *my_hand(const struct vision_stage *s)
{
    return &s->hands[omp_get_thread_num()];
}

static uint32_t rows_of_piece(const struct vision_stage *s, uint32_t first, uint32_t of)
{
    return of - first < s->piece ? of - first : s->piece;
}

/* Of this thread only: cores are often shared, and what others do is not the encoder's time. */
static uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Adds the time since *since to a part and begins anew. */
static void lap(struct hand *h, int part, uint64_t *since)
{
    uint64_t now = cpu_ns();
    h->ns[part] += now - *since;
    *since = now;
}

static void pass_patches(const struct vision_stage *s, const float *pixels)
{
    const uint32_t width = s->config.width, n_pixels = vision_pixels(&s->config), patches = vision_patches(&s->config);
    const struct weight *w = s->patch;
    struct hand *h = my_hand(s);
#pragma omp for schedule(dynamic)
    for (uint32_t first = 0; first < patches; first += s->piece) {
        uint64_t since = cpu_ns();
        uint32_t n = rows_of_piece(s, first, patches);
        float *x = s->x + (size_t)first * width;
        const float *positions = w[V_POSITIONS - V_PATCH].floats + (size_t)first * width;
        operand(s, h, pixels + (size_t)first * n_pixels, n, n_pixels, n_pixels, w, 1);
        multiply(s, h, x, width, w);
        for (size_t r = 0; r < n; r++)
            s->kernels.add(x + r * width, w[V_PATCH_BIAS - V_PATCH].floats, positions + r * width, width);
        lap(h, ENDS, &since);
    }
}

static void pass_layer(const struct vision_stage *s, const struct weight *w)
{
    const uint32_t patches = vision_patches(&s->config);
    struct hand *h = my_hand(s);
#pragma omp for schedule(dynamic)
    for (uint32_t first = 0; first < patches; first += VISION_ROWS) {
        uint64_t since = cpu_ns();
        rows_before(s, h, w, first, patches - first < VISION_ROWS ? patches - first : VISION_ROWS);
        lap(h, BEFORE, &since);
    }
#pragma omp for schedule(dynamic)
    for (uint32_t first = 0; first < patches; first += s->piece) {
        uint64_t since = cpu_ns();
        uint32_t n = rows_of_piece(s, first, patches);
        patch_attention_look(&s->sight, first, n, h->narrow, h->attend);
        lap(h, ATTENTION, &since);
        rows_after(s, h, w, first, n);
        lap(h, AFTER, &since);
    }
}

/* The mean of pool x pool patches after the last norm, then the norm of the projector. */
static void pool_token(const struct vision_stage *s, struct hand *h, uint32_t token)
{
    const struct vision_config *c = &s->config;
    const uint32_t side = vision_side(c), across = side / c->pool, pool = c->pool;
    float *to = s->tokens + (size_t)token * c->width;
    memset(to, 0, c->width * sizeof *to);
    for (uint32_t i = 0; i < pool * pool; i++) {
        uint32_t patch = (token / across * pool + i / pool) * side + token % across * pool + i % pool;
        norm_rows(s, h->wide, s->x + (size_t)patch * c->width, s->post, 1);
        for (uint32_t j = 0; j < c->width; j++) to[j] += h->wide[j];
    }
    for (uint32_t j = 0; j < c->width; j++) to[j] /= (float)(pool * pool);
    s->kernels.norm(to, to, s->post[V_SOFT_NORM - V_POST].floats, c->width, c->norm_epsilon);
}

static void pass_projector(const struct vision_stage *s, float *out)
{
    const struct vision_config *c = &s->config;
    const uint32_t tokens = vision_tokens(c);
    const struct weight *w = s->post + (V_PROJECTION - V_POST);
    struct hand *h = my_hand(s);
#pragma omp for schedule(dynamic)
    for (uint32_t first = 0; first < tokens; first += ACT_TILE) {
        uint64_t since = cpu_ns();
        uint32_t n = tokens - first < ACT_TILE ? tokens - first : ACT_TILE;
        for (uint32_t i = 0; i < n; i++) pool_token(s, h, first + i);
        acts_shape(&h->acts, n, c->width, s->tokens + (size_t)first * c->width, c->width);
        multiply(s, h, out + (size_t)first * c->hidden, c->hidden, w);
        lap(h, ENDS, &since);
    }
}

/* Copies rows out, or looks at those that are there already. */
static void pass_out(const struct vision_stage *s, float *out)
{
    const uint32_t cols = part_has_back(s->part) ? s->config.hidden : s->config.width;
    const uint32_t rows = part_has_back(s->part) ? vision_tokens(&s->config) : vision_patches(&s->config);
    struct hand *h = my_hand(s);
    h->finite = true;
#pragma omp for schedule(static)
    for (uint32_t r = 0; r < rows; r++) {
        float *to = out + (size_t)r * cols, sum = 0;
        if (!part_has_back(s->part)) memcpy(to, s->x + (size_t)r * cols, cols * sizeof *to);
        for (uint32_t i = 0; i < cols; i++) sum += to[i] * 0; /* 0, or NaN if one is not finite */
        h->finite &= sum == 0;
    }
}

/* One layer; what belongs before the first and after the last goes with them. */
static void pass(const struct vision_stage *s, const float *in, float *out, bool last)
{
    if (s->done == 0 && s->part.front) pass_patches(s, in);
    pass_layer(s, group_weights(&s->weights, s->first_group + s->done));
    if (!last) return;
    if (part_has_back(s->part)) pass_projector(s, out);
    pass_out(s, out);
}

int vision_stage_step(struct vision_stage *s, const float *in, float *out, bool *done, struct err *why)
{
    const bool last = s->part.first + s->done + 1 == s->part.end;
    *done = false;
    if (s->stop && *s->stop) return fail(why, E_INTERRUPTED, "stopped in the middle of a picture");
    if (s->done == 0 && !s->part.front) memcpy(s->x, in, vision_floats_in(&s->config, s->part) * sizeof *in);
    if (s->threads == 1) {
        pass(s, in, out, last);
    } else {
#pragma omp parallel num_threads(s->threads)
        pass(s, in, out, last);
    }
    s->done = last ? 0 : s->done + 1;
    *done = last;
    for (int i = 0; last && i < s->threads; i++)
        if (!s->hands[i].finite)
            return fail(why, E_WORKER, "the rows of a picture after vision layer %u are not finite numbers: damaged weights?",
                        s->part.end);
    return 0;
}

int vision_stage_run(struct vision_stage *s, const float *in, float *out, struct err *why)
{
    for (bool done = false; !done;) TRY(vision_stage_step(s, in, out, &done, why));
    return 0;
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

static void scratch_cut(struct vision_stage *s)
{
    const struct vision_config *c = &s->config;
    const struct vision_scratch b = vision_scratch(c, s->part, s->exact ? VISION_FLOAT32 : VISION_AS_FILE, s->threads);
    uint32_t widest = c->ffn > c->width ? c->ffn : c->width;
    if (vision_pixels(c) > widest) widest = vision_pixels(c);
    uint8_t *at = s->scratch.at;
    s->x = (float *)at, at += b.stream;
    /* Places that no patch fills stay zeros: keys past the last, columns past a head's. */
    memset(at, 0, b.queries + b.keys + b.values);
    patch_attention_init(&s->sight, c, s->exact, &s->kernels, at, at + b.queries, at + b.queries + b.keys);
    at += b.queries + b.keys + b.values;
    s->tokens = (float *)at, at += b.tokens;
    s->room_each = (b.narrow + b.wide + b.acts + b.attend) / sizeof(float);
    for (int i = 0; i < s->threads; i++) {
        struct hand *h = &s->hands[i];
        h->wide = (float *)at, at += b.wide; /* first: weight_load finds its room there */
        h->narrow = (float *)at, at += b.narrow;
        acts_init(&h->acts, at, VISION_ROWS, widest), at += b.acts;
        h->attend = at, at += b.attend;
        h->tiles = (float *)(void *)at, at += b.tiles;
    }
}

/* Fewer when the picture is small, so that every thread has some. */
static uint32_t piece_rows(const struct vision_config *c, int threads)
{
    uint32_t even = vision_patches(c) / (4 * (uint32_t)threads) / FEW * FEW;
    return even < FEW ? FEW : even < VISION_ROWS ? even : VISION_ROWS;
}

/* For a stage that stands alone, in tests and benchmarks. */
static int take_own_weights(struct vision_stage *s, const struct vision_plan_in *in, struct err *why)
{
    const struct wanted_part wanted = {.chain = CHAIN_VISION, .as = in->type, .tensors = in->tensors,
                                       .n = (uint32_t)part_count(CHAIN_VISION, in->part)};
    TRY(held_open(&s->own, why));
    return held_take(s->own, &wanted, 1, in->threads, &s->weights, why);
}

static int stage_build(struct vision_stage *s, const struct vision_plan_in *in, struct err *why)
{
    if (s->exact) TRY(blas_open(why));
    s->hands = calloc((size_t)s->threads, sizeof *s->hands);
    if (!s->hands) return fail(why, E_MEMORY, "no memory for %d threads", s->threads);
    if (in->weights) s->weights = *in->weights;
    else TRY(take_own_weights(s, in, why));
    if (part_weights_bytes(&s->weights) != s->bytes.weights)
        return fail(why, E_INTERNAL, "the vision weights were planned with %llu bytes and take %llu", (unsigned long long)s->bytes.weights,
                    (unsigned long long)part_weights_bytes(&s->weights));
    TRY(region_open(&s->scratch, s->bytes.scratch, "a picture on its way", s->threads, why));
    s->first_group = s->part.front;
    if (s->part.front) s->patch = group_weights(&s->weights, 0);
    if (part_has_back(s->part)) s->post = group_weights(&s->weights, s->weights.n_groups - 1);
    scratch_cut(s);
    return 0;
}

int vision_stage_open(struct vision_stage **out, const struct vision_plan_in *in, const struct kernels *k,
                      struct err *why)
{
    *out = NULL;
    TRY(vision_config_check(&in->config, "the plan", why));
    if (in->threads < 1) return fail(why, E_USAGE, "a stage cannot run on %d threads", in->threads);
    TRY(vision_part_check(&in->config, in->part, in->tensors, why));
    struct vision_stage *s = calloc(1, sizeof *s);
    if (!s) return fail(why, E_MEMORY, "no memory for a vision stage");
    s->config = in->config;
    s->part = in->part;
    s->kernels = *k;
    s->threads = in->threads;
    s->exact = in->type == VISION_FLOAT32;
    s->piece = piece_rows(&in->config, in->threads);
    s->bytes = vision_part_bytes(&in->config, in->part, in->tensors, in->type, 0, in->threads);
    int code = stage_build(s, in, why);
    if (code) vision_stage_close(&s);
    *out = s;
    return code;
}

void vision_stage_close(struct vision_stage **stage)
{
    struct vision_stage *s = *stage;
    *stage = NULL;
    if (!s) return;
    if (s->own) part_weights_close(&s->weights);
    held_close(&s->own);
    region_close(&s->scratch);
    free(s->hands);
    free(s);
}

struct part_bytes vision_stage_memory(const struct vision_stage *s)
{
    struct part_bytes b = {.weights = part_weights_bytes(&s->weights), .scratch = s->scratch.bytes};
    b.total = b.weights + b.scratch;
    return b;
}

int vision_stage_load(struct vision_stage *s, uint32_t index, uint32_t first_row, uint32_t rows, const void *bytes,
                      struct err *why)
{
    struct weight *w = part_weight(&s->weights, index);
    if (!w) return fail(why, E_WIRE, "rows for tensor %u, but the part has %u tensors", index, s->weights.n);
    return weight_load(w, first_row, rows, bytes, s->threads, s->hands[0].wide, s->room_each, why);
}

void vision_stage_draw(struct vision_stage *s)
{
    part_weights_draw(&s->weights);
}

int vision_stage_loaded(const struct vision_stage *s, struct err *why)
{
    return part_weights_loaded(&s->weights, why);
}

void vision_stage_heed(struct vision_stage *s, const atomic_bool *stop)
{
    s->stop = stop;
}

struct vision_times vision_stage_times(const struct vision_stage *s)
{
    double sum[PARTS] = {0};
    for (int i = 0; i < s->threads; i++)
        for (int p = 0; p < PARTS; p++) sum[p] += (double)s->hands[i].ns[p] * 1e-9;
    return (struct vision_times){sum[BEFORE], sum[ATTENTION], sum[AFTER], sum[ENDS]};
}
