/* tests/unit/cluster/cluster_file_test.c — the cluster file: what it says is what is read, and nothing else is taken. */
#include "coordinator/cluster/cluster_file.h"
#include "tests/support/check.h"

#include <math.h>
#include <stdlib.h>

static struct cluster c;

static int parse(const char *text, struct err *why)
{
    return cluster_parse(&c, text, strlen(text), "test.json", why);
}

#define ONE "{\"workers\":[{\"address\":\"tcp://a:1\"}]"

TEST(everything_that_can_be_said_is_read)
{
    NEED(parse("{\"workers\":[{\"address\":\"tcp://10.0.0.2:7001\",\"memory\":\"2G\",\"threads\":4,"
               "\"speed\":0.5,\"layers\":12,\"head\":16},"
               "{\"address\":\"tcp://b:2\",\"name\":\"attic\",\"memory\":800000000,\"layers\":0}],"
               "\"context\":4096,\"sequences\":4,\"kv_positions\":8192,\"wait\":60}",
               why));
    CHECK(c.workers == 2 && c.by_hand && c.cuts[0].layers == 12 && c.cuts[0].parts == 16 && c.cuts[1].layers == 0 && c.cuts[1].parts == 0);
    CHECK(!strcmp(c.addresses[0], "tcp://10.0.0.2:7001") && !strcmp(c.offers[0].name, "tcp://10.0.0.2:7001"));
    CHECK(!strcmp(c.offers[1].name, "attic") && c.offers[1].memory == 800000000 && c.offers[1].speed == 1);
    CHECK(c.offers[0].memory == 2ull << 30 && c.offers[0].threads == 4 && c.offers[0].speed == 0.5);
    CHECK(c.context == 4096 && c.sequences == 4 && c.kv_positions == 8192 && c.wait == 60);
    NEED(parse(ONE "} \n", why));
    CHECK(c.workers == 1 && !c.by_hand && c.context == 0 && c.offers[0].threads == 0 && c.offers[0].memory == 0);
}

TEST(who_says_nothing_of_the_head_gives_it_to_the_last)
{
    NEED(parse("{\"workers\":[{\"address\":\"tcp://a:1\",\"layers\":1},{\"address\":\"tcp://b:1\",\"layers\":1}]}", why));
    CHECK(c.cuts[0].parts == 0 && c.cuts[1].parts == HEAD_PARTS);
    NEED(parse("{\"workers\":[{\"address\":\"tcp://a:1\",\"layers\":1,\"head\":9},"
               "{\"address\":\"tcp://b:1\",\"layers\":1,\"head\":7}]}", why));
    CHECK(c.cuts[0].parts == 9 && c.cuts[1].parts == 7);
}

TEST(a_worker_may_have_a_part_of_a_core)
{
    NEED(parse("{\"workers\":[{\"address\":\"tcp://a:1\",\"share\":0.4,\"period_ms\":5},{\"address\":\"tcp://b:1\",\"share\":2.5},"
               "{\"address\":\"tcp://c:1\"}]}", why));
    const struct ration *a = &c.offers[0].ration, *b = &c.offers[1].ration;
    CHECK(fabs(a->quota - 0.002) < 1e-12 && fabs(a->period - 0.005) < 1e-12 && a->tick > 0, "%g of %g s", a->quota, a->period);
    CHECK(fabs(b->quota - 0.25) < 1e-12 && fabs(b->period - 0.1) < 1e-12, "%g of %g s", b->quota, b->period);
    CHECK(ration_share(&c.offers[2].ration) == 1, "who says nothing has all");
}

TEST(the_example_is_a_cluster_file)
{
    NEED(cluster_read(&c, "deploy/cluster.example.json", why));
    CHECK(c.workers == 3 && c.context == 4096);
}

TEST(what_is_wrong_is_named)
{
    const struct { const char *text, *says; } bad[] = {
        {"", "not JSON"},
        {"[]", "one object"},
        {"{}", "no \"workers\""},
        {"{\"workers\":[]}", "1 to 1000"},
        {"{\"workers\":{}}", "1 to 1000"},
        {"{\"workers\":[7]}", "worker 1 must be an object"},
        {"{\"workers\":[{}]}", "worker 1 has no \"address\""},
        {"{\"workers\":[{\"address\":5}]}", "\"address\" of worker 1"},
        {"{\"workers\":[{\"address\":\"udp://a\"}]}", "tcp://"},
        {"{\"workers\":[{\"address\":\"tcp://a\\u001b[2J:1\"}]}", "plain characters"},
        {"{\"workers\":[{\"address\":\"tcp://a:1\"},{\"address\":\"tcp://a:1\"}]}",
         "workers 1 and 2 have the same address"},
        {"{\"workers\":[{\"address\":\"tcp://a:1\",\"memroy\":1}]}", "worker 1 has a key \"memroy\""},
        {"{\"workers\":[{\"address\":\"tcp://a:1\",\"memory\":\"2X\"}]}", "\"memory\" of worker 1"},
        {"{\"workers\":[{\"address\":\"tcp://a:1\",\"memory\":-1}]}", "\"memory\" of worker 1"},
        {"{\"workers\":[{\"address\":\"tcp://a:1\",\"memory\":1.5}]}", "\"memory\" of worker 1"},
        {"{\"workers\":[{\"address\":\"tcp://a:1\",\"memory\":1e300}]}", "\"memory\" of worker 1"},
        {"{\"workers\":[{\"address\":\"tcp://a:1\",\"threads\":0}]}", "from 1 to 4096"},
        {"{\"workers\":[{\"address\":\"tcp://a:1\",\"threads\":\"4\"}]}", "\"threads\" of worker 1"},
        {"{\"workers\":[{\"address\":\"tcp://a:1\",\"speed\":0}]}", "\"speed\""},
        {"{\"workers\":[{\"address\":\"tcp://a:1\",\"speed\":null}]}", "\"speed\""},
        {"{\"workers\":[{\"address\":\"tcp://a:1\",\"share\":0}]}", "\"share\" of worker 1 must be a number from 0.001 to 4096, not 0"},
        {"{\"workers\":[{\"address\":\"tcp://a:1\",\"share\":\"half\"}]}", "\"share\" of worker 1 must be a number from 0.001 to 4096"},
        {"{\"workers\":[{\"address\":\"tcp://a:1\",\"share\":0.5,\"period_ms\":0.1}]}", "\"period_ms\" of worker 1 must be a number from 0.5 to 1000, not 0.1"},
        {"{\"workers\":[{\"address\":\"tcp://a:1\",\"share\":1e999}]}", "\"share\" of worker 1"},
        {"{\"workers\":[{\"address\":\"tcp://a:1\",\"period_ms\":5}]}", "worker 1 has \"period_ms\" 5 and no \"share\""},
        {"{\"workers\":[{\"address\":\"tcp://a:1\",\"layers\":1},{\"address\":\"tcp://b:1\"}]}",
         "1 of 2 workers have \"layers\""},
        {"{\"workers\":[{\"address\":\"tcp://a:1\",\"layers\":1,\"head\":8},{\"address\":\"tcp://b:1\",\"layers\":1}]}",
         "\"head\" of all workers is 8 sixteenths, wanted all 16"},
        {"{\"workers\":[{\"address\":\"tcp://a:1\",\"head\":16}]}", "\"head\" and no \"layers\""},
        {"{\"workers\":[{\"address\":\"tcp://a:1\",\"layers\":1,\"head\":17}]}", "\"head\" of worker 1"},
        {ONE ",\"context\":4294967296}", "\"context\" of the file"},
        {ONE ",\"context\":1.5}", "whole number"},
        {ONE ",\"context\":1,\"context\":2}", "twice"},
        {ONE ",\"\\u001b]0;x\":1}", "\"\x1b]0;x\""},
        {ONE ",\"context\\u0000\":1}", "zero byte"},
        {ONE "} x", "not JSON"},
        {ONE "\n\n,}", "line 3"},
        {"{\"a\":[[[[[[[[1]]]]]]]]}", "nested 9 deep"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err no = {0};
        int rc = parse(bad[i].text, &no);
        CHECK(rc == E_FILE && strstr(no.text, bad[i].says) && strstr(no.text, "test.json"), "%s\n    gives %d: %s",
              bad[i].text, rc, no.text);
        CHECK(c.workers == 0, "half a cluster was left behind");
    }
}

TEST(too_large_and_too_deep_files_are_refused_before_they_are_parsed)
{
    struct err no = {0};
    size_t n = (1u << 20) + 1;
    char *text = malloc(n);
    memset(text, ' ', n);
    CHECK(cluster_parse(&c, text, n, "big", &no) == E_FILE && strstr(no.text, "1048576"), "%s", no.text);
    memset(text, '[', n);
    CHECK(cluster_parse(&c, text, n - 1, "deep", &no) == E_FILE && strstr(no.text, "nested 1048576 deep"), "%s",
          no.text);
    free(text);
    CHECK(cluster_parse(&c, ONE "}\0", strlen(ONE) + 2, "nul", &no) == E_FILE && strstr(no.text, "zero byte"), "%s",
          no.text);
    CHECK(cluster_read(&c, "/nowhere/cluster.json", &no) == E_FILE && strstr(no.text, "/nowhere/cluster.json"), "%s",
          no.text);
    CHECK(cluster_read(&c, "/", &no) == E_FILE, "%s", no.text);
}

TEST(no_byte_of_a_file_can_be_changed_into_a_crash)
{
    static const char text[] =
        "{\"workers\":[{\"address\":\"tcp://a:1\",\"memory\":\"2G\",\"threads\":4}],\"context\":4096}";
    static const char hostile[] = "\"\\{}[],:0e-.u\x01\xff n";
    char copy[sizeof text];
    int taken = 0;
    for (size_t i = 0; i + 1 < sizeof text; i++)
        for (size_t k = 0; k + 1 < sizeof hostile; k++) {
            memcpy(copy, text, sizeof text);
            copy[i] = hostile[k];
            int rc = cluster_parse(&c, copy, sizeof text - 1, "mutant", NULL);
            CHECK(rc == 0 || (rc == E_FILE && c.workers == 0));
            taken += rc == 0;
            CHECK(cluster_parse(&c, text, i, "cut", NULL) == E_FILE);
        }
    CHECK(taken > 0);
}
