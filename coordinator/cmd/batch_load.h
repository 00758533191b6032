/* coordinator/cmd/batch_load.h — what a file of requests asks of a pipeline, the same whether its results are kept or only measured. */
#pragma once

#include "coordinator/batch/batch.h"
#include "coordinator/cmd/session.h"

/* Before the launch: what the pipeline must be prepared for, by the session's options and the number of lines. */
int batch_load_prepare(struct capacity *out, struct session *s, const struct job_file *file, struct err *why);

/* After it: all that says what is asked and how; the caller adds journal, outputs, and what results look like. `folder`: of pictures. */
struct batch_setup batch_load_setup(struct session *s, const struct capacity *c, struct job_file *file, const char *folder);
