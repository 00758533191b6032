/* coordinator/cmd/batch_load.c — see batch_load.h. */
#include "coordinator/cmd/batch_load.h"

#include "coordinator/cmd/capacity.h"
#include "coordinator/cmd/typed_prompt.h"

#define BATCH_CONTEXT 4096 /* positions, unless --ctx says otherwise */

int batch_load_prepare(struct capacity *out, struct session *s, const struct job_file *file, struct err *why)
{
    struct options o = *s->options;
    const struct model_config *c = &s->pipe->model->config;
    const struct load load = {.prompt = 1, .answer = o.most, .prompts = job_file_lines(file) < UINT32_MAX ? (uint32_t)job_file_lines(file) : UINT32_MAX,
                              .whole = typed_prompt_picture_rows(s)};
    if (!o.context) o.context = c->context < BATCH_CONTEXT ? c->context : BATCH_CONTEXT;
    return capacity_for(out, &o, c, &load, why);
}

struct batch_setup batch_load_setup(struct session *s, const struct capacity *c, struct job_file *file, const char *folder)
{
    const struct options *o = s->options;
    return (struct batch_setup){
        .fleet = s->fleet, .tokens = s->tokens, .words = &s->words, .file = file, .folder = folder,
        .defaults = {.sampling = o->sampling, .most = o->most, .strict_fields = o->strict_fields},
        .common = {.created = o->created, .model = "", .tokens = s->tokens},
        .seed = o->sampling.seed, .window = 2 * c->sequences, .context = c->context,
        .picture_rows = typed_prompt_picture_rows(s), .picture_side = s->pipe->encoder ? s->pipe->encoder->config.image : 0,
        .picture_memory = o->picture_memory,
    };
}
