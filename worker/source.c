/* worker/source.c — see source.h. */
#include "worker/source.h"

#include "base/log.h"
#include "partition/model/part_text.h"
#include "partition/file/encoder_file.h"
#include "partition/file/model_file.h"
#include "partition/file/shard_file.h"

#include <stdlib.h>

static int open_shard(struct gguf **g, const struct wanted *w, const char *path, struct err *why)
{
    struct shard_label label;
    char have[64], want[64];
    TRY(gguf_open(g, path, why));
    TRY(shard_label_read(&label, *g, why));
    if (!hash128_same(label.fingerprint, w->fingerprint)) return fail(why, E_FILE, "%s is a shard of another model", path);
    if (!part_within(w->part, label.part))
        return fail(why, E_FILE, "%s holds %s, wanted %s", path, show_part(have, label.part),
                    show_part(want, w->part));
    return shard_tensors(*g, &label, w->part, w->tensors, w->count, why);
}

/* The same file, if this host has it: same path, same fingerprint. */
static bool open_same_file(struct source *s, const struct wanted *w)
{
    const bool text = w->chain == CHAIN_TEXT;
    struct err why = {0};
    if (!w->path || !*w->path) return false;
    if (text ? model_open(&s->model, w->path, &why) : vision_open(&s->encoder, w->path, &why)) return false;
    if (hash128_same(text ? s->model->fingerprint : s->encoder->fingerprint, w->fingerprint)) return true;
    log_warn("%s here is not the coordinator's file of that name; asking for its layers instead", w->path);
    source_close(s);
    return false;
}

bool source_open(struct source *s, const struct wanted *w, const char *shard)
{
    struct err why = {0};
    *s = (struct source){0};
    if (shard) {
        if (!open_shard(&s->shard, w, shard, &why)) return true;
        gguf_close(&s->shard);
        for (uint32_t i = 0; i < w->count; i++) w->tensors[i].data = NULL;
        log_warn("%s; asking for the part instead", why.text);
    }
    if (!open_same_file(s, w)) return false;
    if (s->model) text_part_tensors(s->model, w->part, w->tensors);
    else vision_part_tensors(s->encoder, w->part, w->tensors);
    return true;
}

const struct gguf *source_file(const struct source *s)
{
    return s->shard ? s->shard : s->model ? s->model->file : s->encoder ? s->encoder->file : NULL;
}

void source_close(struct source *s)
{
    gguf_close(&s->shard);
    model_close(&s->model);
    vision_close(&s->encoder);
}
