/* tests/unit/cluster/speed_store_test.c — what is kept of a worker's speed comes back as it was, for as long as it is true. */
#include "base/mapped.h"
#include "coordinator/cluster/speed_store.h"
#include "tests/support/check.h"
#include "tests/support/folder.h"

#define DAY 86400

static const struct speed_place place = {"tcp://a:7001", 2, 0x1234};

static struct known_speed known(void)
{
    struct known_speed k = {.crowd = 2, .at = 1000 * DAY};
    k.of = (struct hello){.build = "gemmapipe 7", .host = "attic", .isa = "avx2", .cpu = "a \"fast\" one", .share = 800, .period = 5000, .tick = 4000, .group = UINT64_MAX, .threads = 2, .memory = 1ull << 33};
    k.speed.local = (struct curve){.n = 2, .rows = {1, 8}, .seconds = {0.001, 0.003}};
    k.speed.global = k.speed.local;
    k.speed.head_part = (struct curve){.n = 1, .rows = {1}, .seconds = {1.0 / 3}};
    k.speed.key = 1e-9, k.speed.piece_key = 5e-10, k.speed.picture_layer = 0.25;
    k.speed.to = (struct hop){1e-4, 1e8}, k.speed.from = (struct hop){2e-4, 0};
    return k;
}

/* The only file in the cache, with this text. */
static void put(struct folder *f, const char *text)
{
    char *folder = cache_folder();
    struct known_speed k = known();
    speed_store_keep(&k, &place);
    char command[512];
    snprintf(command, sizeof command, "for f in %s/*.speed; do printf '%%s' '%s' > $f; done", folder, text);
    CHECK(folder && !system(command), "in %s", f->path);
    free(folder);
}

TEST(what_is_kept_comes_back_for_a_week)
{
    struct folder f = folder_new();
    struct known_speed out, was = known();
    setenv("XDG_CACHE_HOME", f.path, 1);
    CHECK(!speed_store_find(&out, &place, was.at), "there was something");
    speed_store_keep(&was, &place);
    CHECK(speed_store_find(&out, &place, was.at + DAY));
    CHECK(out.speed.local.n == 2 && out.speed.global.seconds[1] == 0.003 && out.speed.local.rows[1] == 8);
    CHECK(out.speed.head_part.seconds[0] > 0.333333332 && out.speed.head_part.seconds[0] < 0.333333334);
    CHECK(out.of.share == 800 && out.of.period == 5000 && out.of.tick == 4000 && out.of.group == UINT64_MAX);
    CHECK(out.speed.key == 1e-9 && out.speed.piece_key == 5e-10 && out.speed.picture_layer == 0.25);
    CHECK(out.speed.to.bytes_per_second == 1e8 && out.speed.from.delay == 2e-4 && out.crowd == 2 && out.at == was.at);
    CHECK(speed_still_true(&out, &was.of, 2), "%s", out.of.cpu);
    CHECK(!speed_store_find(&out, &place, was.at + SPEED_DAYS * DAY), "it was too old");
    speed_store_forget(&(struct speed_place){"tcp://b:7001", 2, 0x1234});
    CHECK(speed_store_find(&out, &place, was.at));
    CHECK(!speed_store_find(&out, &place, was.at - 2 * DAY), "it is of a time to come");
    CHECK(!speed_store_find(&out, &(struct speed_place){"tcp://a:7001", 2, 0x1235}, was.at), "it was of another model");
    CHECK(!speed_store_find(&out, &(struct speed_place){"tcp://a:7001", 1, 0x1234}, was.at), "it was of other threads");
    CHECK(!speed_store_find(&out, &(struct speed_place){"tcp://b:7001", 2, 0x1234}, was.at), "it was of another worker");
    folder_end(&f);
}

TEST(what_a_busy_worker_reached_is_kept_for_an_hour)
{
    struct folder f = folder_new();
    struct known_speed out, was = known();
    was.busy = 1;
    was.derived = 4;
    setenv("XDG_CACHE_HOME", f.path, 1);
    speed_store_keep(&was, &place);
    CHECK(speed_store_find(&out, &place, was.at + BUSY_SECONDS - 1) && out.busy && out.derived == 4);
    CHECK(!speed_store_find(&out, &place, was.at + BUSY_SECONDS));
    folder_end(&f);
}

TEST(it_is_true_only_of_the_same_worker)
{
    const struct known_speed k = known();
    struct hello now[9];
    for (int i = 0; i < 9; i++) now[i] = k.of;
    now[0].build[0] = 'x', now[1].host[0] = 'x', now[2].isa[0] = 'x', now[3].cpu[0] = 'x';
    now[4].share = 400, now[5].threads = 1, now[6].memory++, now[7].period = 100000;
    for (int i = 0; i < 8; i++) CHECK(!speed_still_true(&k, &now[i], 2), "change %d was not seen", i);
    CHECK(speed_still_true(&k, &now[8], 2) && !speed_still_true(&k, &now[8], 1));
}

TEST(what_cannot_be_understood_is_left_aside)
{
    static const char *const bad[] = {
        "", "{", "[]", "{\"version\": 1}", "{\"version\": 2}", "{\"version\": 2, \"layer\": [[1, 1]], \"head_part\": []}",
        "{\"version\": 2, \"layer\": [[1, 1], [1, 2]], \"head_part\": [[1, 1]]}", "{\"version\": 2, \"layer\": [[0, 1]], \"head_part\": [[1, 1]]}",
        "{\"version\": 2, \"layer\": [[1, -1]], \"head_part\": [[1, 1]]}", "{\"version\": 2, \"layer\": [[1, 1e400]], \"head_part\": [[1, 1]]}",
        "{\"version\": 2, \"layer\": [[1,1],[2,1],[3,1],[4,1],[5,1],[6,1],[7,1],[8,1],[9,1]], \"head_part\": [[1, 1]]}",
        "{\"version\": 2, \"layer\": [[1, 1, 1]], \"head_part\": [[1, 1]]}", "{\"version\": 2, \"threads\": 0}", "{\"version\": 2, \"to\": [1, 2, 3]}",
    };
    struct folder f = folder_new();
    struct known_speed out;
    setenv("XDG_CACHE_HOME", f.path, 1);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put(&f, bad[i]);
        CHECK(!speed_store_find(&out, &place, known().at), "%s", bad[i]);
    }
    put(&f, "{\"version\": 2, \"at\": 86400000, \"threads\": 1, \"crowd\": 1, \"layer\": [[1, 1]], \"head_part\": [[1, 1]], \"new\": [{}]}");
    CHECK(speed_store_find(&out, &place, known().at) && out.speed.global.n == 1, "what is not known is passed over");
    folder_end(&f);
}
