/* partition/make/quantize_model.h — one model, from a folder or a GGUF file, into quantised GGUF files. */
#pragma once

#include "partition/make/recipe.h"

#include <stdio.h>

struct quantize_job {
    const char *in, *out;
    const char *mmproj; /* NULL: the picture encoder is left out */
    struct recipe recipe;
    int threads;
    bool table;
};

/* Writes all files or fails; what it did goes to `report`. Everything about the input that can be refused is refused
 * before anything is written, but for values that are no numbers. */
int quantize_model(FILE *report, const struct quantize_job *job, struct err *why);
