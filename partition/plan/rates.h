/* partition/plan/rates.h — what a plan will give: tokens a second, where the time goes, and what holds it up. Numbers in, numbers out.
 *
 * A ring of stages turns as fast as its slowest part lets it, and not faster than what is under way comes round, or than the cores that stages
 * of one machine share compute it all:
 *
 *   groups a second = the least of   1 / the slowest stage,   1 / the slowest line,   groups under way / once round,   cores / all that they compute
 *
 * Once round is the sum over all stages and ways: a message from the coordinator to the first stage, from each to the next, home, and
 * where the head is divided once more to all who have a part of it and back. A group that is alone has its parts of the head computed at the
 * same time; of several each waits for the others there. Ways between two workers count as they were measured. Of those that were
 * not a switch is assumed, and each one's own line to it as the coordinator found it: the delay is the mean of what each has, and bytes go as
 * fast as the slower of the sender's line out and the receiver's line in. Travel counts only where all workers were measured; nominal seconds say how
 * machines compare, and a message is not a part of that. */
#pragma once

#include "partition/plan/plan.h"

struct stage_rates { /* of one worker of the text */
    double answer; /* seconds of a group of tokens, one of each of its sequences */
    double prompt; /* seconds of a full micro-batch of a prompt */
    double pictures; /* seconds of the pictures that come with a group of tokens: the encoder's layers, and their rows as a prompt */
    double send;   /* seconds that handing on a group of tokens keeps its lines busy */
};

#define RATES_ERROR 0.15 /* most rates, as predicted of measured workers, are within this of what is measured (docs/PLANNING.md): ways that differ by less are not told apart for sure */

enum rates_bound { BOUND_STAGE, BOUND_LINE, BOUND_ROUND, BOUND_CORES };

struct rates {
    double answers; /* tokens a second of all sequences together, when all have something to say; with the pictures of the wish */
    double alone;   /* of a sequence that has the pipe to itself */
    double prompts; /* tokens a second of long prompts, streamed */
    enum rates_bound bound; /* what `answers` is held up by */
    int slowest;    /* worker of the slowest stage, or with the slowest line */
    double busy;    /* part of their time that stages compute while all answer, in the mean */
    bool measured;  /* by measured speeds, with travel */
};

/* Of a plan with text. `stages`: [plan_stages], may be NULL. */
void plan_rates(struct rates *out, struct stage_rates *stages, const struct plan *p, const struct model_shape *shape,
                const struct worker_offer *offers);

/* What is wanted most of it, in tokens a second; `offers` are in the order of its workers. */
double plan_value(const struct plan *p, const struct model_shape *shape, const struct worker_offer *offers, const struct plan_wish *wish);

bool plan_measured(const struct worker_offer *offers, int n); /* all of them */

/* The cores that these share, where together they would use more; 0: they have enough. */
double plan_cores_short(const struct worker_offer *offers, int n);
/* What workers that were busy for so long took of the cores that they share, [n]: seconds of all cores; 0 where nobody shares any. */
double plan_cores_seconds(const struct worker_offer *offers, const double *busy, int n);

/* Of a micro-batch of so many rows, `wanted` of which want a token: all its messages one after the other, and how long they keep the lines
 * of one worker busy. 0 where not all are measured. */
double plan_travel(const struct plan *p, const struct model_shape *shape, const struct worker_offer *offers, double rows, double wanted);
double plan_line_seconds(const struct plan *p, const struct model_shape *shape, const struct worker_offer *offers, int worker, double rows);

/* Seconds from asking to the first token of a prompt of so many tokens that has the pipe to itself, in pieces of the best length. */
double plan_first_token(const struct plan *p, const struct model_shape *shape, const struct worker_offer *offers, uint32_t prompt);

/* Whether rows of one for the other have to pass through the coordinator. */
bool offers_apart(const struct worker_offer *a, const struct worker_offer *b);
bool apart_noted(const struct apart *apart, int n, int a, int b);

/* The way from one worker of the plan to another, or from or to the coordinator (-1). No time where it was not measured. */
struct hop plan_hop(const struct worker_offer *offers, int from, int to);
