/* partition/tool/inspect.h — tells a person, or a script, what a model file or folder is.
 *
 * GGUF text models, picture encoders (mmproj), split models, workers' shards, folders of Hugging Face checkpoints. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct inspect {
    bool tensors, keys; /* list them all */
    bool json;          /* one object instead of the table */
    uint32_t context;   /* to count memory for */
};

/* Prints to `to`. A file that is sound but not a model we run is no error: the report says why not. */
int inspect_file(FILE *to, const char *path, const struct inspect *how, struct err *why);
