/* transport/wire/wire.h — every message as a struct, and one walk per message that both writes and reads it.
 *
 * docs/WIRE.md gives the bytes. A struct never goes out as it lies in memory. Reading checks every count against what
 * is left of the body before it is believed, and that nothing is left over. What a number *means* (is this slot mine,
 * does this position fit) is checked by the room that uses it.
 *
 * Arrays inside a message point into the frame's body after reading, so they live as long as the frame. */
#pragma once

#include "base/diary.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/numeric.h"
#include "transport/wire/frame.h"

#include <stdbool.h>

#define WIRE_TEXT 256    /* bytes of a name or address, terminator included */
#define WIRE_SEGMENTS 512 /* of one micro-batch, at most; and tokens */
#define WIRE_ROWS 4096   /* of one micro-batch, at most */
#define WIRE_PARTS 16    /* into which a head is cut by words */
#define WIRE_CANDIDATES 1024 /* for one token, of one worker, at most */
#define WIRE_ALTERNATIVES 20 /* to one token, at most */
#define WIRE_BIASES 16384    /* of words for one token, at most */
#define WIRE_BIAS_BYTES 12
#define WIRE_NO_WORD UINT32_MAX
#define WIRE_ORDERS 1024     /* of one micro-batch, at most */
#define WIRE_BEGINNINGS BEGINNINGS_MOST /* kept at once, at most: their numbers are below this */
#define WIRE_DRAFT 16        /* rows of a sequence that may turn out not to be wanted, at most */

struct greet {
    uint16_t node; /* 1..nodes-1: who you are from now on */
    uint16_t nodes;
    uint32_t numeric; /* version of the coordinator's numbers: who computes by another refuses */
    uint64_t run;
    struct numeric_mode mode;
};

#define PERIOD_LEAST_US 500u /* of what Linux knows: a period is 1 ms to 1 s, a tick 1 ms to 10 ms */
#define PERIOD_MOST_US 1000000u
struct hello {
    char build[WIRE_TEXT]; /* version of the program */
    char host[WIRE_TEXT];
    char isa[WIRE_TEXT];
    uint32_t pid, threads;
    uint64_t memory;  /* bytes it is willing to use; 0: did not say */
    uint64_t member;  /* random, drawn when the worker started: the same in all its runs */
    uint32_t numeric; /* version of its numbers: raised whenever a bit of any result changes */
    uint32_t share;   /* thousandths of a core that its machine leaves it; 0: no limit */
    uint32_t period, tick; /* microseconds: its share is given at once in each period, and a use of too much is noticed at a tick */
    uint64_t group;   /* who says the same on one machine shares that share */
    char cpu[WIRE_TEXT]; /* what its machine calls the processor */
    char blas[WIRE_TEXT]; /* the library that multiplies its float32 numbers, and for which processor; empty: none was asked for */
};

struct piece {
    uint32_t tensor, first_row, rows; /* index into the part's tensors */
    uint64_t hash;                    /* hash64 of the bytes */
    uint64_t n;
    uint8_t *bytes;
};

/* How long it took, in the order of what was asked (worker/assign.h has the question). */
#define PROBE_POINTS 16
#define PROBE_BYTES (512u << 10) /* that travel for the sake of travelling, at most */
struct probed {
    uint32_t n;
    double seconds[PROBE_POINTS]; /* 0: there was no time, or no memory, to measure it */
    double waited[PROBE_POINTS];  /* share of the time in which it could have computed and others did, 0 to 1 */
    uint32_t bytes;    /* as many as were asked for */
    uint8_t *filler;
};

/* Before there is an assignment. The worker called is told first. What comes back is PROBED: without points if it came to nothing, else of
 * MEETING_POINTS, the seconds of a call that carries next to nothing, of one with `bytes` there, and of one with them back. */
#define MEETING_POINTS 3
struct meet {
    uint32_t node, bytes;
    uint8_t key[32];         /* of that worker; zeros: the link is plain */
    bool call;               /* else it is that worker who calls */
    char address[WIRE_TEXT]; /* to call; empty where none is needed */
};

struct ready {
    uint64_t resident; /* bytes of memory in use now */
    double seconds;    /* it took to load */
};

enum segment_flags {
    SEG_START = 1,       /* position 0 of a new sequence: forget what the slot held */
    SEG_WANT_LOGITS = 4, /* send the scores of every row (M_LOGITS) */
    SEG_WANT_HASH = 8,   /* put hash64 of the scores into the result */
    SEG_MASKED = 16,     /* brings a mask for each row that wants a token: the words that it may be */
    SEG_TOLD = 32,       /* brings the token of each row that wants one, to hear how likely it is; of these rows alone scores are sent */
    SEG_DRAWN = 64,      /* its rows are not computed: keys and values are drawn, by position */
    SEG_HASHED = 128,    /* a hash of each of its rows after each layer goes home (M_ROW_HASHES) */
};

struct sampling {
    float temperature; /* 0: greedy, and the rest is ignored but repeat_penalty */
    uint32_t top_k;    /* 0: off */
    float top_p, min_p; /* 1 and 0: off */
    float repeat_penalty; /* 1: off */
    uint32_t repeat_last; /* tokens looked back; at most REPEAT_LAST_MOST */
    uint64_t seed;
};
#define REPEAT_LAST_MOST 256

/* Of how many words, the best, the token is one: 1 if greedy, else top_k; 0: of all. */
static inline uint32_t sampling_words(const struct sampling *how)
{
    return how->temperature > 0 ? how->top_k : 1;
}

/* True if that is no more than WIRE_CANDIDATES, so that the parts of a divided head can name them. */
static inline bool sampling_of_few(const struct sampling *how)
{
    return sampling_words(how) && sampling_words(how) <= WIRE_CANDIDATES;
}

/* Rows of one sequence that travel together. */
struct segment {
    uint32_t slot;     /* whose KV cache */
    uint32_t position; /* of the first row */
    uint32_t rows;
    uint32_t flags;
    uint32_t wanted;  /* how many of the last rows want a token; more than one: behind the first of them stand guesses */
    uint64_t request; /* the ask's key: with seed and position it decides the draw */
    uint64_t history; /* hash of all tokens before these */
    struct sampling sampling;
    uint32_t top;                  /* alternatives to the token that are wanted */
    uint32_t first_bias, n_biases; /* among the work's; counted by whoever reads or writes it */
    uint32_t first_mask;           /* the same */
    uint32_t first_told;           /* the same */
};

/* Of a divided head: the rows' scores go home from every part, because somebody wants them or the token is one of too many. */
static inline bool segment_goes_home(const struct segment *g)
{
    return (g->flags & SEG_WANT_LOGITS) || (g->wanted && !sampling_of_few(&g->sampling));
}

/* How many of its rows are scored, which are the last ones. */
static inline uint32_t segment_scored(const struct segment *g)
{
    return (g->flags & SEG_WANT_LOGITS) && !(g->flags & SEG_TOLD) ? g->rows : g->wanted;
}

/* What is added to the score of a word before a token is picked; -infinity forbids it. */
struct bias {
    uint32_t slot, id;
    float amount;
};

struct row {
    uint32_t id;   /* token id; of a picture's row a hash of the picture and the row's place in it */
    uint32_t sees; /* last position this row may look at: its own, or the last of its picture */
};

/* What becomes of keys and values before the rows of the micro-batch: every stage obeys, in the order of the list. A stage is told of
 * sequences and of beginnings that several share, by number and length, and of its own pages nobody else knows. */
enum order_kind {
    ORDER_FORGET = 1, /* the slot is empty */
    ORDER_KEEP,       /* all that the slot holds, `rows` rows, is a beginning from now on, and the slot goes on behind it */
    ORDER_BEGIN,      /* the slot, which is empty, holds the `rows` rows of a beginning */
    ORDER_DROP,       /* nobody will begin there any more */
    ORDER_BACK,       /* the slot holds its first `rows` rows, as if those behind had never been; WIRE_DRAFT of them at most */
};

struct order {
    uint32_t kind;      /* enum order_kind */
    uint32_t slot;      /* 0 with ORDER_DROP */
    uint32_t beginning; /* 0 with ORDER_FORGET and ORDER_BACK */
    uint32_t rows;      /* 0 with ORDER_FORGET and ORDER_DROP */
    uint64_t history;   /* hash of the ids of these rows; 0 where `rows` is */
};

struct work {
    uint64_t batch; /* number of the micro-batch */
    uint32_t n_segments;
    struct segment segments[WIRE_SEGMENTS];
    uint32_t n_rows; /* sum over the segments */
    struct row rows[WIRE_ROWS];
    uint32_t n_orders;
    struct order orders[WIRE_ORDERS];
    uint8_t dtype;    /* enum wire_dtype */
    uint32_t cols;    /* hidden */
    uint8_t *activations; /* [n_rows, cols], in the frame's body, aligned to 8 bytes there */
    uint32_t n_biases;    /* in the order of the segments, then of ids */
    uint8_t *biases;      /* as they lie on the wire, see bias_get; a writer brings them */
    uint32_t n_mask_words; /* u32 of all masks, which are of one length; in the order of the segments, then of rows */
    uint32_t mask_words;   /* of each; counted as above */
    uint8_t *masks;        /* as they lie on the wire: word w may be said if bit w % 8 of byte w / 8 is set */
    uint8_t *told;         /* as they lie on the wire, u32 each, see told_get: as many as rows of told segments want a token */
};

static inline uint32_t mask_words_of(uint32_t vocab)
{
    return vocab / 32 + (vocab % 32 != 0);
}
/* The mask of the row that is number k of those of its segment that want a token; NULL: it may be any word. */
static inline const uint8_t *mask_get(const struct work *w, const struct segment *g, uint32_t k)
{
    return g->flags & SEG_MASKED ? w->masks + (size_t)(g->first_mask + k) * w->mask_words * 4 : NULL;
}

struct bias bias_get(const struct work *w, uint32_t i);
uint32_t told_get(const struct work *w, uint32_t i);
uint32_t told_at(const struct work *w, const struct segment *g, uint32_t position); /* behind that row; WIRE_NO_WORD: it is not told */
void bias_put(uint8_t *biases, uint32_t i, struct bias b);
void told_put(uint8_t *told, uint32_t i, uint32_t id);

struct alternative {
    uint32_t id;
    float logprob;
};

struct token {
    uint32_t slot, position; /* of the row it was sampled after */
    uint32_t id; /* WIRE_NO_WORD: none may be said */
    float logprob; /* by the scores as the model has them: before penalties, biases and everything else */
    uint64_t hash; /* of that row's scores, if asked; with SEG_WANT_LOGITS folded over all rows of the segment */
    uint32_t n_alternatives; /* the likeliest words by the same scores, best first */
    struct alternative alternatives[WIRE_ALTERNATIVES];
};

struct result {
    uint64_t batch;
    uint32_t n_tokens;
    struct token tokens[WIRE_SEGMENTS];
};

struct logits {
    uint64_t batch;
    uint32_t slot, position;
    uint64_t hash;  /* 0 from parts of a head: M_SCORED has theirs */
    uint32_t first; /* word; 0 from a whole head */
    uint32_t n;
    uint8_t *scores; /* f32 [n], aligned to 4 */
};

/* What one part of the vocabulary says of a row. */
struct part_sum {
    float best, sum; /* the largest score; sum of exp(score - best), NaN if a score is not finite */
    uint64_t hash;   /* hash64 of the scores; 0 if nobody asked */
};

struct candidate {
    uint32_t id;
    float score, raw; /* with and without penalties and biases */
};

/* Of equal scores the lower id. */
static inline bool candidate_better(const struct candidate *a, const struct candidate *b)
{
    return a->score > b->score || (a->score == b->score && a->id < b->id);
}

/* What one worker's parts of a divided head say of a row. A word that is not among the candidates of any cannot become the token. */
struct scored {
    uint64_t batch;
    uint32_t slot, position;
    uint32_t part, n_parts; /* the sender's, those without words left out */
    struct part_sum parts[WIRE_PARTS];
    uint32_t n_candidates; /* best first, of equals the lower id */
    struct candidate candidates[WIRE_CANDIDATES];
    uint32_t n_best; /* of the words by their raw scores, which are both scores here; if alternatives are wanted */
    struct candidate best[WIRE_ALTERNATIVES];
};

/* A picture: M_PICTURE on its way, M_PICTURE_ROWS as the rows it became. */
struct picture_values {
    uint64_t picture;    /* the coordinator's number for it */
    uint32_t rows, cols; /* what they are follows from the stage that gets it: patches, or rows of the encoder */
    uint8_t *values;     /* f32 [rows, cols], aligned to 8 */
};

enum busy_with { BUSY_LOADING = 1, BUSY_ROWS = 2, BUSY_PICTURE = 4 };

struct ping {
    uint64_t at_ns; /* sender's clock; a PONG gives back the PING's */
    uint64_t batch; /* PONG: one more than the last micro-batch done; 0: none was */
    uint32_t queue; /* PONG: micro-batches and pictures waiting. PING: workers whose answer to the greeting is awaited */
    uint32_t busy;  /* PONG: enum busy_with */
    uint64_t stamp_ns; /* PONG: the worker's clock. PING: of the last PONG that was heard; 0: of none yet */
    uint64_t steps; /* PONG: a number that rises with whatever the worker gets done */
};

struct report {
    uint64_t busy_ns, blocked_ns, send_ns; /* computing; waiting for room to hand over; handing over while neither of these */
    uint64_t batches, rows;
    uint64_t peak_resident;
    uint64_t frames_in, frames_out, bytes_in, bytes_out;
    uint64_t pictures, picture_ns; /* through this stage; computing them, a part of busy_ns */
    uint64_t stopped_ns; /* while it had work, or had had some a moment before, the thread that only listens did not run, so all of it stood still */
};

#define WIRE_SPANS 512 /* of one DIARY, at most */

struct diary_ask {
    uint64_t from; /* number of the first interval wanted; they count from 0 */
};

struct diary_part {
    uint64_t now_ns; /* the worker's clock as it writes this */
    uint64_t first;  /* number of the first interval below; over what was asked for if older ones are forgotten */
    uint64_t written; /* intervals so far */
    uint32_t n;      /* 0: that was all */
    struct diary_span spans[WIRE_SPANS];
};

struct unreachable {
    uint32_t node;
    bool wrong;     /* it can be reached, and broke the protocol */
    char text[200]; /* how it is known */
};

#define WIRE_LAYERS 1024 /* of one worker whose rows are hashed, at most */

/* Of the rows of segments that want it, in their order, after each layer of the sender. */
struct row_hashes {
    uint64_t batch;
    uint32_t first, layers; /* the sender's layers of the text: first, first + 1, … */
    uint32_t rows;
    uint8_t *hashes; /* u64 [rows, layers] of the row as it goes on to the next layer */
};

struct check {
    uint32_t damaged; /* layers, counting what stands beside them; the coordinator asks with 0 and no text */
    char text[200];   /* which is the first */
};

struct fault {
    uint32_t code; /* base/error.h */
    char text[600];
};

/* Writing: makes a frame (E_WIRE only if a count is over its limit). Reading: E_WIRE with a sentence. struct work
 * and struct scored are large: keep them off the stack. WORK is written with room for the activations, to be filled in
 * by the caller through w->activations, so rows are never copied twice. */
int greet_write(struct frame **out, const struct greet *m, struct err *why);
int greet_read(struct greet *m, struct frame *f, struct err *why);
int hello_write(struct frame **out, const struct hello *m, struct err *why);
int hello_read(struct hello *m, struct frame *f, struct err *why);
/* Either type. Writing leaves room and sets m->values to it. */
int picture_values_write(struct frame **out, enum message type, struct picture_values *m, struct err *why);
int picture_values_read(struct picture_values *m, struct frame *f, struct err *why);
int piece_write(struct frame **out, struct piece *m, struct err *why); /* bytes NULL: room is left, m->bytes is set to it */
int piece_read(struct piece *m, struct frame *f, struct err *why);
int probed_write(struct frame **out, struct probed *m, struct err *why); /* filler NULL: room is left, m->filler is set to it */
int probed_read(struct probed *m, struct frame *f, struct err *why);
int meet_write(struct frame **out, const struct meet *m, struct err *why);
int meet_read(struct meet *m, struct frame *f, struct err *why);
int ready_write(struct frame **out, const struct ready *m, struct err *why);
int ready_read(struct ready *m, struct frame *f, struct err *why);
int work_write(struct frame **out, struct work *m, struct err *why);
int work_read(struct work *m, struct frame *f, struct err *why); /* also: rows sum up, size is exactly what cols and dtype say */
/* The same, M_SCORE: all rows of a segment want a token or their scores, and `history` includes them. */
int score_write(struct frame **out, struct work *m, struct err *why);
int score_read(struct work *m, struct frame *f, struct err *why);
int scored_write(struct frame **out, const struct scored *m, struct err *why);
int scored_read(struct scored *m, struct frame *f, struct err *why);
int result_write(struct frame **out, const struct result *m, struct err *why);
int result_read(struct result *m, struct frame *f, struct err *why);
int logits_write(struct frame **out, struct logits *m, struct err *why); /* room is left, m->scores is set to it */
int logits_read(struct logits *m, struct frame *f, struct err *why);
int ping_write(struct frame **out, enum message type, const struct ping *m, struct err *why);
int ping_read(struct ping *m, struct frame *f, struct err *why);
int report_write(struct frame **out, const struct report *m, struct err *why);
int report_read(struct report *m, struct frame *f, struct err *why);
int diary_ask_write(struct frame **out, const struct diary_ask *m, struct err *why);
int diary_ask_read(struct diary_ask *m, struct frame *f, struct err *why);
int diary_part_write(struct frame **out, const struct diary_part *m, struct err *why);
int diary_part_read(struct diary_part *m, struct frame *f, struct err *why);
int row_hashes_write(struct frame **out, struct row_hashes *m, struct err *why); /* leaves room and sets m->hashes to it */
int row_hashes_read(struct row_hashes *m, struct frame *f, struct err *why);
uint64_t row_hash_get(const struct row_hashes *m, uint32_t row, uint32_t layer);
void row_hash_put(struct row_hashes *m, uint32_t row, uint32_t layer, uint64_t hash);
int check_write(struct frame **out, const struct check *m, struct err *why);
int check_read(struct check *m, struct frame *f, struct err *why);
int unreachable_write(struct frame **out, const struct unreachable *m, struct err *why);
int unreachable_read(struct unreachable *m, struct frame *f, struct err *why);
int fault_write(struct frame **out, const struct fault *m, struct err *why);
int fault_read(struct fault *m, struct frame *f, struct err *why);
/* M_PIECE_ACK, M_REPORT_ASK, M_STOP: no body. */
int empty_write(struct frame **out, enum message type, struct err *why);

#define DIARY_PART_BYTES (32 + WIRE_SPANS * 32) /* of the body, at most */
uint64_t picture_values_bytes(uint64_t floats); /* of the body */
uint64_t work_bytes(uint32_t segments, uint32_t rows, uint32_t cols, enum wire_dtype dtype); /* of the body, without orders, biases and masks */
uint64_t work_bytes_most(uint32_t sequences, uint32_t rows, uint32_t cols, uint32_t vocab); /* whatever is asked, f32 */
