/* tests/unit/base/cores_test.c — which cores threads are bound to, on machines that are folders. */
#include "base/cores.h"
#include "tests/support/check.h"
#include "tests/support/folder.h"

#include <omp.h>

#define MACHINE_CPUS 8

/* A machine of two memory nodes with two cores of two threads each, in two of the numberings that exist. */
struct machine {
    const char *nodes[2], *siblings[MACHINE_CPUS];
};
/* As of most systems: second threads are counted after all first ones. */
static const struct machine usual = {{"0-1,4-5", "2-3,6-7"}, {"0,4", "1,5", "2,6", "3,7", "0,4", "1,5", "2,6", "3,7"}};
/* Nodes take turns, threads of a core stand side by side. */
static const struct machine turns = {{"0-1,4-5", "2-3,6-7"}, {"0-1", "0-1", "2-3", "2-3", "4-5", "4-5", "6-7", "6-7"}};

static struct folder build(const struct machine *m)
{
    struct folder f = folder_new();
    char name[128];
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "node/node%d/cpulist", i);
        folder_put_text(&f, name, m->nodes[i]);
    }
    for (int i = 0; i < MACHINE_CPUS; i++) {
        snprintf(name, sizeof name, "cpu/cpu%d/topology/thread_siblings_list", i);
        folder_put_text(&f, name, m->siblings[i]);
    }
    return f;
}

static const char *order(const struct folder *f, const char *of, int threads)
{
    static char text[CORES_TEXT];
    struct cores from = {0}, out;
    for (const char *p = of; *p; p++) from.id[from.n++] = (uint16_t)(*p - '0');
    cores_in_order(&out, &from, threads, f->path);
    return cores_text(&out, text);
}

TEST(threads_take_whole_cores_node_by_node_while_there_are_some)
{
    struct folder a = build(&usual), b = build(&turns);
    CHECK(!strcmp(order(&a, "01234567", 4), "0,1,2,3"), "%s", order(&a, "01234567", 4));
    CHECK(!strcmp(order(&b, "01234567", 3), "0,4,2,6"), "%s", order(&b, "01234567", 3));
    CHECK(!strcmp(order(&a, "134567", 4), "4,1,6,3"), "%s", order(&a, "134567", 4)); /* the first thread of cores 0 and 2 is not ours */
    folder_end(&a), folder_end(&b);
}

TEST(threads_of_one_core_stand_side_by_side_when_all_are_wanted)
{
    struct folder a = build(&usual), b = build(&turns);
    CHECK(!strcmp(order(&a, "01234567", 5), "0,4,1,5,2,6,3,7"), "%s", order(&a, "01234567", 5));
    CHECK(!strcmp(order(&b, "01234567", 8), "0,1,4,5,2,3,6,7"), "%s", order(&b, "01234567", 8));
    folder_end(&a), folder_end(&b);
}

TEST(a_system_that_says_nothing_has_one_node_of_whole_cores)
{
    struct folder f = folder_new();
    CHECK(!strcmp(order(&f, "0257", 2), "0,2,5,7"), "%s", order(&f, "0257", 2));
    CHECK(!strcmp(order(&f, "", 2), ""), "%s", order(&f, "", 2));
    folder_end(&f);
}

TEST(what_is_no_list_is_not_believed)
{
    static const struct machine odd = {{"0-99999", "x"}, {"", ",", "5-2", "-1", "99999", "4,", "6", "7\n"}};
    struct folder f = build(&odd);
    CHECK(!strcmp(order(&f, "01234567", 8), "0,1,2,3,4,5,6,7"), "%s", order(&f, "01234567", 8));
    folder_end(&f);
}

TEST(workers_take_the_next_cores_and_begin_again_at_the_end)
{
    const struct cores all = {5, {0, 4, 1, 5, 2}}, none = {0};
    const struct cores first = cores_from(&all, 0, 2), round = cores_from(&all, 4, 3), most = cores_from(&all, 13, 9);
    char text[CORES_TEXT];
    CHECK(!strcmp(cores_text(&first, text), "0,4"), "%s", text);
    CHECK(!strcmp(cores_text(&round, text), "2,0,4"), "%s", text);
    CHECK(!strcmp(cores_text(&most, text), "5,2,0,4,1"), "%s", text);
    CHECK(cores_from(&none, 3, 2).n == 0);
}

/* N is a core that may be used here: of any other the sentence would be that it may not. */
static void with_a_core(char *out, size_t size, const char *text, unsigned core)
{
    size_t n = 0;
    *out = 0;
    for (; *text && n < size; text++) n += (size_t)(*text == 'N' ? snprintf(out + n, size - n, "%u", core) : snprintf(out + n, size - n, "%c", *text));
}

TEST(a_list_of_cores_is_read_as_it_is_written)
{
    char text[CORES_TEXT], list[CORES_TEXT + 16];
    struct cores mine, got;
    struct err e = {0};
    cores_mine(&mine);
    NEED(cores_read(&got, cores_text(&mine, text), why));
    CHECK(got.n == mine.n && !memcmp(got.id, mine.id, sizeof *got.id * (size_t)got.n));
    snprintf(list, sizeof list, "%u-%u", mine.id[0], mine.id[0]);
    NEED(cores_read(&got, list, why));
    CHECK(got.n == 1 && got.id[0] == mine.id[0]);
    static const char *const wrong[] = {"", ",", "x", "N-", "-N", "3-1", "N,", "N,,N", "N-", " N", "99999999999999999999", "N-1024", "N.5"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        with_a_core(list, sizeof list, wrong[i], mine.id[0]);
        CHECK(cores_read(&got, list, &e) == E_USAGE && strstr(e.text, list), "\"%s\": %s", list, e.text);
    }
    snprintf(list, sizeof list, "%u,%u", mine.id[0], mine.id[0]);
    CHECK(cores_read(&got, list, &e) == E_USAGE && strstr(e.text, "twice"), "%s", e.text);
    if (mine.n < CORES_MOST) CHECK(cores_read(&got, "1023", &e) == E_USAGE && strstr(e.text, "1023"), "%s", e.text);
}

TEST(each_thread_of_a_team_is_bound_to_one_core)
{
    struct cores mine;
    int right = 0;
    cores_mine(&mine);
    cores_bind_team(&mine, 3); /* on two cores the third begins again */
#pragma omp parallel num_threads(3) reduction(+ : right)
    {
        struct cores now;
        cores_mine(&now);
        right += now.n == 1 && now.id[0] == mine.id[omp_get_thread_num() % mine.n];
    }
    CHECK(right == 3, "%d of 3", right);
    cores_keep_to(&mine);
}

TEST(a_caller_can_leave_its_cores)
{
    struct cores mine, one, now;
    cores_mine(&mine);
    one = cores_from(&mine, mine.n - 1, 1);
    cores_bind_team(&one, 1);
    cores_mine(&now);
    CHECK(now.n == 1 && now.id[0] == one.id[0], "%d cores, the first %u", now.n, now.id[0]);
    cores_keep_to(&mine);
    cores_mine(&now);
    CHECK(now.n == mine.n, "%d of %d", now.n, mine.n);
}
