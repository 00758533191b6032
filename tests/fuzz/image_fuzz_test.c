/* tests/fuzz/image_fuzz_test.c — the fuzzer's claims on the same damaged pictures every time, in seconds, on any build.
 * The sound ones are tests/fuzz/seeds/image_fuzz, a few hundred bytes each. */
#include "tests/fuzz/image_fuzz.c"

#include "tests/support/check.h"

#include <dirent.h>

#define SEEDS "tests/fuzz/seeds/image_fuzz"
#define ROUNDS_PER_SEED 400

static uint64_t state = 0x67656d6d61;

static uint32_t dice(uint64_t sides)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((state >> 33) % sides);
}

static int by_name(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Calls `look` on every seed, in the order of their names. */
static void each_seed(void (*look)(const char *name, const struct image_bytes *seed))
{
    struct dirent **entry;
    int n = scandir(SEEDS, &entry, by_name, alphasort);
    CHECK(n > 20, "%d files in " SEEDS, n);
    for (int i = 0; i < n; i++) {
        char path[300];
        struct image_bytes seed = {0};
        struct err why = {0};
        snprintf(path, sizeof path, SEEDS "/%s", entry[i]->d_name);
        if (image_read(&seed, path, 0, &why)) CHECK(false, "%s", why.text);
        else look(entry[i]->d_name, &seed);
        image_bytes_free(&seed);
        free(entry[i]);
    }
    if (n >= 0) free(entry);
}

static bool is_bad_on_purpose(const char *name)
{
    return !strcmp(name, "bomb.png") || !strcmp(name, "animated.webp") || !strcmp(name, "huge.png") || !strcmp(name, "no-reason.png");
}

static void check_sound(const char *name, const struct image_bytes *seed)
{
    bool is_picture;
    const char *wrong = image_fuzz_one(seed->data, seed->n, &is_picture);
    CHECK(!wrong && is_picture != is_bad_on_purpose(name), "%s: %s", name, wrong ? wrong : "sound or not?");
}

TEST(the_seeds_are_the_pictures_they_should_be)
{
    each_seed(check_sound);
}

static int pictures, rounds;

/* Bytes changed, put in, taken out; mostly near the front, where the headers are. */
static size_t damage(uint8_t *b, size_t n)
{
    for (uint32_t times = 1 + dice(3); times && n > 4; times--) {
        size_t at = dice(dice(2) ? n : n < 64 ? n : 64);
        switch (dice(6)) {
        case 0: b[at] = (uint8_t)dice(256); break;
        case 1: b[at] ^= (uint8_t)(1u << dice(8)); break;
        case 2: b[at] = (uint8_t[]){0, 1, 127, 128, 255, 254}[dice(6)]; break;
        case 3: memmove(b + at, b + at + 1, n - at - 1), n--; break;
        case 4: n = dice(4) ? n : at; break;
        case 5: memmove(b + at, b + dice(at + 1), n - at); break;
        }
    }
    return n;
}

static void check_damaged(const char *name, const struct image_bytes *seed)
{
    uint8_t *b = malloc(seed->n);
    for (int i = 0; b && i < ROUNDS_PER_SEED && !is_bad_on_purpose(name); i++, rounds++) {
        bool is_picture;
        memcpy(b, seed->data, seed->n);
        const char *wrong = image_fuzz_one(b, damage(b, seed->n), &is_picture);
        CHECK(!wrong, "%s, round %d: %s", name, i, wrong);
        pictures += is_picture;
    }
    free(b);
}

TEST(no_damage_to_a_picture_does_harm)
{
    each_seed(check_damaged);
    CHECK(pictures > rounds / 20 && pictures < rounds * 19 / 20, "%d of %d are still pictures", pictures, rounds);
}
