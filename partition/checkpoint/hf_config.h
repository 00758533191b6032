/* partition/checkpoint/hf_config.h — config.json of a Hugging Face checkpoint: sizes of the text model and the picture encoder.
 *
 * Two layouts are in use: flat ("gemma3_text": 270M and 1B) and nested ("gemma3" with text_config and vision_config: 4B
 * and up). A key that is not there has the value that the published model class gives it; the original 4B file names
 * five of twenty. Another architecture, or a setting the engine does not compute, is refused. */
#pragma once

#include "base/error.h"

#include <stddef.h>
#include "partition/model/config.h"

struct hf_vision_config {
    uint32_t layers, hidden, ffn, heads;
    uint32_t image_size, patch_size; /* pixels */
    uint32_t image_rows;             /* rows one picture becomes in the text model: 256 */
    float norm_epsilon;
};

struct hf_config {
    struct model_config text;
    bool has_vision;
    struct hf_vision_config vision;
    int64_t eos_id, bos_id, pad_id;                         /* -1 where config.json does not say */
    int64_t image_start_id, image_end_id, image_soft_id;    /* likewise */
};

/* `text` is the file's n bytes, `from` its name for sentences. */
int hf_config_parse(struct hf_config *out, const char *text, size_t n, const char *from, struct err *why);
int hf_config_read(struct hf_config *out, const char *path, struct err *why);

/* Patches along one side of the picture, and bounds that every use relies on (as config_check). */
uint32_t hf_vision_side(const struct hf_vision_config *v);
int hf_vision_check(const struct hf_vision_config *v, const char *from, struct err *why);
