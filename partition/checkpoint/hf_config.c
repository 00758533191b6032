/* partition/checkpoint/hf_config.c — see hf_config.h.
 *
 * The keys of the text model stand at the top of a flat file and under text_config in a nested one, and which it is is
 * said by a third key that may come last. So both places are read into a set of their own, and model_type chooses. */
#include "partition/checkpoint/hf_config.h"

#include "base/json.h"
#include "base/mapped.h"

#include <math.h>
#include <string.h>

#define MAX_FILE (1u << 20)
#define MAX_SIZE (1u << 24)
#define FIELDS_MOST 40

/* ---- keys by table ---- */

struct field {
    const char *key;
    size_t offset;
    int (*read)(struct json *j, void *to);
};

static int read_size(struct json *j, void *to)
{
    return json_u32(j, 0, MAX_SIZE, to);
}

static int read_float(struct json *j, void *to)
{
    double d = 0;
    TRY(json_double(j, &d));
    *(float *)to = (float)d;
    return 0;
}

static int read_truth(struct json *j, void *to)
{
    return json_truth(j, to);
}

/* A word, shortened: only compared with words that fit. */
struct word {
    char text[40];
};

static int read_word(struct json *j, void *to)
{
    struct word *w = to;
    struct json_text s = {"", 0};
    char shown[64];
    TRY(json_string(j, &s));
    json_plain(shown, s);
    memcpy(w->text, shown, sizeof w->text - 1);
    w->text[sizeof w->text - 1] = 0;
    return 0;
}

/* A number, or the first of a list of them. */
static int read_id(struct json *j, void *to)
{
    uint32_t id = 0;
    bool list = json_peek(j) == JSON_ARRAY, first = true;
    if (!list) {
        TRY(json_u32(j, 0, MAX_SIZE, &id));
        return *(int64_t *)to = id, 0;
    }
    TRY(json_array(j));
    while (json_item(j)) {
        TRY(json_u32(j, 0, MAX_SIZE, &id));
        if (first) *(int64_t *)to = id;
        first = false;
    }
    return json_done(j);
}

/* Every key of the object here that the table has goes into `into`; null says nothing; the others are skipped. */
static int read_fields(struct json *j, const struct field *fields, size_t n, void *into)
{
    struct json_text key;
    bool seen[FIELDS_MOST] = {false};
    TRY(json_object(j));
    while (json_key(j, &key)) {
        size_t i = 0;
        while (i < n && !json_is(key, fields[i].key)) i++;
        if (i < n && seen[i]) return json_fail(j, "\"%s\" stands there twice", fields[i].key);
        if (i < n) seen[i] = true;
        bool skip = i == n || json_peek(j) == JSON_NULL;
        TRY(skip ? json_skip(j) : fields[i].read(j, (char *)into + fields[i].offset));
    }
    return json_done(j);
}

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* ---- the text model ---- */

/* A RoPE setting; NaN: not said. */
struct rope {
    struct word type;
    float factor, base;
};

struct ropes {
    struct rope global, local;
};

struct text_keys {
    struct model_config c;
    uint32_t scalar, pattern, pattern_of_types;
    uint32_t layer_types; /* how many the list has; 0: no list */
    struct word model_type, activation;
    float attention_cap, final_cap;
    bool bias, both_ways, quantised;
    struct rope scaling;
    struct ropes ropes;
};

static const struct text_keys text_defaults = {
    .c = {.layers = 26, .hidden = 2304, .ffn = 9216, .heads = 8, .kv_heads = 4, .head_dim = 256, .window = 4096,
          .context = 131072, .vocab = 262208, .rope_base_global = 1e6f, .rope_base_local = 1e4f, .rope_factor = 1,
          .norm_epsilon = 1e-6f},
    .scalar = 256,
    .pattern = 6,
    .activation = {"gelu_pytorch_tanh"},
    .scaling = {.factor = NAN, .base = NAN},
    .ropes = {{.factor = NAN, .base = NAN}, {.factor = NAN, .base = NAN}},
};

static int read_rope(struct json *j, void *to)
{
    static const struct field fields[] = {
        {"rope_type", offsetof(struct rope, type), read_word},
        {"type", offsetof(struct rope, type), read_word},
        {"factor", offsetof(struct rope, factor), read_float},
        {"rope_theta", offsetof(struct rope, base), read_float},
    };
    return read_fields(j, fields, COUNT(fields), to);
}

static int read_ropes(struct json *j, void *to)
{
    static const struct field fields[] = {
        {"full_attention", offsetof(struct ropes, global), read_rope},
        {"sliding_attention", offsetof(struct ropes, local), read_rope},
    };
    return read_fields(j, fields, COUNT(fields), to);
}

/* The list says for every layer whether it is local. Only lists that repeat as "n - 1 local, one global" are run. */
static int read_layer_types(struct json *j, void *to)
{
    struct text_keys *t = to;
    struct json_text type;
    t->pattern_of_types = 0;
    TRY(json_array(j));
    for (t->layer_types = 0; json_item(j); t->layer_types++) {
        TRY(json_string(j, &type));
        bool global = json_is(type, "full_attention"), local = json_is(type, "sliding_attention");
        uint32_t at = t->layer_types + 1, pattern = t->pattern_of_types;
        if (!global && !local) return json_fail(j, "a layer_type is neither sliding_attention nor full_attention");
        if (global && !pattern) t->pattern_of_types = pattern = at;
        if (global != (pattern && at % pattern == 0))
            return json_fail(j, "layer_types are irregular at layer %u; wanted every %u-th global", at - 1, pattern);
    }
    return json_done(j);
}

static int note_quantised(struct json *j, void *to)
{
    *(bool *)to = true;
    return json_skip(j);
}

#define TEXT(member) offsetof(struct text_keys, member)

static const struct field text_fields[] = {
    {"model_type", TEXT(model_type), read_word},
    {"num_hidden_layers", TEXT(c.layers), read_size},
    {"hidden_size", TEXT(c.hidden), read_size},
    {"intermediate_size", TEXT(c.ffn), read_size},
    {"num_attention_heads", TEXT(c.heads), read_size},
    {"num_key_value_heads", TEXT(c.kv_heads), read_size},
    {"head_dim", TEXT(c.head_dim), read_size},
    {"sliding_window", TEXT(c.window), read_size},
    {"max_position_embeddings", TEXT(c.context), read_size},
    {"vocab_size", TEXT(c.vocab), read_size},
    {"rms_norm_eps", TEXT(c.norm_epsilon), read_float},
    {"rope_theta", TEXT(c.rope_base_global), read_float},
    {"rope_local_base_freq", TEXT(c.rope_base_local), read_float},
    {"rope_scaling", TEXT(scaling), read_rope},
    {"rope_parameters", TEXT(ropes), read_ropes},
    {"query_pre_attn_scalar", TEXT(scalar), read_size},
    {"sliding_window_pattern", TEXT(pattern), read_size},
    {"_sliding_window_pattern", TEXT(pattern), read_size},
    {"layer_types", 0, read_layer_types},
    {"hidden_activation", TEXT(activation), read_word},
    {"attn_logit_softcapping", TEXT(attention_cap), read_float},
    {"final_logit_softcapping", TEXT(final_cap), read_float},
    {"attention_bias", TEXT(bias), read_truth},
    {"use_bidirectional_attention", TEXT(both_ways), read_truth},
    {"quantization_config", TEXT(quantised), note_quantised},
};

static int read_text_keys(struct json *j, void *to)
{
    return read_fields(j, text_fields, COUNT(text_fields), to);
}

/* ---- the picture encoder ---- */

struct vision_keys {
    struct hf_vision_config v;
    bool there, use_head;
    struct word model_type;
};

#define VISION(member) offsetof(struct vision_keys, member)

static int read_vision_keys(struct json *j, void *to)
{
    static const struct field fields[] = {
        {"model_type", VISION(model_type), read_word},
        {"num_hidden_layers", VISION(v.layers), read_size},
        {"hidden_size", VISION(v.hidden), read_size},
        {"intermediate_size", VISION(v.ffn), read_size},
        {"num_attention_heads", VISION(v.heads), read_size},
        {"image_size", VISION(v.image_size), read_size},
        {"patch_size", VISION(v.patch_size), read_size},
        {"layer_norm_eps", VISION(v.norm_epsilon), read_float},
        {"vision_use_head", VISION(use_head), read_truth},
    };
    ((struct vision_keys *)to)->there = true;
    return read_fields(j, fields, COUNT(fields), to);
}

/* ---- the file ---- */

struct root {
    struct text_keys flat, nested;
    struct vision_keys vision;
    uint32_t image_rows;
    int64_t eos, bos, pad, image_start, image_end, image_soft;
};

#define ROOT(member) offsetof(struct root, member)

static const struct field root_fields[] = {
    {"text_config", ROOT(nested), read_text_keys},
    {"vision_config", ROOT(vision), read_vision_keys},
    {"mm_tokens_per_image", ROOT(image_rows), read_size},
    {"eos_token_id", ROOT(eos), read_id},
    {"bos_token_id", ROOT(bos), read_id},
    {"pad_token_id", ROOT(pad), read_id},
    {"boi_token_index", ROOT(image_start), read_id},
    {"eoi_token_index", ROOT(image_end), read_id},
    {"image_token_index", ROOT(image_soft), read_id},
};

/* The top level has its own keys and, in a flat file, those of the text model. */
static int read_root(struct json *j, struct root *r)
{
    struct field all[COUNT(root_fields) + COUNT(text_fields)];
    memcpy(all, root_fields, sizeof root_fields);
    memcpy(all + COUNT(root_fields), text_fields, sizeof text_fields);
    for (size_t i = COUNT(root_fields); i < COUNT(all); i++) all[i].offset += ROOT(flat);
    TRY(read_fields(j, all, COUNT(all), r));
    return json_finish(j);
}

static int check_kind(const struct root *r, const char *from, struct err *why)
{
    const char *type = r->flat.model_type.text;
    if (!strcmp(type, "gemma3") || !strcmp(type, "gemma3_text")) return 0;
    if (!*type) return fail(why, E_FILE, "%s has no model_type; wanted gemma3 or gemma3_text", from);
    return fail(why, E_FILE, "%s is of model_type \"%s\"; gemmapipe runs gemma3 and gemma3_text only", from, type);
}

/* Settings that the engine does not compute. */
static int check_settings(const struct text_keys *t, const char *from, struct err *why)
{
    if (t->quantised)
        return fail(why, E_FILE, "%s: this checkpoint is quantised already; get the unquantised one", from);
    if (t->both_ways)
        return fail(why, E_FILE, "%s: use_bidirectional_attention makes this an embedding model; gemmapipe runs "
                    "models that write", from);
    if (strcmp(t->activation.text, "gelu_pytorch_tanh"))
        return fail(why, E_FILE, "%s: hidden_activation is \"%s\", wanted gelu_pytorch_tanh", from, t->activation.text);
    if (t->attention_cap != 0 || t->final_cap != 0)
        return fail(why, E_FILE, "%s sets a logit soft cap; Gemma 3 has none and gemmapipe computes none", from);
    if (t->bias) return fail(why, E_FILE, "%s: attention_bias is true; Gemma 3 has no biases", from);
    return 0;
}

static int take_rope(float *base, float *factor, const struct rope *rope, const char *from, struct err *why)
{
    const char *type = rope->type.text;
    if (!isnan(rope->base)) *base = rope->base;
    if (!*type || !strcmp(type, "default")) return 0;
    if (strcmp(type, "linear"))
        return fail(why, E_FILE, "%s: the RoPE scaling is \"%s\", wanted linear or default", from, type);
    if (isnan(rope->factor)) return fail(why, E_FILE, "%s: the linear RoPE scaling has no factor", from);
    *factor = rope->factor;
    return 0;
}

static int settle_text(struct model_config *out, const struct text_keys *t, const char *from, struct err *why)
{
    struct model_config c = t->c;
    float local_factor = 1;
    TRY(check_settings(t, from, why));
    TRY(take_rope(&c.rope_base_global, &c.rope_factor, &t->scaling, from, why));
    TRY(take_rope(&c.rope_base_global, &c.rope_factor, &t->ropes.global, from, why));
    TRY(take_rope(&c.rope_base_local, &local_factor, &t->ropes.local, from, why));
    if (local_factor != 1)
        return fail(why, E_FILE, "%s: local layers have a RoPE factor of %g, wanted none", from, (double)local_factor);
    if (t->layer_types && t->layer_types != c.layers)
        return fail(why, E_FILE, "%s: layer_types has %u entries for %u layers", from, t->layer_types, c.layers);
    c.pattern = t->pattern_of_types ? t->pattern_of_types : t->pattern;
    if (t->layer_types && !t->pattern_of_types && c.pattern <= c.layers) c.pattern = c.layers + 1; /* all are local */
    c.attention_scale = t->scalar ? (float)(1.0 / sqrt((double)t->scalar)) : 0;
    TRY(config_check(&c, from, why));
    if (c.attention_scale != config_attention_scale(&c))
        return fail(why, E_FILE, "%s: query_pre_attn_scalar is %u, which a GGUF file cannot say; wanted %.0f", from,
                    t->scalar, 1 / pow((double)config_attention_scale(&c), 2));
    *out = c;
    return 0;
}

static int settle_vision(struct hf_vision_config *out, const struct root *r, const char *from, struct err *why)
{
    const char *type = r->vision.model_type.text;
    if (*type && strcmp(type, "siglip_vision_model"))
        return fail(why, E_FILE, "%s: the picture encoder is \"%s\", wanted siglip_vision_model", from, type);
    if (r->vision.use_head) return fail(why, E_FILE, "%s: vision_use_head is true, wanted false", from);
    *out = r->vision.v;
    out->image_rows = r->image_rows;
    return hf_vision_check(out, from, why);
}

static int settle(struct hf_config *out, const struct root *r, const char *from, struct err *why)
{
    struct hf_config c = {.eos_id = r->eos, .bos_id = r->bos, .pad_id = r->pad, .image_start_id = r->image_start,
                          .image_end_id = r->image_end, .image_soft_id = r->image_soft};
    TRY(check_kind(r, from, why));
    bool nested = !strcmp(r->flat.model_type.text, "gemma3");
    if (nested && r->flat.quantised) return check_settings(&r->flat, from, why);
    TRY(settle_text(&c.text, nested ? &r->nested : &r->flat, from, why));
    c.has_vision = nested && r->vision.there;
    if (c.has_vision) TRY(settle_vision(&c.vision, r, from, why));
    *out = c;
    return 0;
}

int hf_config_parse(struct hf_config *out, const char *text, size_t n, const char *from, struct err *why)
{
    static const struct hf_vision_config siglip = {27, 1152, 4304, 16, 896, 14, 256, 1e-6f};
    struct root r = {.flat = text_defaults, .nested = text_defaults, .vision = {.v = siglip}, .image_rows = 256,
                     .eos = -1, .bos = -1, .pad = -1, .image_start = -1, .image_end = -1, .image_soft = -1};
    struct json j;
    json_begin(&j, text, n, from, why);
    int code = read_root(&j, &r);
    json_end(&j);
    return code ? code : settle(out, &r, from, why);
}

int hf_config_read(struct hf_config *out, const char *path, struct err *why)
{
    struct mapped m;
    TRY(mapped_open(&m, path, MAX_FILE, why));
    int code = hf_config_parse(out, (const char *)m.data, m.bytes, path, why);
    mapped_close(&m);
    return code;
}

/* ---- bounds ---- */

uint32_t hf_vision_side(const struct hf_vision_config *v)
{
    return v->image_size / v->patch_size;
}

int hf_vision_check(const struct hf_vision_config *v, const char *from, struct err *why)
{
    const struct {
        const char *name;
        uint32_t value, most;
    } sizes[] = {
        {"layers", v->layers, 1024},   {"hidden size", v->hidden, 65536},   {"ffn size", v->ffn, 1048576},
        {"heads", v->heads, 1024},     {"picture size", v->image_size, 16384}, {"patch size", v->patch_size, 1024},
        {"rows for a picture", v->image_rows, 65536},
    };
    for (size_t i = 0; i < COUNT(sizes); i++)
        if (sizes[i].value < 1 || sizes[i].value > sizes[i].most)
            return fail(why, E_FILE, "%s: the picture encoder's %s is %u, wanted 1 to %u", from, sizes[i].name,
                        sizes[i].value, sizes[i].most);
    if (!(v->norm_epsilon >= 0 && v->norm_epsilon <= 1))
        return fail(why, E_FILE, "%s: the picture encoder's norm epsilon is %g, wanted 0 to 1", from,
                    (double)v->norm_epsilon);
    if (v->hidden % v->heads || v->image_size % v->patch_size)
        return fail(why, E_FILE, "%s: the picture encoder's %u values over %u heads, or %u pixels over patches of %u, "
                    "do not come out even", from, v->hidden, v->heads, v->image_size, v->patch_size);
    uint32_t side = (uint32_t)(sqrt((double)v->image_rows) + 0.5);
    if (side * side != v->image_rows || hf_vision_side(v) % side)
        return fail(why, E_FILE, "%s: mm_tokens_per_image is %u; wanted a square whose side divides %u", from,
                    v->image_rows, hf_vision_side(v));
    return 0;
}
