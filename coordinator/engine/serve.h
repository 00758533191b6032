/* coordinator/engine/serve.h — keeps a launched pipeline busy until its requests are answered.
 *
 * The scheduler decides, this loop carries: rows out, tokens in. A request belongs to the caller and must stay where it
 * is until serve_drop or serve_close. */
#ifndef COORDINATOR_ENGINE_SERVE_H
#define COORDINATOR_ENGINE_SERVE_H

#include "coordinator/engine/pictures.h"
#include "coordinator/cluster/pipeline.h"
#include "coordinator/engine/request.h"

struct server;

int serve_open(struct server **out, struct pipeline *p, struct err *why);
void serve_close(struct server **s);

/* The pictures of this pipeline; NULL without an encoder. */
struct pictures *serve_pictures(struct server *s);

int serve_add(struct server *s, struct request *r, struct err *why);
/* The next turn of a kept request: r->ids already has the new ids appended. */
int serve_more(struct server *s, struct request *r, struct err *why);
/* A kept request is over. */
int serve_drop(struct server *s, struct request *r, struct err *why);
/* Gives back what a request holds of the server (its pictures) and frees what it owns. It must be over, or the server about
 * to be closed. */
void serve_forget(struct server *s, struct request *r);
/* Only pictures: until all of them are rows. */
int serve_look(struct server *s, struct err *why);

/* Until no request is unanswered. Progress (prompts done) is shown if `label` is given. */
int serve_run(struct server *s, const char *label, struct err *why);

struct serve_totals {
    uint64_t prompt_rows, made;
    uint64_t begun_ns, last_first_ns, ended_ns; /* first row in; last of the first tokens; last token */
    uint64_t batches, rows;
};
struct serve_totals serve_totals(const struct server *s);

#endif
