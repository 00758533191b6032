/* partition/file/shard_file.c — see shard_file.h. */
#include "partition/file/shard_file.h"

#include "base/mapped.h"
#include "partition/file/gguf_copy.h"

#include <inttypes.h>
#include <stdlib.h>

#define PIECE (1u << 20)
#define LAYERS_MOST 65536

bool part_within(struct part wanted, struct part have)
{
    bool layers = wanted.first == wanted.end || (wanted.first >= have.first && wanted.end <= have.end);
    bool parts = !part_has_head(wanted) || (wanted.back >= have.back && wanted.back_end <= have.back_end);
    return layers && parts;
}

/* ---- writing ---- */

static void put_label(const struct model *m, struct part s, struct gguf_out *o)
{
    char hex[33];
    gguf_put_text(o, SHARD_FINGERPRINT, show_hash128(hex, m->fingerprint));
    gguf_put_u32(o, SHARD_FIRST, s.first);
    gguf_put_u32(o, SHARD_END, s.end);
    gguf_put_u32(o, SHARD_FIRST_PART, s.back);
    gguf_put_u32(o, SHARD_END_PART, s.back_end);
    gguf_put_u32(o, SHARD_VOCABULARY, m->config.vocab);
}

/* What speaks of tokens has no meaning without them. */
static const char *const token_keys[] = {
    "tokenizer.ggml.tokens", "tokenizer.ggml.scores", "tokenizer.ggml.token_type", "tokenizer.ggml.merges",
    "tokenizer.chat_template", NULL,
};

static int write_tensor(const struct tensor *t, struct gguf_out *o, struct err *why)
{
    uint64_t n = t->rows * block_row_bytes(t->type, t->cols);
    for (uint64_t at = 0; at < n; at += PIECE) {
        size_t piece = n - at < PIECE ? (size_t)(n - at) : PIECE;
        TRY(gguf_out_data(o, t->data + at, piece, why));
        mapped_forget(t->data + at, piece);
    }
    return 0;
}

static int write_part(const struct model *m, struct part s, const struct tensor *tensors, struct gguf_out *o,
                       struct err *why)
{
    size_t n = part_count(CHAIN_TEXT, s);
    char name[ROLE_NAME_ROOM];
    gguf_copy_keys(m->file, o, token_keys);
    put_label(m, s, o);
    for (size_t i = 0; i < n; i++) {
        uint64_t dims[2] = {tensors[i].cols, tensors[i].rows};
        role_tensor_name(name, tensors[i].role, tensors[i].layer);
        gguf_put_tensor(o, name, tensors[i].type, role_is_norm(tensors[i].role) ? 1 : 2, dims);
    }
    TRY(gguf_out_begin(o, why));
    for (size_t i = 0; i < n; i++) TRY(write_tensor(&tensors[i], o, why));
    return gguf_out_finish(o, why);
}

int shard_write(const struct model *m, struct part s, const char *path, struct err *why)
{
    struct gguf_out *o = NULL;
    struct tensor *tensors = calloc(part_count(CHAIN_TEXT, s) + 1, sizeof *tensors);
    if (!tensors) return fail(why, E_MEMORY, "no memory for the tensors of %s", path);
    text_part_tensors(m, s, tensors);
    int code = gguf_out_open(&o, path, why);
    if (!code) code = write_part(m, s, tensors, o, why);
    gguf_out_close(&o);
    free(tensors);
    return code;
}

/* ---- reading ---- */

bool is_shard(const struct gguf *g)
{
    return gguf_has(g, SHARD_FINGERPRINT);
}

int shard_label_read(struct shard_label *out, const struct gguf *g, struct err *why)
{
    struct gguf_string hex;
    uint64_t first, end, part, back_end, vocab;
    if (!is_shard(g))
        return fail(why, E_FILE, "%s is not a worker's shard; gemmapipe-partition split makes them", gguf_path(g, 0));
    TRY(gguf_text(g, SHARD_FINGERPRINT, &hex, why));
    TRY(gguf_u64(g, SHARD_FIRST, &first, why));
    TRY(gguf_u64(g, SHARD_END, &end, why));
    TRY(gguf_u64(g, SHARD_FIRST_PART, &part, why));
    TRY(gguf_u64(g, SHARD_END_PART, &back_end, why));
    TRY(gguf_u64(g, SHARD_VOCABULARY, &vocab, why));
    if (!read_hash128(&out->fingerprint, hex.text, hex.n))
        return fail(why, E_FILE, "%s: %s is not 32 hexadecimal digits", gguf_path(g, 0), SHARD_FINGERPRINT);
    if (first > end || end > LAYERS_MOST)
        return fail(why, E_FILE, "%s says it holds layers %" PRIu64 " to %" PRIu64, gguf_path(g, 0), first, end);
    if (part > back_end || back_end > HEAD_PARTS)
        return fail(why, E_FILE, "%s says it holds parts %" PRIu64 " to %" PRIu64 " of the %d of the head", gguf_path(g, 0),
                    part, back_end, HEAD_PARTS);
    if (!vocab || vocab > MODEL_VOCAB_MOST)
        return fail(why, E_FILE, "%s says its model has a vocabulary of %" PRIu64, gguf_path(g, 0), vocab);
    out->part = (struct part){(uint32_t)first, (uint32_t)end, (uint32_t)part, (uint32_t)back_end, false};
    out->vocab = (uint32_t)vocab;
    return 0;
}

/* Of the head the file may hold more than is wanted; its rows then begin somewhere in the middle. */
static int find_tensor(const struct gguf *g, const struct shard_label *label, struct part wanted, struct tensor *t,
                       struct err *why)
{
    char name[ROLE_NAME_ROOM];
    uint32_t rows = t->rows, skip = 0;
    if (t->role == W_HEAD) {
        const uint32_t begin = head_word(label->vocab, label->part.back), end = head_word(label->vocab, label->part.back_end);
        const uint32_t first = head_word(label->vocab, wanted.back);
        if (first < begin || first > end || t->rows > end - first)
            return fail(why, E_FILE, "%s holds words %u to %u of the head, wanted %u from %u on", gguf_path(g, 0), begin, end,
                        t->rows, first);
        rows = end - begin, skip = first - begin;
    }
    role_tensor_name(name, t->role, t->layer);
    const struct gguf_tensor *found = gguf_tensor(g, name);
    if (!found) return fail(why, E_FILE, "%s has no tensor %s", gguf_path(g, 0), name);
    if (found->type != t->type || found->dims[0] != t->cols || found->dims[1] != rows || found->dims[2] != 1 ||
        found->dims[3] != 1)
        return fail(why, E_FILE, "%s: tensor %s is %s [%" PRIu64 ", %" PRIu64 "], wanted %s [%u, %u]", gguf_path(g, 0), name,
                    block_info(found->type)->name, found->dims[1], found->dims[0], block_info(t->type)->name, rows, t->cols);
    t->data = found->data + skip * block_row_bytes(t->type, t->cols);
    return 0;
}

int shard_tensors(const struct gguf *g, const struct shard_label *label, struct part wanted, struct tensor *t, uint32_t count,
                  struct err *why)
{
    for (uint32_t i = 0; i < count; i++) TRY(find_tensor(g, label, wanted, &t[i], why));
    return 0;
}
