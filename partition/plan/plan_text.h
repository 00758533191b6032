/* partition/plan/plan_text.h — splits and sizes as people write them on a command line.
 *
 * A list has a word for each worker, at most WORKERS_MOST. The caller frees it with free; after a failure there is none. */
#pragma once

#include "partition/plan/plan.h"

/* "12,11,11" is layers, and the last worker gets the head; "12+5,11+5,11+6" is layers and sixteenths of the head, where none
 * may be left out: "17+16,17". E_USAGE unless the sixteenths are 16 together. */
int plan_read_split(const char *text, struct cut **cuts, int *workers, struct err *why);

/* "1G,512M,2GiB"; 0 or empty: no limit. */
int plan_read_sizes(const char *text, uint64_t **sizes, int *count, struct err *why);

/* "layers", "copies", "9,9,0,9" or "all,0,all"; NULL chooses. The list is out->layers. E_USAGE. */
int vision_wish_read(struct vision_wish *out, const char *text, struct err *why);
