/* partition/plan/speed.h — how fast a worker is: seconds for so many rows at once.
 *
 * Measured, it is a few curves of the worker as it is, with all its threads. Until a worker is measured the nominal speeds of
 * one thread stand in: a roofline over bytes to read and multiply-adds to do, of which only ratios mean something. Threads
 * count in full there, which flatters machines with many cores on few memory channels; `speed` of an offer corrects that.
 * Everyone who wants to know how long something takes asks here; what it consists of is in text_cost.h and vision_cost.h. The
 * planner, the scheduler (piece_quarters) and the simulator take the same curves. Numbers in, numbers out. */
#pragma once

#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

#define NOMINAL_BYTES_PER_SECOND 15e9 /* weights or keys and values, read by one thread */
#define NOMINAL_MACS_PER_SECOND 150e9 /* int8 multiply-adds of one thread */
#define FLOAT_MAC_PRICE 4.0           /* int8 multiply-adds in the time of one of F16, BF16 or F32 weights */
#define CURVE_POINTS 8

/* Seconds by rows. Rows ascend; between two points the line is straight, before the first it is level, and behind the last it goes
 * on as it came. */
struct curve {
    uint32_t n; /* points, at least one */
    double rows[CURVE_POINTS], seconds[CURVE_POINTS];
};
double curve_seconds(const struct curve *c, double rows);


/* The way from one worker to another. */
struct hop {
    double delay;            /* seconds of a message, however short */
    double bytes_per_second; /* beside that; 0: not known, bytes take no time */
};
double hop_seconds(const struct hop *h, double bytes);
#define NOMINAL_HOP ((struct hop){.delay = 100e-6}) /* of a usual network, until it is measured */

/* Of the way to one other worker, by what that one is called (speed.self). */
#define WAYS_MOST 4
struct way {
    uint64_t to;
    struct hop hop;
};

/* What was measured of one worker and one model. */
struct speed {
    struct curve local, global; /* a layer of the text, without looking back */
    double key;                 /* seconds for a row of a layer to look at one position, where each row has a sequence of its own */
    double piece_key;           /* the same where they are of one prompt and share a reading; 0: as `key` */
    struct curve head_part;     /* one of the head's HEAD_PARTS */
    double picture_layer;       /* seconds of a layer of the encoder for one picture */
    struct hop to, from;        /* the way from the coordinator and back; delay 0: not known */
    uint64_t self;              /* a number for where this worker is: who is in the same place has the same */
    uint32_t ways;
    struct way way[WAYS_MOST];  /* to other workers, as far as they were measured */
};

/* NULL: not measured. */
const struct hop *speed_way(const struct speed *from, const struct speed *to);

/* What a piece of a prompt costs a stage beside its rows, as reading the weights once more, in quarters of the time of a row.
 * Measured, it is where the curve of a layer would meet 0 rows. `measured` NULL: as was found for stages of so many threads
 * (docs/SPEED.md 11, 19, 28), 0 threads: nobody knows how many. */
uint32_t piece_quarters(const struct speed *measured, int threads);

/* The same of micro-batches of few rows, as answers have: what reading the weights costs a stage beside its rows, in rows. NULL: as was
 * found for matrices of 4 bits (stage_bench, 1 to 8 rows). */
double reading_rows(const struct speed *measured);

/* Groups that sequences form while all answer, in a pipe with places for `in_flight` of them: coordinator/engine/scheduler.c says why.
 * `stages` 0: as many as places. */
#define GROUP_ENOUGH 16
static inline uint32_t groups_of(uint32_t sequences, uint32_t stages, uint32_t in_flight)
{
    const bool few = sequences < GROUP_ENOUGH * (uint64_t)in_flight;
    return few && stages && stages < in_flight ? stages : in_flight;
}

/* One item on one nominal thread. */
struct item_work {
    double bytes;    /* of weights, read once per micro-batch */
    double macs;     /* multiply-adds per row */
    double kv_bytes; /* of keys and values read per row, none for the head */
    double kv_macs;  /* with them, per row */
};
/* Weights are read once and multiplied for each row, so that takes the larger of the two; keys and values are read for every row
 * anew and are added. */
double nominal_seconds(const struct item_work *w, double rows);
