/* partition/inspect.h — tells a person what a model file is. */
#ifndef PARTITION_INSPECT_H
#define PARTITION_INSPECT_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct inspect {
    bool tensors, keys; /* list them all */
    uint32_t context;   /* to count memory for */
};

/* Prints to `to`. A GGUF file that is sound but not a model we run is no error: the report says why not. */
int inspect_file(FILE *to, const char *path, const struct inspect *how, struct err *why);

#endif
