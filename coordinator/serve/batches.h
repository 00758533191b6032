/* coordinator/serve/batches.h — the batches of the store are answered, one after the other, while nobody else asks.
 *
 * A batch is a job as `gemmapipe batch` has it, with a journal below the store, so a server that was ended goes on where it was. Its lines
 * are less urgent than any request: they take sequences that are free, and give them back when somebody comes. What its lines may
 * read is what requests may: pictures in data: URLs, and below the server's folder of pictures.
 *
 * Threads: the engine's. */
#pragma once

#include "coordinator/batch/batch.h"
#include "coordinator/serve/call.h"
#include "coordinator/serve/store.h"

#define BATCH_PRIORITY (-100000) /* below all that a request may say of itself */

struct batches;

int batches_open(struct batches **out, struct store *store, const struct call_setup *calls, struct err *why);
/* What is under way is put away, so that the next server goes on; before the engine is closed. */
void batches_put_away(struct batches *b);
void batches_close(struct batches **b); /* after it; NULL is fine */

uint32_t batches_under_way(const struct batches *b); /* answers that the engine is asked for; NULL: none */
/* Before the engine's turn: takes lines for `room` answers more. After it: keeps what came. What goes wrong with a batch ends that batch. */
void batches_feed(struct batches *b, uint32_t room);
void batches_settle(struct batches *b);
