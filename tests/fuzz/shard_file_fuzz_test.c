/* tests/fuzz/shard_file_fuzz_test.c — thousands of damaged shards. The sound one is made here: a shard of a small model. */
#include "tests/fuzz/shard_file_fuzz.c"

#include "partition/file/model_file.h"
#include "partition/make/synth.h"
#include "tests/fuzz/corpus.h"
#include "tests/support/folder.h"

#define ROUNDS 10000

/* The second of two layers, and half of the head. */
static size_t make_shard(uint8_t *out, size_t room, struct err *why)
{
    struct folder f = folder_new();
    struct synth small;
    struct model *m = NULL;
    char model[300], shard[300];
    size_t n = 0;
    snprintf(model, sizeof model, "%s", folder_path(&f, "model.gguf"));
    snprintf(shard, sizeof shard, "%s", folder_path(&f, "shard.gguf"));
    int code = synth_size(&small, "tiny", why);
    small.layers = 2, small.hidden = 32, small.ffn = 32, small.head_dim = 8, small.vocab = 362;
    if (!code) code = synth_write(&small, model, why);
    if (!code) code = model_open(&m, model, why);
    if (!code) code = shard_write(m, (struct part){1, 2, 8, HEAD_PARTS, false}, shard, why);
    model_close(&m);
    FILE *file = code ? NULL : fopen(shard, "rb");
    if (file) n = fread(out, 1, room, file);
    if (file) fclose(file);
    folder_end(&f);
    return n;
}

TEST(no_damage_to_a_shard_does_harm)
{
    static const char *const words[] = {"gemmapipe.", "first_layer", "end_part", "vocabulary", "output.weight", "blk.1", "\xff\xff\xff\xff", "0123"};
    struct err why = {0};
    uint8_t *sound = malloc(SEED_MOST), *b = malloc(SEED_MOST);
    const size_t n = sound && b ? make_shard(sound, SEED_MOST, &why) : 0;
    const size_t head = n < 1800 ? n : 1800; /* keys and tensors; what follows is numbers, and any will do */
    int accepted = 0;
    CHECK(n && look(sound, n), "%s", why.text);
    for (int i = 0; i < ROUNDS && n; i++) {
        memcpy(b, sound, n);
        for (uint32_t k = 1 + corpus_dice(3); k > 0; k--) damage(b, head, words, sizeof words / sizeof *words);
        accepted += look(b, corpus_dice(20) ? n : corpus_dice(n));
    }
    CHECK(accepted > ROUNDS / 100 && accepted < ROUNDS * 3 / 4, "%d of %d damaged ones are still accepted", accepted, ROUNDS);
    free(sound);
    free(b);
}
