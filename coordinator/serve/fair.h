/* coordinator/serve/fair.h — whose request is next, where several ask at the same time.
 *
 * Each owner has an account of the tokens that were computed for it, words made counting double (they cost a pass of their own);
 * whoever has the smallest account is next, of equals who waits longest. Who was idle comes back with at least the smallest account of those
 * who were not, so nobody saves up by waiting. While two wait their accounts differ by no more than what the requests of one that are under
 * way cost (after the virtual token counter of Sheng et al., 2024). Not safe for threads. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fair;

int fair_open(struct fair **out, size_t owners, struct err *why); /* 0..owners-1 */
void fair_close(struct fair **f); /* NULL is fine; items are the caller's */

int fair_put(struct fair *f, size_t owner, void *item, struct err *why);
void *fair_take(struct fair *f, size_t *owner); /* NULL: nobody waits. The owner has one more under way */
void fair_charge(struct fair *f, size_t owner, uint64_t prompt_tokens, uint64_t made);
void fair_done(struct fair *f, size_t owner);   /* one that was taken is over */
/* One who waits and of whom `drop` says true, with its owner; nobody waits for it any more. NULL: there is none. */
void *fair_drop(struct fair *f, bool (*drop)(void *item), size_t *owner);
size_t fair_waiting(const struct fair *f);
