/* transport/links/name_lookup.h — a name looked up by a thread of its own: where nobody answers that takes ten seconds, and after three of
 * silence others give this process up. */
#pragma once

#include "transport/links/address.h"

struct lookup;

/* NULL: no memory, no thread. */
struct lookup *lookup_begin(const char *address);

/* False: it goes on. *unknown NULL: *out is filled in; else why the name stands for nothing. */
bool lookup_done(struct lookup *l, struct endpoints *out, const char **unknown);

void lookup_end(struct lookup **l); /* sets *l to NULL; NULL is fine. One that goes on ends by itself */
