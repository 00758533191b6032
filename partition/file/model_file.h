/* partition/file/model_file.h — a text model's GGUF file as the nouns of partition/model. */
#pragma once

#include "partition/file/gguf.h"
#include "partition/model/weights.h"

/* The file must hold exactly the architecture's tensors: one missing, one unknown or one of another shape is refused. */
int model_open(struct model **out, const char *path, struct err *why);
void model_close(struct model **model); /* sets *model to NULL; NULL is fine */

/* Reads and checks; refuses anything that is not architecture `gemma3`, and Ollama's own files, with a sentence. */
int config_read(struct model_config *out, const struct gguf *g, struct err *why);

/* The same keys of a file to be made. `local_base`: also the local RoPE base, which many files leave unsaid. */
struct gguf_out;
void config_write(const struct model_config *c, struct gguf_out *o, bool local_base);
