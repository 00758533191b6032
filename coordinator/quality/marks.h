/* coordinator/quality/marks.h — what the results of a test come to: parts with standard errors and intervals of 95 %. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define MARKS 5

struct marks {
    struct {
        double *v; /* [n] */
        size_t n, room;
    } of[MARKS];
};

/* A line of task_result. Start with {0}; marks_free. E_FILE if it is none. */
int marks_add(struct marks *m, const char *result, size_t n, struct err *why);
void marks_free(struct marks *m);

void marks_print(FILE *to, const struct marks *m, size_t failed, bool json);
