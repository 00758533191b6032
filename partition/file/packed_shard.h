/* partition/file/packed_shard.h — a worker's part of a text model as a folder of packed files (packed_file.h): one for each layer, one
 * for the head. What shard_file.h is to a model's file, this is to a worker's memory: it maps them, and nothing is packed again. */
#pragma once

#include "partition/file/packed_file.h"

/* Makes the folder if there is none. *bytes: of all its files. E_FILE if a weight is no finite number, as the worker would say. */
int packed_shard_write(const struct model *m, struct part s, const char *folder, uint64_t *bytes, struct err *why);

/* Removes these files, and the folder if it is empty then. */
void packed_shard_remove(const struct model *m, struct part s, const char *folder);
