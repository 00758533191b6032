/* partition/checkpoint/tokenizer_model.c — tokenizer.model: the pieces of a SentencePiece model, read from its protobuf.
 *
 *   message 1 (repeated): a piece  { 1: text, 2: score (float), 3: type (enum, 1 if not said) }
 *   message 2: how it was trained  { 3: kind of model: 2 is BPE }
 *   all else (normaliser, self tests) is stepped over.
 *
 * The types have the numbers that GGUF files use. A protobuf is fields of (number, wire type, value); we step over any
 * field of a known wire type and refuse what is left, so every byte is accounted for. */
#include "base/mapped.h"
#include "partition/checkpoint/tokens.h"

#include "base/little_endian.h"

#include <inttypes.h>
#include <string.h>

#define MAX_FILE (256ull << 20)
#define KIND_BPE 2

struct proto {
    const uint8_t *at, *end;
    const char *from;
    struct err *why;
};

struct proto_field {
    uint64_t number, value; /* of a varint or a fixed number */
    uint32_t wire;          /* 0 varint, 1 eight bytes, 2 bytes, 5 four bytes */
    struct proto inside;    /* of bytes */
};

static int cut_short(const struct proto *p)
{
    return fail(p->why, E_FILE, "%s is damaged or no SentencePiece model: a field runs over its end", p->from);
}

static int take_varint(struct proto *p, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (p->at == p->end) return cut_short(p);
        uint8_t b = *p->at++;
        if (shift == 63 && b > 1) break;
        *out |= (uint64_t)(b & 127) << shift;
        if (b < 128) return 0;
    }
    return fail(p->why, E_FILE, "%s is damaged or no SentencePiece model: a number takes more than 64 bits", p->from);
}

static int take_bytes(struct proto *p, uint64_t n, const uint8_t **out)
{
    if (n > (uint64_t)(p->end - p->at)) return cut_short(p);
    *out = p->at;
    p->at += n;
    return 0;
}

static int take_field(struct proto *p, struct proto_field *f)
{
    uint64_t tag, n;
    const uint8_t *bytes = p->at;
    TRY(take_varint(p, &tag));
    *f = (struct proto_field){.number = tag >> 3, .wire = (uint32_t)(tag & 7)};
    switch (f->wire) {
    case 0: return take_varint(p, &f->value);
    case 1:
    case 5:
        n = f->wire == 1 ? 8 : 4;
        TRY(take_bytes(p, n, &bytes));
        f->value = le_of(bytes, (unsigned)n);
        return 0;
    case 2:
        TRY(take_varint(p, &n));
        TRY(take_bytes(p, n, &bytes));
        f->inside = (struct proto){bytes, bytes + n, p->from, p->why};
        return 0;
    default:
        return fail(p->why, E_FILE, "%s is damaged or no SentencePiece model: it has a field of wire type %u", p->from,
                    f->wire);
    }
}

static int read_piece(struct proto p, struct token_list *out)
{
    struct proto text = {(const uint8_t *)"", (const uint8_t *)"", p.from, p.why};
    struct proto_field f;
    uint64_t type = TOKEN_NORMAL;
    uint32_t bits = 0;
    float score;
    while (p.at < p.end) {
        TRY(take_field(&p, &f));
        if (f.number == 1 && f.wire == 2) text = f.inside;
        else if (f.number == 2 && f.wire == 5) bits = (uint32_t)f.value;
        else if (f.number == 3 && f.wire == 0) type = f.value;
    }
    if (type < TOKEN_NORMAL || type > TOKEN_BYTE)
        return fail(p.why, E_FILE, "%s: token %u has type %" PRIu64 ", wanted 1 to 6", p.from, out->n, type);
    if ((bits & 0x7f800000) == 0x7f800000)
        return fail(p.why, E_FILE, "%s: the score of token %u is not a finite number", p.from, out->n);
    memcpy(&score, &bits, 4);
    return tokens_add(out, (const char *)text.at, (size_t)(text.end - text.at), score, (int32_t)type, p.from, p.why);
}

static int check_training(struct proto p)
{
    struct proto_field f;
    while (p.at < p.end) {
        TRY(take_field(&p, &f));
        if (f.number == 3 && f.wire == 0 && f.value != KIND_BPE)
            return fail(p.why, E_FILE, "%s is a SentencePiece model of kind %" PRIu64 ", wanted 2 (BPE)", p.from,
                        f.value);
    }
    return 0;
}

static int read_model(struct proto p, struct token_list *out)
{
    struct proto_field f;
    while (p.at < p.end) {
        TRY(take_field(&p, &f));
        if (f.number == 1 && f.wire == 2) TRY(read_piece(f.inside, out));
        if (f.number == 2 && f.wire == 2) TRY(check_training(f.inside));
    }
    return out->n ? 0 : fail(p.why, E_FILE, "%s has no tokens: it is no SentencePiece model", p.from);
}

int tokens_parse_model(struct token_list *out, const uint8_t *bytes, size_t n, const char *from, struct err *why)
{
    *out = (struct token_list){0};
    int code = read_model((struct proto){bytes, bytes + n, from, why}, out);
    if (code) tokens_free(out);
    return code;
}

int tokens_from_model(struct token_list *out, const char *path, struct err *why)
{
    struct mapped m;
    *out = (struct token_list){0};
    TRY(mapped_open(&m, path, MAX_FILE, why));
    int code = tokens_parse_model(out, m.data, m.bytes, path, why);
    mapped_close(&m);
    return code;
}
