/* partition/file/gguf_other.c — what a file that is no GGUF is, as far as its first bytes tell, and what to get instead. */
#include "partition/file/gguf_parse.h"

#include <stdbool.h>
#include <string.h>

#define GET_PUBLISHED "get the model as published in GGUF instead, such as google/gemma-3-4b-it-qat-q4_0-gguf"
#define LOOKED_AT 4096 /* bytes; a manifest says what it is in the first few hundred */

static bool begins(const uint8_t *b, size_t n, const char *with)
{
    return n >= strlen(with) && !memcmp(b, with, strlen(with));
}

static bool holds(const uint8_t *b, size_t n, const char *what)
{
    size_t m = strlen(what);
    for (size_t at = 0; at + m <= n; at++)
        if (!memcmp(b + at, what, m)) return true;
    return false;
}

static const char *other(const uint8_t *b, size_t n)
{
    if (begins(b, n, "{") && holds(b, n, "application/vnd.ollama.image"))
        return "an Ollama manifest, which only names other files; " GET_PUBLISHED;
    if (begins(b, n, "FROM ") || holds(b, n, "\nFROM ")) return "an Ollama Modelfile, which only names other files; " GET_PUBLISHED;
    if (begins(b, n, "version https://git-lfs")) return "a pointer of git-lfs; fetch the file itself, with git lfs pull";
    if (begins(b, n, "<")) return "a page of the web; the download did not bring the file";
    if (begins(b, n, "PK\3\4") || begins(b, n, "\x80\2")) return "a PyTorch file; get the model as GGUF or as safetensors";
    if (n > 9 && b[8] == '{' && le_of(b, 8) < 1u << 30)
        return "a safetensors file; gemmapipe-partition quantize makes a GGUF file of the folder it is in";
    return NULL;
}

int gguf_refuse_other(const char *path, const uint8_t *b, uint64_t bytes, struct err *why)
{
    size_t n = bytes < LOOKED_AT ? (size_t)bytes : LOOKED_AT;
    const char *it = other(b, n);
    if (it) return fail(why, E_FILE, "%s is not a GGUF file but %s", path, it);
    return fail(why, E_FILE, "%s is not a GGUF file: it begins with %02x %02x %02x %02x, wanted 47 47 55 46", path, b[0], b[1], b[2], b[3]);
}

/* Its converter also leaves out the RoPE scaling, so that a file of text alone would run, and go wrong in long texts. */
int gguf_refuse_ollamas(const struct gguf *g, struct err *why)
{
    static const char *const keys[] = {"gemma3.vision.", "gemma3.mm.", "gemma3.rope.local.", "gemma3.rope.global."};
    bool is = gguf_tensor(g, "v.patch_embedding.weight") || gguf_tensor(g, "mm.mm_input_projection.weight");
    for (size_t i = 0; i < gguf_key_count(g); i++)
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
            is |= !strncmp(gguf_key_at(g, i, NULL, NULL, 0), keys[k], strlen(keys[k]));
    if (!is) return 0;
    return fail(why, E_FILE, "%s was made by Ollama, which packs text and vision into one file under names of its own; " GET_PUBLISHED,
                gguf_path(g, 0));
}
