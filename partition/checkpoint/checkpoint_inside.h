/* partition/checkpoint/checkpoint_inside.h — what checkpoint.c and checkpoint_metadata.c share; nobody else includes it. */
#pragma once

#include "partition/checkpoint/checkpoint.h"
#include "base/mapped.h"
#include "partition/checkpoint/tokens.h"
#include "partition/file/safetensors.h"
#include "partition/model/weights.h"

#include <stdarg.h>

struct checkpoint_part {
    struct checkpoint_tensor *tensors;
    size_t n;
};

struct checkpoint {
    char *dir;
    struct hf_config config;
    struct safetensors *files;
    bool *used; /* per tensor of `files` */
    struct checkpoint_part parts[2];
    char *remarks[16];
    size_t n_remarks;
    struct token_list tokens;
};

/* A file of the folder, if it is there: *there says so, and then it is for the caller to close. */
int checkpoint_small(const struct checkpoint *c, const char *name, struct mapped *m, bool *there, struct err *why);

void checkpoint_note(struct checkpoint *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
