/* base/whole_file.h — a file of numbers that has its name only when it is whole. */
#ifndef BASE_WHOLE_FILE_H
#define BASE_WHOLE_FILE_H

#include "base/error.h"

#include <stdbool.h>
#include <stdio.h>

struct output_file {
    FILE *to;
    char *temporary; /* what it is called until then */
    const char *name;
    bool direct;     /* a device: written as it is */
};

int output_file_open(struct output_file *f, const char *name, struct err *why);
/* code 0: gives it its name. Else removes what was written and passes the code on. */
int output_file_close(struct output_file *f, int code, struct err *why);

#endif
