/* tests/unit/wire/wire_test.c — what docs/WIRE.md says about messages: every field survives, nothing else gets in. */
#include "base/sanitized.h"
#include "tests/support/check.h"
#include "tests/support/samples.h"
#include "transport/wire/wire.h"

#include <math.h>
#include <stdlib.h>

/* Everything a message holds, written, read into a struct of noise and written again, is the same bytes. */
TEST(every_message_survives_the_way_there_and_back)
{
    for (int i = 0; i < SAMPLES; i++) {
        struct frame *f = sample_frame(i), *again = 0;
        struct err why = {0};
        CHECK(f && !sample_copy(&again, f, &why), "sample %d: %s", i, why.text);
        if (!f || !again) continue;
        CHECK(f->head.body_bytes == again->head.body_bytes && !memcmp(frame_body(f), frame_body(again), f->head.body_bytes),
              "%s changed on the way", message_name(f->head.type));
        frame_free(f);
        frame_free(again);
    }
}

/* But one: a SCORED without its alternatives is whole. Who asked for some notices (divided_head_test.c). */
TEST(every_cut_of_every_message_is_refused)
{
    for (int i = 0; i < SAMPLES; i++) {
        struct frame *f = sample_frame(i);
        uint64_t whole = f->head.body_bytes;
        for (uint64_t n = 0; n < whole; n++) {
            struct err why = {0};
            f->head.body_bytes = n;
            if (i == SAMPLE_SCORED_BEST && n == whole - SAMPLE_BEST_BYTES) continue;
            CHECK(sample_read(f, &why) == E_WIRE && why.text[0], "%s of %llu bytes, cut to %llu", message_name(f->head.type),
                  (unsigned long long)whole, (unsigned long long)n);
        }
        frame_free(f);
    }
}

TEST(a_byte_left_over_is_refused)
{
    for (int i = 0; i < SAMPLES; i++) {
        struct frame *f = sample_frame(i), *longer = frame_new(f->head.type, f->head.body_bytes + 1);
        struct err why = {0};
        memcpy(frame_body(longer), frame_body(f), f->head.body_bytes);
        frame_body(longer)[f->head.body_bytes] = 0;
        longer->head.from = 2;
        CHECK(sample_read(longer, &why) == E_WIRE, "%s", message_name(f->head.type));
        CHECK(strstr(why.text, "worker 2"), "the sentence names the peer: %s", why.text);
        frame_free(f);
        frame_free(longer);
    }
}

/* Whole frames, as a peer's bytes come in: one wrong bit anywhere is seen by one CRC or the other. */
TEST(every_flipped_bit_of_a_frame_is_refused)
{
    for (int i = 0; i < SAMPLES; i++) {
        struct frame *f = sample_frame(i);
        f->head.run = 77;
        f->head.sequence = 5;
        frame_seal(f);
        size_t n = FRAME_HEAD_BYTES + f->head.body_bytes;
        CHECK(frame_open(f, n, n, "worker 1", 0) == 0);
        for (size_t bit = 0; bit < 8 * n; bit++) {
            f->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            CHECK(frame_open(f, n, n, "worker 1", 0) == E_WIRE, "%s, bit %zu", message_name(f->head.type), bit);
            f->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        frame_free(f);
    }
}

/* Behind a correct CRC a hostile peer can put any bytes: the reader says no or reads something, and stays in bounds. */
TEST(every_flipped_bit_behind_a_good_crc_is_refused_or_harmless)
{
    int refused = 0, read = 0;
    for (int i = 0; i < SAMPLES; i++) {
        struct frame *f = sample_frame(i);
        for (uint64_t bit = 0; bit < 8 * f->head.body_bytes; bit++) {
            uint8_t *b = &frame_body(f)[bit / 8];
            *b ^= (uint8_t)(1 << bit % 8);
            if (sample_read(f, 0)) refused++;
            else read++;
            *b ^= (uint8_t)(1 << bit % 8);
        }
        frame_free(f);
    }
    CHECK(refused > 100 && read > 100, "%d refused, %d read", refused, read);
}

TEST(a_body_over_the_limit_is_refused_before_it_is_looked_at)
{
    struct frame *f = frame_new(M_PIECE, 1000);
    struct err why = {0};
    memset(frame_body(f), 7, 1000);
    frame_seal(f);
    CHECK(frame_open(f, 1064, 1000, "worker 1", &why) == 0);
    CHECK(frame_open(f, 1064, 999, "worker 1", &why) == E_WIRE && strstr(why.text, "at most 999"), "%s", why.text);
    CHECK(frame_open(f, 1063, 1000, "worker 1", &why) == E_WIRE);
    CHECK(frame_open(f, 63, 1000, "worker 1", &why) == E_WIRE);
    CHECK(frame_new(M_PIECE, (size_t)FRAME_BODY_MOST + 1) == 0);
    frame_free(f);
}

static int work_error(const struct work *w, struct err *why)
{
    struct frame *f = 0;
    struct work *copy = malloc(sizeof *copy);
    memcpy(copy, w, sizeof *copy);
    int code = work_write(&f, copy, why);
    free(copy);
    frame_free(f);
    return code;
}

#define REFUSED(change, sentence)                                                                                      \
    do {                                                                                                               \
        struct err why_ = {0};                                                                                         \
        sample_work(w);                                                                                                \
        change;                                                                                                        \
        CHECK(work_error(w, &why_) == E_WIRE && strstr(why_.text, sentence), "%s: %s", #change, why_.text);             \
    } while (0)

static void many_wanted(struct work *w, uint32_t segments, uint32_t each)
{
    w->n_segments = segments;
    w->n_rows = segments * each;
    for (uint32_t i = 0; i < segments; i++) w->segments[i] = (struct segment){.slot = i, .rows = each, .wanted = each};
    for (uint32_t i = 0; i < w->n_rows; i++) w->rows[i].sees = i % each;
    w->n_biases = 0;
}

TEST(work_that_contradicts_itself_is_refused)
{
    struct work *w = malloc(sizeof *w);
    sample_work(w);
    CHECK(work_error(w, 0) == 0);
    REFUSED(w->n_segments = WIRE_SEGMENTS + 1, "segments; at most");
    REFUSED(w->n_segments = 0, "no segments");
    REFUSED(w->n_rows = WIRE_ROWS + 1, "rows; at most");
    REFUSED(w->n_rows--, "more than its");
    REFUSED(w->segments[1].rows--, "its head says");
    REFUSED(w->segments[0].rows = 0, "has no rows");
    REFUSED(w->segments[1].rows = UINT32_MAX, "more than its");
    REFUSED(w->segments[0].position = UINT32_MAX - 1, "over all bounds");
    REFUSED(w->segments[1].position = 7, "starts at position 7");
    REFUSED(w->segments[0].flags = 1u << 31, "flags");
    REFUSED(w->segments[0].flags = 2, "flags are 0x2"); /* a meaning it had once */
    REFUSED(w->segments[0].wanted = 5, "tokens after 5 of 4 rows");
    REFUSED(w->segments[0].wanted = 2, "guesses among the 4 rows of which all scores are wanted");
    REFUSED(many_wanted(w, 1, 18), "18 rows of one segment want a token; 17 can");
    REFUSED(many_wanted(w, 31, 17), "527 rows want a token; 512 can");
    REFUSED(w->rows[1].sees = w->segments[0].position, "may look as far");
    REFUSED(w->rows[0].sees = w->segments[0].position + w->segments[0].rows, "may look as far");
    REFUSED(w->dtype = 2, "unknown type");
    free(w);
}

/* w: sample_work with these biases. */
static int biases_error(struct work *w, struct bias a, struct bias b, struct err *why)
{
    uint8_t bytes[2 * WIRE_BIAS_BYTES];
    sample_work(w);
    bias_put(bytes, 0, a);
    bias_put(bytes, 1, b);
    w->n_biases = 2;
    w->biases = bytes;
    return work_error(w, why);
}

TEST(biases_and_alternatives_that_contradict_their_segments_are_refused)
{
    struct work *w = malloc(sizeof *w);
    struct err e = {0};
    const struct bias good = {9, 5, 1}, after = {9, 6, -INFINITY};
    CHECK(!biases_error(w, good, after, &e), "%s", e.text);
    CHECK(biases_error(w, after, good, &e) == E_WIRE && strstr(e.text, "bias of word 5 of slot 9 stands behind one of word 6"), "%s", e.text);
    CHECK(biases_error(w, good, good, &e) == E_WIRE && strstr(e.text, "stands behind"), "%s", e.text);
    CHECK(biases_error(w, (struct bias){3, 5, 1}, good, &e) == E_WIRE && strstr(e.text, "slot 3, which wants no token"), "%s", e.text);
    CHECK(biases_error(w, good, (struct bias){4, 5, 1}, &e) == E_WIRE && strstr(e.text, "slot 4 is not where"), "%s", e.text);
    CHECK(biases_error(w, good, (struct bias){9, 6, INFINITY}, &e) == E_WIRE && strstr(e.text, "word 6 of slot 9 is inf"), "%s", e.text);
    CHECK(biases_error(w, good, (struct bias){9, 6, NAN}, &e) == E_WIRE && strstr(e.text, "nan"), "%s", e.text);
    CHECK(biases_error(w, good, (struct bias){9, 6, 2e9f}, &e) == E_WIRE, "a score it is added to must stay a number");
    REFUSED(w->segments[0].top = 1, "1 alternatives to 0 tokens are wanted");
    REFUSED(w->segments[1].top = 21, "21 alternatives to 1 tokens");
    free(w);
}

static void masks_of(struct work *w, uint32_t words)
{
    static uint8_t masks[36] = {[13] = 2, [35] = 9};
    w->segments[0].flags = SEG_MASKED, w->segments[0].wanted = 2;
    w->segments[1].flags |= SEG_MASKED;
    w->n_mask_words = words, w->masks = masks;
}

TEST(tokens_that_are_told_are_as_many_as_the_rows_that_want_one)
{
    static uint8_t told[16] = {7, 0, 0, 0, 8, 0, 0, 0, 9, 1};
    struct work *w = malloc(sizeof *w), *back = calloc(1, sizeof *back);
    struct frame *f = NULL;
    struct err e, *why = &e;
    sample_work(w);
    w->segments[0].flags |= SEG_TOLD, w->segments[0].wanted = 3, w->segments[0].sampling.temperature = 0;
    w->told = told;
    CHECK(work_write(&f, w, why) == 0 && work_read(back, f, why) == 0, "%s", e.text);
    CHECK(told_get(back, 1) == 8 && told_get(back, back->segments[1].first_told - 1) == 265 && segment_scored(&back->segments[0]) == 3);
    frame_free(f);
    REFUSED(w->segments[0].flags = SEG_TOLD, "0 tokens of slot 3 are told");
    REFUSED((w->segments[0].flags = SEG_TOLD, w->segments[0].wanted = 1), "there is nothing to draw");
    free(w);
    free(back);
}

TEST(masks_are_of_one_length_and_of_rows_that_want_a_token)
{
    struct work *w = malloc(sizeof *w), *back = malloc(sizeof *back);
    struct frame *f = 0;
    sample_work(w);
    masks_of(w, 9);
    NEED(work_write(&f, w, why));
    NEED(work_read(back, f, why));
    CHECK(back->mask_words == 3 && mask_get(back, &back->segments[0], 1)[1] == 2 && mask_get(back, &back->segments[1], 0)[11] == 9);
    frame_free(f);
    REFUSED(masks_of(w, 8), "8 words of masks for 3 rows");
    REFUSED(masks_of(w, 0), "0 words of masks for 3 rows");
    REFUSED((masks_of(w, 9), w->segments[0].wanted = 0), "a mask of words for slot 3, which wants no token");
    REFUSED(w->n_mask_words = 3, "3 words of masks for 0 rows");
    free(w);
    free(back);
}

static void score_refused(void (*spoil)(struct work *), const char *sentence)
{
    struct work *w = malloc(sizeof *w);
    struct frame *f = 0;
    struct err no = {0};
    sample_work(w);
    w->segments[0].flags = w->segments[1].flags = 0;
    w->segments[0].wanted = w->segments[1].wanted = 1;
    w->segments[0].rows = w->segments[1].rows = 1;
    w->n_rows = 2;
    w->rows[0].sees = 100, w->rows[1].sees = 0;
    spoil(w);
    CHECK(score_write(&f, w, &no) == E_WIRE && strstr(no.text, sentence), "%s", no.text);
    frame_free(f);
    free(w);
}

static void two_rows(struct work *w)
{
    w->segments[1].rows = 2, w->n_rows = 3, w->rows[1].sees = 0, w->rows[2].sees = 1;
}
static void a_start(struct work *w)
{
    w->segments[1].flags = SEG_START;
}
static void no_token(struct work *w)
{
    w->segments[0].flags = SEG_WANT_HASH, w->segments[0].wanted = 0;
}

TEST(rows_to_be_scored_want_a_token_or_their_scores)
{
    score_refused(two_rows, "slot 9 brings 2 rows");
    score_refused(a_start, "with flags 0x1");
    score_refused(no_token, "slot 3 brings 1 rows with flags 0x8, 0 of which want a token");
}

static void scored_refused(uint32_t part, uint32_t n_parts, struct candidate a, struct candidate b, const char *sentence)
{
    struct scored *m = calloc(1, sizeof *m);
    struct frame *f = 0;
    struct err no = {0};
    *m = (struct scored){.part = part, .n_parts = n_parts, .n_candidates = 2, .candidates = {a, b}};
    CHECK(scored_write(&f, m, &no) == E_WIRE && strstr(no.text, sentence), "%s", no.text);
    frame_free(f);
    free(m);
}

TEST(candidates_out_of_order_and_parts_that_are_not_are_refused)
{
    const struct candidate high = {7, 2, 2}, low = {3, 1, 1}, nan = {9, NAN, NAN};
    scored_refused(0, 16, low, high, "candidate 1 (id 7) stands after id 3");
    scored_refused(0, 16, high, high, "candidate 1 (id 7)");
    scored_refused(0, 16, high, nan, "candidate 1 (id 9)");
    scored_refused(0, 0, high, low, "0 parts of the head from 0 on");
    scored_refused(15, 2, high, low, "2 parts of the head from 15 on");
    scored_refused(UINT32_MAX, 2, high, low, "2 parts");
}

static void order_refused(struct order o, const char *sentence)
{
    struct work *w = malloc(sizeof *w);
    struct frame *f = 0;
    struct err why = {0};
    sample_work(w);
    w->orders[w->n_orders++] = o;
    const int code = work_write(&f, w, &why);
    CHECK(code == E_WIRE && strstr(why.text, sentence), "%s", why.text);
    frame_free(f);
    free(w);
}

TEST(an_order_says_what_its_kind_speaks_of_and_nothing_else)
{
    order_refused((struct order){.kind = 0}, "an order of kind 0; known are 1 to 5");
    order_refused((struct order){.kind = 6, .rows = 64}, "an order of kind 6");
    order_refused((struct order){ORDER_KEEP, 1, WIRE_BEGINNINGS, 64, 1}, "beginning 256; there are 0 to 255");
    order_refused((struct order){ORDER_FORGET, 1, 2, 0, 0}, "kind 1 with slot 1, beginning 2");
    order_refused((struct order){ORDER_DROP, 1, 2, 0, 0}, "kind 4 with slot 1");
    order_refused((struct order){ORDER_KEEP, 1, 2, 0, 1}, "kind 2 with slot 1, beginning 2 and 0 rows");
    order_refused((struct order){ORDER_BACK, 1, 0, 0, 0}, "kind 5");
}

TEST(activations_lie_aligned_in_the_body)
{
    struct work *w = malloc(sizeof *w);
    struct logits l = {.n = 9};
    struct frame *f = 0;
    sample_work(w);
    NEED(work_write(&f, w, why));
    CHECK((uintptr_t)w->activations % 8 == 0 && (uintptr_t)frame_body(f) % 64 == 0);
    CHECK(f->head.body_bytes == work_bytes(w->n_segments, w->n_rows, w->cols, w->dtype));
    frame_free(f);
    NEED(logits_write(&f, &l, why));
    CHECK((uintptr_t)l.scores % 4 == 0);
    frame_free(f);
    free(w);
}

static void head_refused(enum message type, uint16_t route, uint64_t plan, const char *sentence)
{
    struct frame *f = frame_new(type, 0);
    struct err no = {0};
    f->head.route = route;
    f->head.plan = plan;
    frame_seal(f);
    CHECK(frame_open(f, FRAME_HEAD_BYTES, 1000, "worker 1", &no) == E_WIRE && strstr(no.text, sentence), "%s: %s", message_name(type), no.text);
    frame_free(f);
}

TEST(a_head_with_a_route_that_does_not_belong_is_refused)
{
    head_refused(M_WORK, 0, 0, "sent WORK on no route");
    head_refused(M_PICTURE_ROWS, 0, 9, "sent PICTURE_ROWS on no route");
    head_refused(M_PING, 3, 0, "sent PING on route 3");
    head_refused(M_GREET, 0, 9, "sent GREET on route 0 of plan 0000000000000009");
    head_refused((enum message)19, 0, 0, "unknown type 19");
}

/* A field with a place on the wire and no meaning yet: at `at` of the body. */
static void unknown_refused(struct frame *f, uint64_t at, const char *sentence)
{
    struct err no = {0};
    CHECK(!sample_read(f, &no), "%s", no.text);
    frame_body(f)[at] = 1;
    CHECK(sample_read(f, &no) == E_WIRE && strstr(no.text, sentence), "byte %llu: %s", (unsigned long long)at, no.text);
    frame_free(f);
}

TEST(what_no_worker_knows_yet_is_refused_by_name)
{
    unknown_refused(sample_result(), 16 + 28, "must be zero");
}

static char *hex_line(struct frame *f)
{
    uint64_t n = FRAME_HEAD_BYTES + f->head.body_bytes;
    char *line = malloc(2 * n + 40), *at = line + sprintf(line, "%s ", message_name(f->head.type));
    for (uint64_t i = 0; i < n; i++) at += sprintf(at, "%02x", f->bytes[i]);
    strcpy(at, "\n");
    return line;
}

/* The golden file was written from docs/WIRE.md by another program in another language (tests/golden/make_wire.py). A
 * difference here is a change of the protocol and wants a new version. */
TEST(the_bytes_of_every_message_are_those_of_the_golden_file)
{
    const char *path = "tests/golden/wire.txt";
    FILE *file = fopen(path, "r");
    char want[2000];
    CHECK(file, "cannot open %s; run from the root of the repository", path);
    for (int i = 0; i < SAMPLES && file; i++) {
        struct frame *f = sample_frame(i);
        frame_seal(f);
        char *line = hex_line(f);
        do want[0] = 0;
        while (fgets(want, sizeof want, file) && want[0] == '#');
        CHECK(!strcmp(line, want), "now %swas %s", line, want);
        free(line);
        frame_free(f);
    }
    if (file) fclose(file);
}

/* Two versions in one cluster: whatever comes first, nothing of it is believed, and the sentence has both numbers. */
static int refuse_all(int version)
{
    char path[40];
    snprintf(path, sizeof path, "tests/golden/wire_%d.txt", version);
    FILE *file = fopen(path, "r");
    char line[2000], sentence[100];
    int frames = 0;
    snprintf(sentence, sizeof sentence, "speaks version %d of the protocol, this program version %d; install the same on both", version, FRAME_VERSION);
    CHECK(file, "cannot open %s; run from the root of the repository", path);
    while (file && fgets(line, sizeof line, file)) {
        const char *at = strchr(line, ' ') + 1;
        const size_t n = strspn(at, "0123456789abcdef") / 2;
        if (line[0] == '#') continue;
        struct frame *f = frame_new(0, n - FRAME_HEAD_BYTES);
        struct err no = {0};
        for (size_t i = 0; i < n; i++) sscanf(at + 2 * i, "%2hhx", &f->bytes[i]);
        CHECK(frame_open(f, n, 1u << 20, "worker 1", &no) == E_WIRE && strstr(no.text, sentence), "%.20s: %s", line, no.text);
        frame_free(f);
        frames++;
    }
    if (file) fclose(file);
    return frames;
}

TEST(every_frame_of_an_earlier_version_is_refused_by_both_numbers)
{
    const int third = refuse_all(3), fourth = refuse_all(4);
    CHECK(third == 27 && fourth == 36, "%d and %d frames", third, fourth);
}

/* The bytes of an example line of the page: pairs of hexadecimal digits up to the remark. False: it is no such line. */
static bool example_line(const char *line, uint8_t *bytes, size_t *n)
{
    unsigned value;
    int used;
    const char *at = line;
    *n = 0;
    while (*n < 16 && sscanf(at, "%2x%n", &value, &used) == 1 && used == 2 && (at[2] == ' ')) {
        bytes[(*n)++] = (uint8_t)value;
        at += 3;
    }
    return *n == 16 || (*n && !strncmp(at, "  ", 2));
}

TEST(the_example_on_the_page_is_what_the_program_sends)
{
    static struct result m = {.batch = 9};
    struct frame *f = NULL;
    uint8_t page[200];
    size_t have = 0, n;
    char line[1000];
    NEED(result_write(&f, &m, why));
    f->head.run = 0x0123456789abcdef, f->head.plan = 0xfedcba9876543210;
    f->head.epoch = 2, f->head.sequence = 7, f->head.from = 3, f->head.route = 1;
    frame_seal(f);
    FILE *file = fopen("docs/WIRE.md", "r");
    CHECK(file, "cannot open docs/WIRE.md; run from the root of the repository");
    while (file && have < sizeof page - 16 && fgets(line, sizeof line, file))
        if (example_line(line, page + have, &n)) have += n;
    if (file) fclose(file);
    CHECK(have == FRAME_HEAD_BYTES + f->head.body_bytes && !memcmp(page, f->bytes, have), "%zu bytes on the page", have);
    frame_free(f);
}

TEST(a_fault_loses_its_control_characters_not_its_sentence)
{
    struct fault m = {.code = E_FILE, .text = "cannot\nread \x1b[31mx"}, back;
    struct frame *f = 0;
    NEED(fault_write(&f, &m, why));
    NEED(fault_read(&back, f, why));
    CHECK(!strcmp(back.text, "cannot read  [31mx") && back.code == E_FILE, "%s", back.text);
    frame_free(f);
}

TEST(text_without_an_end_or_with_control_characters_is_refused)
{
    struct hello m = {.pid = 1};
    struct frame *f = 0;
    struct err why = {0};
    memset(m.host, 'h', sizeof m.host);
    CHECK(hello_write(&f, &m, &why) == E_WIRE && !f, "%s", why.text);
    strcpy(m.host, "two\nlines");
    CHECK(hello_write(&f, &m, &why) == E_WIRE && !f, "%s", why.text);
}

TEST(a_share_of_a_core_is_believed_only_in_periods_that_linux_knows)
{
    static const struct {
        uint32_t share, period, tick;
        int code;
    } told[] = {{200, 5000, 4000, 0}, {0, 0, 0, 0}, {1, 500, 0, 0}, {1500, 1000000, 10000, 0}, {200, 0, 4000, E_WIRE}, {0, 5000, 4000, E_WIRE},
                {200, 499, 4000, E_WIRE}, {200, 1000001, 4000, E_WIRE}, {200, 5000, 1, E_WIRE}, {200, 5000, UINT32_MAX, E_WIRE}};
    for (size_t i = 0; i < sizeof told / sizeof *told; i++) {
        const struct hello m = {.share = told[i].share, .period = told[i].period, .tick = told[i].tick, .group = 7};
        struct hello back = {0};
        struct frame *f = NULL;
        struct err why = {0};
        const int code = hello_write(&f, &m, &why);
        CHECK(code == told[i].code, "%u thousandths, %u us, %u us: %s", m.share, m.period, m.tick, why.text);
        if (!code) CHECK(!hello_read(&back, f, &why) && back.period == m.period && back.tick == m.tick && back.group == 7, "%s", why.text);
        frame_free(f);
    }
}

TEST(a_message_is_not_read_as_another)
{
    struct frame *f = 0;
    struct err no = {0};
    struct ready ready;
    NEED(empty_write(&f, M_STOP, why));
    CHECK(ready_read(&ready, f, &no) == E_WIRE && strstr(no.text, "STOP"), "%s", no.text);
    frame_free(f);
}

/* A run sends the same sizes again and again; after the first round no buffer is made. */
TEST(freed_frames_are_used_again)
{
    if (SANITIZED) return test_skip("a sanitizer is to see who looks at a frame that was given back");
    struct frame *a = frame_new(M_WORK, 100000);
    const uint8_t *bytes = a->bytes;
    frame_free(a);
    struct frame *b = frame_new(M_WORK, 98000);
    CHECK(b->bytes == bytes, "a buffer of nearly the same size was not used again");
    struct frame *c = frame_new(M_PING, 10);
    CHECK(c->capacity < 1000, "a small frame took a buffer of %zu bytes", c->capacity);
    frame_free(b);
    frame_free(c);
}
