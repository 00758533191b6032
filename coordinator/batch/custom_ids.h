/* coordinator/batch/custom_ids.h — which custom_ids a job has had. 16 bytes for each; their hashes are kept, 64 bits, so among a
 * million different ones two that are taken for one come once in forty million jobs. */
#pragma once

#include "base/error.h"

#include <stdbool.h>

struct custom_ids;

int custom_ids_open(struct custom_ids **out, struct err *why);
void custom_ids_close(struct custom_ids **c); /* sets *c to NULL; NULL is fine */
int custom_ids_add(struct custom_ids *c, const char *id, bool *twice, struct err *why);
