/* partition/tool/quirks.c — what real files have that a person may stumble over, though we read past it (docs/MODEL.md, "Files").
 *
 * Each is a sentence: what it is, and what it means here. */
#include "partition/tool/findings.h"
#include "partition/checkpoint/tokens.h"

#include <inttypes.h>

#define LAYERS_OF_4B 34

static void look_at_tokens(struct findings *f, const struct token_list *l)
{
    uint32_t example = 0, wrong = tokens_wrong_types(l, &example), rising = tokens_rising_scores(l);
    static const char *const names[] = {"0", "normal", "unknown", "control", "user-defined", "unused", "byte"};
    if (wrong) {
        int32_t type = l->token[example].type;
        quirk(f, "%u tokens have a wrong type (token %u is marked %s), as in the official QAT files; gemmapipe goes by "
              "their ids, other programs may split <end_of_turn> into pieces", wrong, example,
              type >= 1 && type <= 6 ? names[type] : "with a number of no type");
    }
    if (rising)
        quirk(f, "scores of %u learned tokens are higher than those before them; gemmapipe merges by their ids",
              rising);
    if (!tokens_are_gemma(l))
        quirk(f, "the vocabulary is not the one of Gemma 3; its own scores and types are used");
}

static void look_at_vocabulary(struct findings *f, const struct model *m)
{
    uint32_t vocab = m->config.vocab;
    if (vocab > GEMMA_TOKENS + 1)
        quirk(f, "the embedding has %u rows; those from %u on are padding and never sampled", vocab, GEMMA_TOKENS + 1);
}

static int look_at_keys(struct findings *f, const struct gguf *g, struct err *why)
{
    struct gguf_string s;
    uint64_t eos = 1;
    bool space = false;
    if (gguf_has(g, "tokenizer.ggml.model")) {
        TRY(gguf_text(g, "tokenizer.ggml.model", &s, why));
        if (!gguf_text_is(s, "llama"))
            quirk(f, "tokenizer.ggml.model is not \"llama\": it was converted without tokenizer.model; read the same");
    }
    if (gguf_has(g, "tokenizer.ggml.add_space_prefix"))
        TRY(gguf_bool(g, "tokenizer.ggml.add_space_prefix", &space, why));
    if (space) quirk(f, "add_space_prefix is true, which is wrong for Gemma 3 and not done here");
    if (gguf_has(g, "tokenizer.ggml.eos_token_id")) TRY(gguf_u64(g, "tokenizer.ggml.eos_token_id", &eos, why));
    if (eos == GEMMA_END_OF_TURN) quirk(f, "eos is <end_of_turn> (106), a sign of a re-upload; answers end at either");
    return 0;
}

static void look_at_formats(struct findings *f, const struct model *m)
{
    const struct model_config *c = &m->config;
    uint32_t q4_1 = 0;
    for (uint32_t layer = 0; layer < c->layers; layer++)
        q4_1 += m->layer_tensors[layer * W_LAYER_ROLES + W_DOWN].type == T_Q4_1;
    if (q4_1)
        quirk(f, "ffn_down is Q4_1 in %u of %u layers: quantised with an importance matrix", q4_1, c->layers);
    if (m->embedding.type == T_F16 && m->layer_tensors[W_Q].type == T_Q4_0)
        quirk(f, "the embedding table is F16, as in the official QAT files; \"gemmapipe-partition quantize\" makes it "
              "less than half as large at no measurable loss");
    if (m->head.data != m->embedding.data) quirk(f, "the head is a tensor of its own, not the embedding table");
    if (c->layers >= LAYERS_OF_4B && c->rope_factor == 1)
        quirk(f, "there is no RoPE scaling, which 4B and larger models were trained with: long texts will go wrong");
}

int quirks_of_text(struct findings *f, const struct model *m, struct err *why)
{
    struct token_list tokens;
    TRY(tokens_from_gguf(&tokens, m->file, why));
    look_at_tokens(f, &tokens);
    tokens_free(&tokens);
    look_at_vocabulary(f, m);
    look_at_formats(f, m);
    return look_at_keys(f, m->file, why);
}

/* Early converters called the first matrix of the picture encoder's MLP ffn_down and the second ffn_up. */
int quirks_of_vision(struct findings *f, const struct gguf *g, struct err *why)
{
    const struct gguf_tensor *down = gguf_tensor(g, "v.blk.0.ffn_down.weight");
    const struct gguf_tensor *project = gguf_tensor(g, "mm.input_projection.weight");
    const struct hf_vision_config *v = &f->vision;
    if (!down || !project)
        return fail(why, E_FILE, "%s has no tensor %s", gguf_path(g, 0),
                    down ? "mm.input_projection.weight" : "v.blk.0.ffn_down.weight");
    if (project->dims[0] != f->projection || project->dims[1] != v->hidden)
        return fail(why, E_FILE, "%s: mm.input_projection.weight is [%" PRIu64 ", %" PRIu64 "], wanted [%u, %u]",
                    gguf_path(g, 0), project->dims[1], project->dims[0], v->hidden, f->projection);
    bool swapped = down->dims[0] == v->hidden && down->dims[1] == v->ffn;
    if (!swapped && (down->dims[0] != v->ffn || down->dims[1] != v->hidden))
        return fail(why, E_FILE, "%s: v.blk.0.ffn_down.weight is [%" PRIu64 ", %" PRIu64 "], wanted [%u, %u]",
                    gguf_path(g, 0), down->dims[1], down->dims[0], v->hidden, v->ffn);
    if (swapped && v->hidden != v->ffn)
        quirk(f, "ffn_up and ffn_down are swapped, as converters of spring 2025 wrote them; shapes tell them apart");
    return 0;
}
