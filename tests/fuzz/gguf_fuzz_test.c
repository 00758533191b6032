/* tests/fuzz/gguf_fuzz_test.c — twenty thousand damaged model files, the same every time, on any build.
 *
 * A small sound model is written once; each round changes a few bytes, most of them among the metadata where they hurt,
 * or cuts the file, looks at it, and puts it back. What must hold: no crash (the sanitizers see the rest), and that
 * damage is neither always fatal nor never, or the rounds would not reach the code behind the first check. */
#include "tests/fuzz/gguf_fuzz.c"

#include "partition/make/synth.h"
#include "tests/support/check.h"
#include "tests/fuzz/corpus.h"

#include <fcntl.h>
#include <sys/stat.h>

#define ROUNDS 20000

static uint64_t state = 0x67656d6d61;

static uint32_t dice(uint64_t sides)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((state >> 33) % sides);
}

/* Numbers that parsers get wrong. */
static uint64_t nasty(void)
{
    static const uint64_t favourites[] = {0, 1, 2, 7, 13, 31, 32, 33, 64, 255, 256, 65535, 65536, 1u << 31, UINT32_MAX,
                                          1ull << 32, 1ull << 61, 1ull << 63, UINT64_MAX - 31, UINT64_MAX};
    return favourites[dice(sizeof favourites / sizeof *favourites)];
}

struct seed {
    uint8_t *b;
    size_t n, header;
    int fd;
    char path[64];
};

static int open_seed(struct seed *s, struct err *why)
{
    struct synth small;
    struct gguf *g;
    char path[] = "/tmp/gguf_fuzz_test.XXXXXX";
    int fd = mkstemp(path);
    struct stat st;
    if (fd < 0) return fail_errno(why, E_FILE, "cannot make a temporary file");
    TRY(synth_size(&small, "tiny", why));
    small.layers = 1, small.hidden = 32, small.ffn = 32, small.head_dim = 8, small.vocab = 362;
    TRY(synth_write(&small, path, why));
    close(fd);
    TRY(gguf_open(&g, path, why));
    s->header = gguf_tensor(g, "token_embd.weight")->offset;
    gguf_close(&g);
    fd = open(path, O_RDONLY);
    unlink(path);
    if (fd < 0 || fstat(fd, &st) || !(s->b = malloc((size_t)st.st_size)))
        return fail_errno(why, E_FILE, "cannot read %s", path);
    s->n = (size_t)read(fd, s->b, (size_t)st.st_size);
    close(fd);
    s->fd = memfd_create("fuzz.gguf", MFD_CLOEXEC);
    snprintf(s->path, sizeof s->path, "/proc/self/fd/%d", s->fd);
    return pwrite(s->fd, s->b, s->n, 0) == (ssize_t)s->n ? 0 : fail_errno(why, E_FILE, "cannot write to memory");
}

/* The tables of tokens, scores and types are most of the header and dull; aim before and behind them. */
static size_t aim(const struct seed *s)
{
    size_t at = dice(8) ? dice(s->header < 1500 ? s->header : 1500) : dice(s->header);
    return dice(2) ? s->header - 1 - at : at;
}

static bool put(const struct seed *s, size_t at, const void *bytes, size_t n)
{
    if (at + n > s->n) n = s->n - at;
    return pwrite(s->fd, bytes, n, (off_t)at) == (ssize_t)n;
}

/* One round: damage, look, mend. */
static bool round_of(const struct seed *s, bool *was_model)
{
    size_t at[4], n = 1 + dice(4);
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        at[i] = aim(s);
        uint64_t v = nasty();
        uint8_t b = (uint8_t)(dice(2) ? dice(256) : s->b[at[i]] ^ 1u << dice(8));
        ok &= dice(3) ? put(s, at[i], &b, 1) : put(s, at[i], &v, dice(2) ? 8 : 4);
    }
    bool cut = dice(20) == 0;
    if (cut) ok &= !ftruncate(s->fd, dice(s->n));
    *was_model = look(s->path);
    if (cut) ok &= put(s, 0, s->b, s->n);
    else
        for (size_t i = 0; i < n; i++) ok &= put(s, at[i], s->b + at[i], 8);
    return ok;
}

TEST(no_damage_to_a_model_file_does_harm)
{
    struct seed s;
    int models = 0;
    NEED(open_seed(&s, why));
    CHECK(look(s.path));
    for (int i = 0; i < ROUNDS; i++) {
        bool was_model;
        if (!round_of(&s, &was_model)) {
            CHECK(false, "round %d could not be set up", i);
            break;
        }
        models += was_model;
    }
    CHECK(look(s.path), "mended, it is a model again");
    CHECK(models > ROUNDS / 100 && models < ROUNDS * 3 / 4, "%d of %d damaged files are still models", models, ROUNDS);
    close(s.fd);
    free(s.b);
}

static bool is_a_model(const uint8_t *bytes, size_t n)
{
    char path[64];
    int fd = memfd_create("seed.gguf", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    bool is = fd >= 0 && pwrite(fd, bytes, n, 0) == (ssize_t)n && look(path);
    if (fd >= 0) close(fd);
    return is;
}

TEST(seeds_of_gguf_fuzz_are_judged_right)
{
    int n = judge_seeds("gguf_fuzz", is_a_model);
    CHECK(n >= 20, "only %d seeds", n);
}

TEST(every_beginning_of_a_model_file_is_refused)
{
    struct seed s;
    NEED(open_seed(&s, why));
    for (size_t n = 0; n < s.n - 1; n += n < 64 ? 1 : 97) {
        if (ftruncate(s.fd, (off_t)n)) break;
        CHECK(!look(s.path), "%zu bytes", n);
        if (!put(&s, 0, s.b, s.n)) break;
    }
    LLVMFuzzerTestOneInput(s.b, s.n);
    LLVMFuzzerTestOneInput(s.b, 0);
    close(s.fd);
    free(s.b);
}
