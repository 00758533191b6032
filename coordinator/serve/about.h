/* coordinator/serve/about.h — what a server tells of its model without the engine: its name, its settings, ids of a text and back.
 *
 * On the library's thread, so a text may not be long. The shapes are llama.cpp's, with vllm's names beside them. */
#pragma once

#include "coordinator/serve/call.h"

#define ABOUT_TEXT_MOST (1u << 20) /* bytes of a text, and ids of a list */

struct known {
    const char *model;
    uint64_t begun; /* seconds since 1970 */
    const struct call_setup *calls; /* NULL while the model is loaded: then only its name is known */
};

void about_models(struct exchange *x, const struct known *a);
void about_props(struct exchange *x, const struct known *a);
void about_tokenize(struct exchange *x, const struct known *a);   /* {"content": …, "add_special": false, "with_pieces": false} */
void about_detokenize(struct exchange *x, const struct known *a); /* {"tokens": […]} */
