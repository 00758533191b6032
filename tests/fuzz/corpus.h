/* tests/fuzz/corpus.h — a fuzz target without its fuzzer: every seed judged, and sound seeds damaged in a fixed way.
 *
 * Seeds lie in tests/fuzz/seeds/NAME. A file there whose name begins with "sound" (or is "model") must be accepted;
 * each other is a way in which some reader of such files once broke, or could, and must be refused. A target brings a
 * function that returns true if the bytes were accepted. */
#pragma once

#include "tests/support/check.h"

#include <dirent.h>
#include <stdint.h>
#include <stdlib.h>

#define SEED_MOST (1u << 20)

static inline bool seed_is_sound(const char *name)
{
    return !strncmp(name, "sound", 5) || !strcmp(name, "model");
}

static inline size_t read_seed(const char *folder, const char *name, uint8_t *out)
{
    char path[600];
    snprintf(path, sizeof path, "tests/fuzz/seeds/%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    if (!f) return 0;
    size_t n = fread(out, 1, SEED_MOST, f);
    fclose(f);
    return n;
}

/* Judges every seed; returns how many there were. */
static inline int judge_seeds(const char *folder, bool (*accepts)(const uint8_t *, size_t))
{
    char path[300];
    int count = 0;
    snprintf(path, sizeof path, "tests/fuzz/seeds/%s", folder);
    DIR *d = opendir(path);
    uint8_t *bytes = malloc(SEED_MOST);
    for (struct dirent *e; d && bytes && (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.') continue;
        bool accepted = accepts(bytes, read_seed(folder, e->d_name, bytes));
        CHECK(accepted == seed_is_sound(e->d_name), "%s was %s", e->d_name, accepted ? "accepted" : "refused");
        count++;
    }
    if (d) closedir(d);
    free(bytes);
    return count;
}

static uint64_t corpus_state = 0x676f6f64;

static inline uint32_t corpus_dice(uint64_t sides)
{
    corpus_state = corpus_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((corpus_state >> 33) % sides);
}

/* One change: a byte, a run copied over another place, a run taken out, or a piece of the words readers look for. */
static inline size_t damage(uint8_t *b, size_t n, const char *const *words, size_t n_words)
{
    size_t at = corpus_dice(n), to = corpus_dice(n), run = 1 + corpus_dice(n < 40 ? n : 40);
    if (at + run > n) run = n - at;
    if (to + run > n) to = n - run;
    switch (corpus_dice(6)) {
    case 0: b[at] = (uint8_t)corpus_dice(256); break;
    case 1: b[at] ^= (uint8_t)(1u << corpus_dice(8)); break;
    case 2: memmove(b + to, b + at, run); break;
    case 3: memmove(b + at, b + at + run, n - at - run); return n - run;
    case 4: b[at] = (uint8_t)"0987654321-.eE\"\\[]{},:"[corpus_dice(22)]; break;
    default: {
        const char *word = words[corpus_dice(n_words)];
        size_t m = strlen(word);
        if (at + m <= n) memcpy(b + at, word, m);
    }
    }
    return n;
}

/* Damages the sound seed `name` `rounds` times, one to four changes each; returns how many were still accepted. */
static inline int damage_seed(const char *folder, const char *name, int rounds, const char *const *words,
                              size_t n_words, bool (*accepts)(const uint8_t *, size_t))
{
    int accepted = 0;
    uint8_t *sound = malloc(SEED_MOST), *b = malloc(SEED_MOST);
    size_t n = sound && b ? read_seed(folder, name, sound) : 0;
    CHECK(n, "%s is missing", name);
    for (int i = 0; i < rounds && n; i++) {
        size_t m = n;
        memcpy(b, sound, n);
        for (uint32_t k = 1 + corpus_dice(4); k > 0 && m > 1; k--) m = damage(b, m, words, n_words);
        uint8_t *tight = malloc(m ? m : 1); /* so that a sanitizer sees a byte too many */
        memcpy(tight, b, m);
        accepted += accepts(tight, m);
        free(tight);
    }
    free(sound);
    free(b);
    return accepted;
}
