/* partition/file/encoder_file.h — a picture encoder's GGUF file (mmproj) as the nouns of partition/model. */
#pragma once

#include "partition/file/gguf.h"
#include "partition/model/vision_weights.h"

/* The file must hold exactly the encoder's tensors (439 in the real one) or is refused. Older files call the two matrices
 * of the ffn the wrong way round; their shapes tell, and here UP always is the first. */
int vision_open(struct vision_model **out, const char *path, struct err *why);
void vision_close(struct vision_model **model); /* sets *model to NULL; NULL is fine */

/* Reads and checks. A text model, another projector than Gemma 3's and a file without encoder are refused with a sentence. */
int vision_config_read(struct vision_config *out, const struct gguf *g, struct err *why);
