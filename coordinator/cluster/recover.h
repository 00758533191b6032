/* coordinator/cluster/recover.h — from "there may be workers" to a pipeline that is whole, and back to that after every loss.
 *
 *              all live ones answered          all READY
 *   HEARING ────────────────────► DELIVERING ────────────► whole
 *     ▲  ▲ └► PROBING, at first, where a cut follows from speeds that nobody knows (probing.h), and then the plan
 *     │  │                            │                      │
 *     │  └──────── who has a part of the plan is lost ───────┘
 *     └── too little memory in those who are here: waits for others
 *
 * Who says that it is to end computes on until a plan without it is possible; then all that is under way comes home, it is let go, and the others
 * begin anew. In the same way layers are moved to other workers, where somebody wants to see whether they compute the same.
 *
 * The first launch is the same as going on after a loss, only that nothing has to be computed again. Nothing here waits: whoever listens
 * to the roster passes on what comes. With each way back to HEARING the pipeline's epoch rises; whoever computes with it looks at epoch
 * and `whole`, and begins all again when they change. Frames of earlier epochs are dropped by the port. */
#pragma once

#include "coordinator/cluster/pipeline.h"

/* Greets all members. The same capacity is wanted of every plan; NULL: they are only measured, and get no part. */
int  recover_open(struct pipeline *p, const struct capacity *wanted, struct err *why);
/* Greets all members, in epoch 0, and measures them where a launch would; recover_measured says when all have answered. */
int  recover_hear(struct pipeline *p, struct err *why);
void recover_close(struct pipeline *p);

/* An event of the roster; of frames that come while the pipeline is whole those that whoever computes with it did not expect. Also when
 * nothing happened: time does pass. Who breaks the protocol is lost, which comes as the next event. An error is the end of the run. */
int recover_event(struct pipeline *p, struct event *e, struct err *why);

/* To be called often: others are called in the place of who is lost, joiners are heard. Workers that are here and have no part get one, if the
 * plan is for fewer than there could be: all begin again for that, so it is done when nothing is under way (idle), or half a minute
 * after the last new beginning. */
int recover_look_around(struct pipeline *p, bool idle, struct err *why);

/* Nothing is under way any more, and p->hands_over: who is to end is let go, and the others begin anew. */
int recover_hand_over(struct pipeline *p, struct err *why);

/* The layers can lie in so many ways (planning.h): 1 where nobody could begin anew. Who would compute each of them, then the head, in one of these;
 * false: it is not possible. recover_move: they shall, and p->hands_over. */
int  recover_ways(const struct pipeline *p);
bool recover_way(const struct pipeline *p, int way, const struct member **by);
void recover_move(struct pipeline *p, int way);

bool recover_measured(const struct pipeline *p);

/* What was lost, and what is done about it, to be said with what it costs; empty: nothing new. The caller empties it. */
char *recover_news(struct pipeline *p);
