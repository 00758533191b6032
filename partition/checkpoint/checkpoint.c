/* partition/checkpoint/checkpoint.c — see checkpoint.h: which tensor of a checkpoint becomes which of a GGUF file.
 *
 * The text model's shapes come from the table in weights.c that also checks GGUF files; only the names are here. What
 * is found is struck off a list, so what is left at the end is a tensor nobody asked for, and a reason to refuse: it
 * may be an adapter, or a layer that the config does not know of. */
#include "partition/checkpoint/checkpoint.h"

#include "partition/checkpoint/checkpoint_inside.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMPARE_BYTES (1u << 20)

/* ---- names ---- */

/* As published, as re-saved by newer libraries, flat, before release, and a bare model. */
static const char *const text_prefixes[] = {"language_model.model.", "model.language_model.", "model.", ""};
static const char *const vision_prefixes[] = {"vision_tower.vision_model.", "model.vision_tower.vision_model.",
                                              "vision_model.vision_model.", "model.vision_tower.", "vision_tower."};
static const char *const projector_prefixes[] = {"multi_modal_projector.", "model.multi_modal_projector.",
                                                 "multimodal_projector."};
static const char *const head_names[] = {"language_model.lm_head.weight", "lm_head.weight", "model.lm_head.weight"};

static const char *const layer_names[W_LAYER_ROLES] = {
    [W_ATTN_NORM] = "input_layernorm",
    [W_Q] = "self_attn.q_proj",
    [W_K] = "self_attn.k_proj",
    [W_V] = "self_attn.v_proj",
    [W_Q_NORM] = "self_attn.q_norm",
    [W_K_NORM] = "self_attn.k_norm",
    [W_O] = "self_attn.o_proj",
    [W_ATTN_POST_NORM] = "post_attention_layernorm",
    [W_FFN_NORM] = "pre_feedforward_layernorm",
    [W_GATE] = "mlp.gate_proj",
    [W_UP] = "mlp.up_proj",
    [W_DOWN] = "mlp.down_proj",
    [W_FFN_POST_NORM] = "post_feedforward_layernorm",
};

enum vision_size { ABSENT, WIDE, FFN, SIDE, COLOURS, PATCHES, TEXT };

/* Shapes as in the checkpoint: the last one is contiguous. */
struct vision_name {
    const char *gguf, *hf;
    enum vision_size shape[4];
    enum tensor_use use;
};

static const struct vision_name vision_names[] = {
    {"v.patch_embd.weight", "embeddings.patch_embedding.weight", {WIDE, COLOURS, SIDE, SIDE}, USE_F32},
    {"v.patch_embd.bias", "embeddings.patch_embedding.bias", {WIDE}, USE_F32},
    {"v.position_embd.weight", "embeddings.position_embedding.weight", {PATCHES, WIDE}, USE_F32},
    {"v.post_ln.weight", "post_layernorm.weight", {WIDE}, USE_F32},
    {"v.post_ln.bias", "post_layernorm.bias", {WIDE}, USE_F32},
};

static const struct vision_name vision_layer_names[] = {
    {"ln1", "layer_norm1", {WIDE}, USE_F32},
    {"ln2", "layer_norm2", {WIDE}, USE_F32},
    {"attn_q", "self_attn.q_proj", {WIDE, WIDE}, USE_MATRIX},
    {"attn_k", "self_attn.k_proj", {WIDE, WIDE}, USE_MATRIX},
    {"attn_v", "self_attn.v_proj", {WIDE, WIDE}, USE_MATRIX},
    {"attn_out", "self_attn.out_proj", {WIDE, WIDE}, USE_MATRIX},
    {"ffn_up", "mlp.fc1", {FFN, WIDE}, USE_MATRIX},
    {"ffn_down", "mlp.fc2", {WIDE, FFN}, USE_MATRIX},
};

static const struct vision_name projector_names[] = {
    {"mm.soft_emb_norm.weight", "mm_soft_emb_norm.weight", {WIDE}, USE_F32},
    {"mm.input_projection.weight", "mm_input_projection_weight", {WIDE, TEXT}, USE_PROJECTION},
};

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* The prefix under which `name` is found; NULL if none. Two would be two models in one folder. */
static int find_prefix(const struct checkpoint *c, const char *const *prefixes, size_t n, const char *name,
                       const char **out, struct err *why)
{
    char full[128];
    *out = NULL;
    for (size_t i = 0; i < n; i++) {
        snprintf(full, sizeof full, "%s%s", prefixes[i], name);
        if (!safetensors_find(c->files, full)) continue;
        if (*out)
            return fail(why, E_FILE, "%s holds both %s%s and %s; wanted one model", c->dir, *out, name, full);
        *out = prefixes[i];
    }
    return 0;
}

/* ---- one tensor ---- */

static void show_shape(char out[96], uint32_t n, const uint64_t *dims)
{
    size_t at = 0;
    for (uint32_t i = 0; i < n; i++) at += (size_t)snprintf(out + at, 96 - at, "%s%" PRIu64, i ? ", " : "", dims[i]);
    if (!n) *out = 0;
}

/* Appends `name`, found as `source` in the checkpoint, if it is there in the shape wanted (outermost first). */
static int bind(struct checkpoint *c, enum chain part, const char *name, const char *source, enum tensor_use use,
                uint32_t n_dims, const uint64_t *shape, struct err *why)
{
    const struct safetensor *t = safetensors_find(c->files, source);
    char found[96], wanted[96];
    if (!t) return fail(why, E_FILE, "%s has no tensor %s", c->dir, source);
    if (t->type == SAFETENSOR_WHOLE)
        return fail(why, E_FILE, "%s: the tensor %s holds whole numbers; wanted the unquantised checkpoint, in BF16, F16 or F32",
                    safetensors_file(c->files, t->file)->path, source);
    show_shape(found, t->n_dims, t->dims);
    show_shape(wanted, n_dims, shape);
    if (strcmp(found, wanted))
        return fail(why, E_FILE, "%s: the tensor %s is [%s], by config.json it is [%s]",
                    safetensors_file(c->files, t->file)->path, source, found, wanted);
    struct checkpoint_tensor *out = &c->parts[part].tensors[c->parts[part].n++];
    *out = (struct checkpoint_tensor){.source = t->name, .use = use, .part = part, .type = t->type, .n_dims = n_dims,
                                      .dims = {1, 1, 1, 1}, .elements = t->elements, .bytes = t->bytes,
                                      .data = t->data, .file = t->file, .offset = t->offset};
    snprintf(out->name, sizeof out->name, "%s", name);
    for (uint32_t i = 0; i < n_dims; i++) out->dims[i] = shape[n_dims - 1 - i];
    c->used[t - safetensors_at(c->files, 0)] = true;
    return 0;
}

/* ---- text ---- */

static int bind_text(struct checkpoint *c, const struct tensor *t, const char *prefix, struct err *why)
{
    char name[ROLE_NAME_ROOM], source[128];
    bool norm = role_is_norm(t->role);
    uint64_t shape[2] = {t->rows, t->cols};
    if (t->role < W_LAYER_ROLES) {
        role_tensor_name(name, t->role, t->layer);
        snprintf(source, sizeof source, "%slayers.%u.%s.weight", prefix, t->layer, layer_names[t->role]);
    } else {
        snprintf(name, sizeof name, "%s.weight", norm ? "output_norm" : "token_embd");
        snprintf(source, sizeof source, "%s%s.weight", prefix, norm ? "norm" : "embed_tokens");
    }
    enum tensor_use use = norm ? USE_F32 : t->role == W_HEAD ? USE_EMBEDDING : USE_MATRIX;
    TRY(bind(c, CHAIN_TEXT, name, source, use, norm ? 1 : 2, norm ? shape + 1 : shape, why));
    c->parts[CHAIN_TEXT].tensors[c->parts[CHAIN_TEXT].n - 1].add_one = norm;
    return 0;
}

static int same_bytes(const struct checkpoint *c, const struct checkpoint_tensor *a, const struct safetensor *b,
                      bool *same, struct err *why)
{
    *same = a->type == b->type && a->bytes == b->bytes;
    uint8_t *buffer = malloc(2 * COMPARE_BYTES);
    int code = buffer ? 0 : fail(why, E_MEMORY, "no memory to compare %s with the embeddings", b->name);
    for (uint64_t at = 0; !code && *same && at < b->bytes; at += COMPARE_BYTES) {
        size_t n = b->bytes - at < COMPARE_BYTES ? (size_t)(b->bytes - at) : COMPARE_BYTES;
        code = mapped_read(safetensors_file(c->files, a->file), a->offset + at, buffer, n, why);
        if (!code) code = mapped_read(safetensors_file(c->files, b->file), b->offset + at, buffer + COMPARE_BYTES, n, why);
        if (!code) *same = !memcmp(buffer, buffer + COMPARE_BYTES, n);
    }
    free(buffer);
    return code;
}

/* A head stored although it is the embeddings is left out, as published files have it. */
static int bind_head(struct checkpoint *c, struct err *why)
{
    const uint64_t shape[2] = {c->config.text.vocab, c->config.text.hidden};
    const char *prefix;
    bool same;
    TRY(find_prefix(c, head_names, COUNT(head_names), "", &prefix, why));
    if (!prefix) return 0;
    const struct safetensor *head = safetensors_find(c->files, prefix);
    TRY(same_bytes(c, &c->parts[CHAIN_TEXT].tensors[0], head, &same, why));
    c->used[head - safetensors_at(c->files, 0)] = true;
    if (!same) return bind(c, CHAIN_TEXT, "output.weight", prefix, USE_HEAD, 2, shape, why);
    checkpoint_note(c, "%s equals the embeddings and is left out", head->name);
    return 0;
}

static int bind_text_part(struct checkpoint *c, const char *prefix, struct err *why)
{
    struct part all = {0, c->config.text.layers, 0, HEAD_PARTS, false};
    size_t n = part_count(CHAIN_TEXT, all);
    struct tensor *shapes = calloc(n, sizeof *shapes);
    c->parts[CHAIN_TEXT].tensors = calloc(n + 1, sizeof *c->parts->tensors); /* and the embeddings */
    int code = shapes && c->parts[CHAIN_TEXT].tensors ? 0 : fail(why, E_MEMORY, "no memory for the tensors of %s", c->dir);
    if (!code) text_part_shape(&c->config.text, all, shapes);
    if (!code) code = bind_text(c, &shapes[n - 1], prefix, why);
    for (size_t i = 0; i < n - 1 && !code; i++) code = bind_text(c, &shapes[i], prefix, why);
    free(shapes);
    return code ? code : bind_head(c, why);
}

/* ---- vision ---- */

static uint64_t vision_size(const struct hf_config *c, enum vision_size size)
{
    switch (size) {
    case ABSENT: return 0;
    case WIDE: return c->vision.hidden;
    case FFN: return c->vision.ffn;
    case SIDE: return c->vision.patch_size;
    case COLOURS: return 3;
    case PATCHES: return (uint64_t)hf_vision_side(&c->vision) * hf_vision_side(&c->vision);
    case TEXT: return c->text.hidden;
    }
    return 0;
}

static int bind_vision(struct checkpoint *c, const struct vision_name *v, const char *name, const char *source,
                       struct err *why)
{
    uint64_t shape[4];
    uint32_t n = 0;
    while (n < 4 && v->shape[n] != ABSENT) shape[n] = vision_size(&c->config, v->shape[n]), n++;
    return bind(c, CHAIN_VISION, name, source, v->use, n, shape, why);
}

static int bind_vision_layer(struct checkpoint *c, const char *prefix, uint32_t layer, const struct vision_name *v,
                             struct err *why)
{
    char name[64], source[128];
    struct vision_name bias = {v->gguf, v->hf, {v->shape[0]}, USE_F32};
    snprintf(name, sizeof name, "v.blk.%u.%s.weight", layer, v->gguf);
    snprintf(source, sizeof source, "%sencoder.layers.%u.%s.weight", prefix, layer, v->hf);
    TRY(bind_vision(c, v, name, source, why));
    snprintf(name, sizeof name, "v.blk.%u.%s.bias", layer, v->gguf);
    snprintf(source, sizeof source, "%sencoder.layers.%u.%s.bias", prefix, layer, v->hf);
    return bind_vision(c, &bias, name, source, why);
}

static int bind_list(struct checkpoint *c, const char *prefix, const struct vision_name *names, size_t n,
                     struct err *why)
{
    char source[128];
    for (size_t i = 0; i < n; i++) {
        snprintf(source, sizeof source, "%s%s", prefix, names[i].hf);
        TRY(bind_vision(c, &names[i], names[i].gguf, source, why));
    }
    return 0;
}

static int bind_vision_part(struct checkpoint *c, struct err *why)
{
    const char *prefix, *projector;
    struct checkpoint_part *part = &c->parts[CHAIN_VISION];
    TRY(find_prefix(c, vision_prefixes, COUNT(vision_prefixes), vision_names[0].hf, &prefix, why));
    TRY(find_prefix(c, projector_prefixes, COUNT(projector_prefixes), projector_names[0].hf, &projector, why));
    if (!prefix && !projector) {
        checkpoint_note(c, "config.json speaks of a picture encoder; there are no weights of one");
        return 0;
    }
    if (!prefix || !projector)
        return fail(why, E_FILE, "%s has the picture %s but not the %s", c->dir, prefix ? "encoder" : "projector",
                    prefix ? "projector" : "encoder");
    part->tensors = calloc(c->config.vision.layers * 16ul + 7, sizeof *part->tensors);
    if (!part->tensors) return fail(why, E_MEMORY, "no memory for the tensors of %s", c->dir);
    TRY(bind_list(c, prefix, vision_names, COUNT(vision_names), why));
    for (uint32_t layer = 0; layer < c->config.vision.layers; layer++)
        for (size_t i = 0; i < COUNT(vision_layer_names); i++)
            TRY(bind_vision_layer(c, prefix, layer, &vision_layer_names[i], why));
    TRY(bind_list(c, projector, projector_names, COUNT(projector_names), why));
    part->tensors[part->n - 2].add_one = true; /* the projector's RMSNorm; LayerNorms are stored as they are */
    return 0;
}

/* ---- the folder ---- */

/* What libraries once saved beside the weights, and compute anew: angles of RoPE, the numbers 0, 1, 2 and so on. */
static bool is_computed(const char *name)
{
    static const char *const ends[] = {".inv_freq", ".position_ids"};
    size_t n = strlen(name);
    for (size_t i = 0; i < COUNT(ends); i++)
        if (n > strlen(ends[i]) && !strcmp(name + n - strlen(ends[i]), ends[i])) return true;
    return false;
}

static int check_nothing_else(struct checkpoint *c, struct err *why)
{
    uint32_t computed = 0;
    for (size_t i = 0; i < safetensors_count(c->files); i++)
        if (is_computed(safetensors_at(c->files, i)->name)) computed++;
        else if (!c->used[i])
            return fail(why, E_FILE, "%s holds the tensor %s, which a Gemma 3 of %u layers%s does not have", c->dir,
                        safetensors_at(c->files, i)->name, c->config.text.layers,
                        c->config.has_vision ? "" : " and without pictures");
    if (computed) checkpoint_note(c, "tensors that are no weights are left out, such as inv_freq and position_ids: %u", computed);
    return 0;
}

static int bind_all(struct checkpoint *c, struct err *why)
{
    const char *prefix;
    c->used = calloc(safetensors_count(c->files) + 1, sizeof *c->used);
    if (!c->used) return fail(why, E_MEMORY, "no memory for the tensors of %s", c->dir);
    TRY(find_prefix(c, text_prefixes, COUNT(text_prefixes), "embed_tokens.weight", &prefix, why));
    if (!prefix)
        return fail(why, E_FILE, "%s has no tensor embed_tokens.weight under any of the names in use, such as "
                    "language_model.model.embed_tokens.weight", c->dir);
    TRY(bind_text_part(c, prefix, why));
    checkpoint_note(c, "tensors are named %s...", prefix);
    if (c->config.has_vision) TRY(bind_vision_part(c, why));
    return check_nothing_else(c, why);
}

static int open_checkpoint(struct checkpoint *c, const char *dir, struct err *why)
{
    c->dir = strdup(dir);
    char *config = path_in(dir, "config.json");
    int code = !c->dir || !config ? fail(why, E_MEMORY, "no memory to open %s", dir)
             : !is_folder(dir)  ? fail(why, E_FILE, "%s is not a folder; wanted a checkpoint's", dir)
             : !is_file(config) ? fail(why, E_FILE, "%s has no config.json; wanted a checkpoint's folder", dir)
                                : hf_config_read(&c->config, config, why);
    free(config);
    if (!code) code = safetensors_open(&c->files, dir, why);
    return code ? code : bind_all(c, why);
}

int checkpoint_open(struct checkpoint **out, const char *dir, struct err *why)
{
    *out = calloc(1, sizeof **out);
    if (!*out) return fail(why, E_MEMORY, "no memory to open %s", dir);
    int code = open_checkpoint(*out, dir, why);
    if (code) checkpoint_close(out);
    return code;
}

void checkpoint_close(struct checkpoint **checkpoint)
{
    struct checkpoint *c = *checkpoint;
    *checkpoint = NULL;
    if (!c) return;
    safetensors_close(&c->files);
    for (size_t i = 0; i < c->n_remarks; i++) free(c->remarks[i]);
    free(c->parts[CHAIN_TEXT].tensors);
    free(c->parts[CHAIN_VISION].tensors);
    tokens_free(&c->tokens);
    free(c->used);
    free(c->dir);
    free(c);
}

/* ---- looking ---- */

const struct hf_config *checkpoint_config(const struct checkpoint *c)
{
    return &c->config;
}

bool checkpoint_has_vision(const struct checkpoint *c)
{
    return c->parts[CHAIN_VISION].n > 0;
}

size_t checkpoint_count(const struct checkpoint *c, enum chain part)
{
    return c->parts[part].n;
}

const struct checkpoint_tensor *checkpoint_at(const struct checkpoint *c, enum chain part, size_t i)
{
    return &c->parts[part].tensors[i];
}

uint32_t checkpoint_files(const struct checkpoint *c)
{
    return safetensors_files(c->files);
}

const char *checkpoint_path(const struct checkpoint *c, uint32_t file)
{
    return safetensors_file(c->files, file)->path;
}

int checkpoint_read(const struct checkpoint *c, const struct checkpoint_tensor *t, uint64_t from, void *out, size_t n,
                    struct err *why)
{
    if (from > t->bytes || n > t->bytes - from)
        return fail(why, E_INTERNAL, "read past the end of the tensor %s", t->source);
    return mapped_read(safetensors_file(c->files, t->file), t->offset + from, out, n, why);
}

void checkpoint_note(struct checkpoint *c, const char *format, ...)
{
    char text[300];
    va_list args;
    if (c->n_remarks == COUNT(c->remarks)) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    c->remarks[c->n_remarks] = strdup(text);
    if (c->remarks[c->n_remarks]) c->n_remarks++;
}

bool checkpoint_remark(const struct checkpoint *c, size_t i, char *out, size_t room)
{
    if (i >= c->n_remarks) return false;
    snprintf(out, room, "%s", c->remarks[i]);
    return true;
}
