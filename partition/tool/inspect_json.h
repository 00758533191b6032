/* partition/tool/inspect_json.h — the findings of `inspect --json`: one object, sizes as bare numbers. */
#pragma once

#include "partition/tool/findings.h"

#include <stdio.h>

/* With the tensors of `g` or `c`, whichever is not NULL. */
void print_json(FILE *to, const struct findings *f, const struct gguf *g, const struct checkpoint *c);
