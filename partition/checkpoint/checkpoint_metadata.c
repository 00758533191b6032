/* partition/checkpoint/checkpoint_metadata.c — what a GGUF file says about itself, made from a checkpoint's small files.
 *
 * Keys, types and names are those of published files (docs/MODEL.md, "Files"), so other programs read ours. Where
 * the model comes from and under which licence it may be used is taken from what the folder says, and left out where it
 * says nothing: a licence is not guessed. */
#include "partition/checkpoint/checkpoint_inside.h"
#include "base/json.h"
#include "partition/file/model_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SMALL (16u << 20)

/* How turns are written (docs/MODEL.md, "Prompt"), in the template language that programs expect in this key.
 * Ours does not run it: coordinator/text/prompt.c has the rules built in. Used where the folder brings no template. */
static const char gemma_template[] =
    "{{ bos_token }}"
    "{%- set turns = messages -%}"
    "{%- set before = '' -%}"
    "{%- if messages and messages[0]['role'] == 'system' -%}"
    "{%- set system = messages[0]['content'] -%}"
    "{%- if system is not string -%}{%- set system = system[0]['text'] -%}{%- endif -%}"
    "{%- set before = system + '\n\n' -%}"
    "{%- set turns = messages[1:] -%}"
    "{%- endif -%}"
    "{%- for turn in turns -%}"
    "{%- if turn['role'] != ('user' if loop.index0 % 2 == 0 else 'assistant') -%}"
    "{{ raise_exception('turns must alternate: user, assistant, user') }}"
    "{%- endif -%}"
    "{{ '<start_of_turn>' + ('model' if turn['role'] == 'assistant' else 'user') + '\n' }}"
    "{{ before if loop.first else '' }}"
    "{%- if turn['content'] is string -%}"
    "{{ turn['content'] | trim }}"
    "{%- else -%}"
    "{%- for part in turn['content'] -%}"
    "{{ '<start_of_image>' if part['type'] == 'image' else part['text'] | trim }}"
    "{%- endfor -%}"
    "{%- endif -%}"
    "{{ '<end_of_turn>\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<start_of_turn>model\n' }}{%- endif -%}";

/* ---- small files of the folder ---- */

int checkpoint_small(const struct checkpoint *c, const char *name, struct mapped *m, bool *there, struct err *why)
{
    char *path = path_in(c->dir, name);
    if (!path) return fail(why, E_MEMORY, "no memory to open %s in %s", name, c->dir);
    *there = is_file(path);
    int code = *there ? mapped_open(m, path, MAX_SMALL, why) : 0;
    free(path);
    return code;
}

/* The text under `key` at the top of a JSON file, as a copy; NULL if file, key or text is not there. A list of named
 * templates counts by its first "template". */
static int text_of_key(struct json *j, const char *wanted, char **out)
{
    struct json_text key, text;
    TRY(json_object(j));
    while (json_key(j, &key)) {
        bool here = json_is(key, wanted) && !*out;
        if (!here || json_peek(j) != JSON_STRING) {
            TRY(json_skip(j));
            continue;
        }
        TRY(json_string(j, &text));
        if (memchr(text.text, 0, text.n)) return json_fail(j, "\"%s\" holds a zero character", wanted);
        *out = strndup(text.text, text.n);
        if (!*out) return j->code = fail(j->why, E_MEMORY, "no memory for \"%s\" of %s", wanted, j->from);
    }
    TRY(json_done(j));
    return json_finish(j);
}

static int read_key(const struct checkpoint *c, const char *name, const char *key, char **out, struct err *why)
{
    struct mapped m;
    struct json j;
    bool there;
    *out = NULL;
    TRY(checkpoint_small(c, name, &m, &there, why));
    if (!there) return 0;
    json_begin(&j, (const char *)m.data, m.bytes, m.path, why);
    int code = text_of_key(&j, key, out);
    json_end(&j);
    mapped_close(&m);
    if (code) free(*out), *out = NULL;
    return code;
}

/* The value of "key: value" in the front matter of the model card: between its first two lines of dashes. */
static int read_card(const struct checkpoint *c, const char *key, char out[128], struct err *why)
{
    struct mapped m;
    bool there;
    size_t n = strlen(key);
    *out = 0;
    TRY(checkpoint_small(c, "README.md", &m, &there, why));
    if (!there) return 0;
    const char *at = (const char *)m.data, *end = at + m.bytes;
    bool card = m.bytes > 4 && !memcmp(at, "---\n", 4);
    for (at += 4; card && at < end; ) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t line = (size_t)((stop ? stop : end) - at);
        if (line >= 3 && !memcmp(at, "---", 3)) break;
        if (line > n + 2 && !memcmp(at, key, n) && !memcmp(at + n, ": ", 2))
            json_plain(out, (struct json_text){at + n + 2, line - n - 2});
        at += line + 1;
    }
    mapped_close(&m);
    return 0;
}

/* ---- general.* ---- */

static bool is_repository(const char *name)
{
    const char *slash = strchr(name, '/');
    return slash && slash > name && slash[1] && !strchr(slash + 1, '/') && *name != '.' && !strchr(name, '\\');
}

/* The last part of the folder's name; "." says nothing. */
static void name_of_folder(const struct checkpoint *c, char out[128])
{
    char *full = realpath(c->dir, NULL);
    const char *slash = full ? strrchr(full, '/') : NULL;
    snprintf(out, 128, "%s", slash && slash[1] ? slash + 1 : "Gemma 3");
    free(full);
}

static int put_general(const struct checkpoint *c, struct gguf_out *o, const char *architecture, const char *type,
                       uint32_t file_type, struct err *why)
{
    char *source, name[128], licence[128], base[128], url[300];
    TRY(read_key(c, "config.json", "_name_or_path", &source, why));
    bool repository = source && is_repository(source);
    const char *slash = repository ? strchr(source, '/') : NULL;
    int code = read_card(c, "license", licence, why);
    if (!code) code = read_card(c, "base_model", base, why);
    name_of_folder(c, name);
    if (repository) snprintf(name, sizeof name, "%s", slash + 1);
    if (!code) {
        bool google = repository && !strncmp(source, "google/gemma-3", 14);
        gguf_put_text(o, "general.architecture", architecture);
        gguf_put_text(o, "general.type", type);
        gguf_put_text(o, "general.name", name);
        if (*licence || google) gguf_put_text(o, "general.license", *licence ? licence : "gemma");
        if (google) gguf_put_text(o, "general.license.link", "https://ai.google.dev/gemma/terms");
        snprintf(url, sizeof url, "https://huggingface.co/%s", repository ? source : base);
        if (repository || is_repository(base)) gguf_put_text(o, "general.source.url", url);
        gguf_put_u32(o, "general.file_type", file_type);
        gguf_put_u32(o, "general.quantization_version", 2);
    }
    free(source);
    return code;
}

/* ---- the text model ---- */

static void put_id(struct gguf_out *o, const char *key, const struct token_list *l, const char *text, int64_t said)
{
    int64_t id = tokens_find(l, text);
    if (id < 0) id = said;
    if (id >= 0 && id < l->n) gguf_put_u32(o, key, (uint32_t)id);
}

static void put_tokenizer(const struct checkpoint *c, struct gguf_out *o, const struct token_list *l)
{
    gguf_put_text(o, "tokenizer.ggml.model", "llama");
    gguf_put_text(o, "tokenizer.ggml.pre", "default");
    tokens_put(l, o);
    put_id(o, "tokenizer.ggml.bos_token_id", l, "<bos>", c->config.bos_id);
    put_id(o, "tokenizer.ggml.eos_token_id", l, "<eos>", c->config.eos_id);
    put_id(o, "tokenizer.ggml.unknown_token_id", l, "<unk>", -1);
    put_id(o, "tokenizer.ggml.padding_token_id", l, "<pad>", c->config.pad_id);
    gguf_put_bool(o, "tokenizer.ggml.add_bos_token", true);
    gguf_put_bool(o, "tokenizer.ggml.add_eos_token", false);
    gguf_put_bool(o, "tokenizer.ggml.add_space_prefix", false);
}

static int put_template(const struct checkpoint *c, struct gguf_out *o, struct err *why)
{
    char *text;
    struct mapped m;
    bool there;
    TRY(checkpoint_small(c, "chat_template.jinja", &m, &there, why));
    if (there) {
        text = strndup((const char *)m.data, m.bytes);
        mapped_close(&m);
        if (!text) return fail(why, E_MEMORY, "no memory for the chat template of %s", c->dir);
    } else {
        TRY(read_key(c, "tokenizer_config.json", "chat_template", &text, why));
        if (!text) TRY(read_key(c, "chat_template.json", "chat_template", &text, why));
    }
    gguf_put_text(o, "tokenizer.chat_template", text ? text : gemma_template);
    free(text);
    return 0;
}

static int put_text_part(const struct checkpoint *c, struct gguf_out *o, uint32_t file_type, struct err *why)
{
    if (!c->tokens.n) return fail(why, E_INTERNAL, "the tokens of %s are not read yet", c->dir);
    TRY(put_general(c, o, "gemma3", "model", file_type, why));
    config_write(&c->config.text, o, true);
    put_tokenizer(c, o, &c->tokens);
    return put_template(c, o, why);
}

/* ---- the picture encoder ---- */

static void put_three_halves(struct gguf_out *o, const char *key)
{
    struct bytes b = {0};
    for (int i = 0; i < 3; i++) bytes_put_le(&b, 0x3f000000, 4); /* 0.5 */
    gguf_put_array(o, key, GGUF_F32, 3, &b);
    bytes_free(&b);
}

static int put_vision_part(const struct checkpoint *c, struct gguf_out *o, uint32_t file_type, struct err *why)
{
    const struct hf_vision_config *v = &c->config.vision;
    uint32_t pool = hf_vision_side(v) / (uint32_t)(sqrt((double)v->image_rows) + 0.5);
    TRY(put_general(c, o, "clip", "mmproj", file_type, why));
    gguf_put_bool(o, "clip.has_vision_encoder", true);
    gguf_put_text(o, "clip.projector_type", "gemma3");
    gguf_put_bool(o, "clip.use_gelu", true);
    gguf_put_u32(o, "clip.vision.image_size", v->image_size);
    gguf_put_u32(o, "clip.vision.patch_size", v->patch_size);
    gguf_put_u32(o, "clip.vision.embedding_length", v->hidden);
    gguf_put_u32(o, "clip.vision.feed_forward_length", v->ffn);
    gguf_put_u32(o, "clip.vision.projection_dim", c->config.text.hidden);
    gguf_put_u32(o, "clip.vision.block_count", v->layers);
    gguf_put_u32(o, "clip.vision.attention.head_count", v->heads);
    gguf_put_f32(o, "clip.vision.attention.layer_norm_epsilon", v->norm_epsilon);
    put_three_halves(o, "clip.vision.image_mean");
    put_three_halves(o, "clip.vision.image_std");
    if (pool != 4) gguf_put_u32(o, "clip.vision.projector.scale_factor", pool);
    return 0;
}

int checkpoint_put_metadata(const struct checkpoint *c, struct gguf_out *o, enum chain part, uint32_t file_type,
                            struct err *why)
{
    if (part == CHAIN_TEXT) return put_text_part(c, o, file_type, why);
    if (!c->config.has_vision) return fail(why, E_USAGE, "%s has no picture encoder", c->dir);
    return put_vision_part(c, o, file_type, why);
}
