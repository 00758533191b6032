/* tests/unit/base/cgroup_test.c — the smallest limit of a process's own groups and of those above them, on machines that are folders. */
#include "base/cgroup.h"
#include "tests/support/check.h"
#include "tests/support/folder.h"

struct entry {
    const char *file, *text; /* below sys/fs/cgroup */
};

/* What is found on a machine with these files, as this process in these groups. */
static struct cgroup_limits found(const char *groups, const struct entry *files, int n)
{
    struct folder f = folder_new();
    char name[128];
    folder_put_text(&f, "proc/self/cgroup", groups);
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "sys/fs/cgroup/%s", files[i].file);
        folder_put_text(&f, name, files[i].text);
    }
    const struct cgroup_limits l = cgroup_limits(f.path);
    folder_end(&f);
    return l;
}

#define FOUND(groups, ...)                                                                                             \
    found(groups, (const struct entry[]){__VA_ARGS__},                                                                 \
          (int)(sizeof((const struct entry[]){__VA_ARGS__}) / sizeof(struct entry)))
#define CHECK_LIMITS(l, m, c)                                                                                          \
    CHECK((l).memory == (m) && (l).cores == (c), "%llu bytes, %llu cores", (unsigned long long)(l).memory,             \
          (unsigned long long)(l).cores)

TEST(the_limits_of_a_service_are_found_where_the_service_is)
{
    struct cgroup_limits l = FOUND("0::/system.slice/gemmapipe.service\n", {"system.slice/gemmapipe.service/memory.max", "1000000\n"},
                                   {"system.slice/gemmapipe.service/cpu.max", "150000 100000\n"}, {"memory.max", "max\n"});
    CHECK_LIMITS(l, 1000000, 2);
}

TEST(the_smallest_of_all_groups_above_counts)
{
    struct cgroup_limits l = FOUND("0::/job/step/task\n", {"job/step/task/memory.max", "max\n"}, {"job/step/task/cpu.max", "max 100000\n"},
                                   {"job/step/memory.max", "900\n"}, {"job/step/cpu.max", "800000 100000\n"}, {"job/memory.max", "1000\n"},
                                   {"job/cpu.max", "300000 100000\n"}, {"memory.max", "800\n"});
    CHECK_LIMITS(l, 800, 3);
    CHECK(l.share == 3000 && l.period == 100000, "%llu thousandths of a core", (unsigned long long)l.share);
}

TEST(the_period_is_that_of_the_smallest_share_and_its_group_is_known_again)
{
    const struct entry files[] = {{"a/b/cpu.max", "40000 50000\n"}, {"a/cpu.max", "1000 5000\n"}, {"cpu.max", "max 100000\n"}};
    const struct cgroup_limits l = found("0::/a/b\n", files, 3), alone = FOUND("0::/a\n", {"a/cpu.max", "max 100000\n"});
    CHECK(l.share == 200 && l.period == 5000 && l.group, "%llu thousandths in %llu us", (unsigned long long)l.share, (unsigned long long)l.period);
    CHECK(alone.share == UINT64_MAX && !alone.period && !alone.group);
}

TEST(limits_of_version_1_are_found_by_the_names_of_their_hierarchies)
{
    struct cgroup_limits l = FOUND("9:name=systemd:/a\n4:memory:/a/b\n1:cpu,cpuacct:/a\n0::/\n",
                                   {"memory/a/b/memory.limit_in_bytes", "9223372036854771712\n"},
                                   {"memory/a/memory.limit_in_bytes", "5000\n"}, {"cpu,cpuacct/a/cpu.cfs_quota_us", "50000\n"},
                                   {"cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"});
    CHECK_LIMITS(l, 5000, 1);
    l = FOUND("1:cpu:/\n0::/x\n", {"cpu/cpu.cfs_quota_us", "-1\n"}, {"cpu/cpu.cfs_period_us", "100000\n"},
              {"unified/x/memory.max", "7000\n"});
    CHECK_LIMITS(l, 7000, UINT64_MAX);
}

TEST(a_container_that_knows_its_group_by_the_hosts_path_finds_its_own)
{
    struct cgroup_limits l = FOUND("4:memory:/docker/0123\n0::/../docker/0123\n",
                                   {"memory/memory.limit_in_bytes", "6000\n"}, {"cpu.max", "100000 100000\n"});
    CHECK_LIMITS(l, 6000, 1);
}

TEST(what_is_no_limit_is_not_believed)
{
    struct cgroup_limits l = FOUND("0::/a\nnonsense\n1:memory\n\n", {"a/memory.max", "lots\n"}, {"a/cpu.max", "5 0\n"},
                                   {"memory.max", "0\n"}, {"cpu.max", "-5 100\n"});
    CHECK_LIMITS(l, UINT64_MAX, UINT64_MAX);
    l = FOUND("", {"memory.max", "5\n"}); /* it is in no group */
    CHECK_LIMITS(l, UINT64_MAX, UINT64_MAX);
}
