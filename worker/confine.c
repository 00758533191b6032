/* worker/confine.c — see confine.h. The one door to libseccomp. Landlock has no library: three system calls. */
#define _GNU_SOURCE
#include "worker/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- files ---- */

/* Newer than the headers of Debian 12. */
#define LANDLOCK_REFER (1ull << 13)    /* from version 2 of the interface on */
#define LANDLOCK_TRUNCATE (1ull << 14) /* 3 */

#define READS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define KEEPS (READS | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_REFER | LANDLOCK_TRUNCATE)
#define LISTENS (LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE)

struct fence {
    int rules; /* a descriptor */
    uint64_t known; /* what this kernel can refuse */
};

/* What is not there needs no rule. */
static int let(const struct fence *f, const char *path, uint64_t what, struct err *why)
{
    struct stat st;
    struct landlock_path_beneath_attr rule = {.parent_fd = path ? open(path, O_PATH | O_CLOEXEC) : -1};
    if (rule.parent_fd < 0) return 0;
    const bool folder = !fstat(rule.parent_fd, &st) && S_ISDIR(st.st_mode);
    rule.allowed_access = f->known & (folder ? what : what & (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_TRUNCATE));
    const long code = syscall(SYS_landlock_add_rule, f->rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    const int reason = errno;
    close(rule.parent_fd);
    errno = reason;
    return code ? fail_errno(why, E_INTERNAL, "cannot let this process into %s alone", path) : 0;
}

/* Libraries may still be loaded: those that look names up, and OpenBLAS, which may lie beside the program. */
static int let_libraries(const struct fence *f, struct err *why)
{
    static const char *const system[] = {"/usr", "/lib", "/lib64", "/etc", "/proc", "/sys", "/dev/null", "/dev/urandom", "/run/systemd/resolve"};
    char self[PATH_MAX], beside[PATH_MAX + 8];
    for (size_t i = 0; i < sizeof system / sizeof *system; i++) TRY(let(f, system[i], READS, why));
    const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0) return 0;
    self[n] = 0;
    snprintf(beside, sizeof beside, "%s/../lib", dirname(self));
    return let(f, beside, READS, why);
}

static int let_in(const struct fence *f, const struct confinement *c, struct err *why)
{
    char socket[PATH_MAX];
    TRY(let_libraries(f, why));
    TRY(let(f, "/dev/null", LANDLOCK_ACCESS_FS_WRITE_FILE, why));
    TRY(let(f, c->reads_anything ? "/" : NULL, READS, why));
    for (size_t i = 0; i < sizeof c->reads / sizeof *c->reads; i++) TRY(let(f, c->reads[i], READS, why));
    TRY(let(f, c->cache, KEEPS, why));
    if (strncmp(c->socket, "ipc:///", 7)) return 0;
    snprintf(socket, sizeof socket, "%s", c->socket + 6);
    return let(f, dirname(socket), LISTENS, why);
}

/* It is made here, because only what is there can be let in. As root it is made for whom this process becomes. */
static int make_cache(const struct confinement *c, struct err *why)
{
    if (!c->cache || mkdir(c->cache, 0700)) return 0; /* if it cannot be, writing into it will tell */
    const struct passwd *user = c->user ? getpwnam(c->user) : NULL;
    if (user && chown(c->cache, user->pw_uid, user->pw_gid)) return fail_errno(why, E_FILE, "cannot give %s to %s", c->cache, c->user);
    return 0;
}

int confine_files(const struct confinement *c, bool *held, struct err *why)
{
    const long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    *held = false;
    TRY(make_cache(c, why));
    if (version < 1) return 0;
    const struct landlock_ruleset_attr all = {
        .handled_access_fs = ((1ull << 13) - 1) | (version >= 2 ? LANDLOCK_REFER : 0) | (version >= 3 ? LANDLOCK_TRUNCATE : 0),
    };
    const struct fence f = {.known = all.handled_access_fs, .rules = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all.handled_access_fs, 0)};
    if (f.rules < 0) return fail_errno(why, E_INTERNAL, "cannot keep this process from files");
    int code = let_in(&f, c, why);
    if (!code && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_landlock_restrict_self, f.rules, 0)))
        code = fail_errno(why, E_INTERNAL, "cannot keep this process from files");
    close(f.rules);
    *held = !code;
    return code;
}

/* ---- the user ---- */

static bool has_capabilities(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct set[_LINUX_CAPABILITY_U32S_3] = {{0}};
    return syscall(SYS_capget, &head, set) || set[0].permitted || set[1].permitted || set[0].effective || set[1].effective;
}

static bool in_group(gid_t group)
{
    gid_t groups[NGROUPS_MAX];
    const int n = getgroups(NGROUPS_MAX, groups);
    bool found = n < 0 || getgid() == group || getegid() == group;
    for (int i = 0; i < n; i++) found |= groups[i] == group;
    return found;
}

int confine_user(const struct confinement *c, struct err *why)
{
    if (!c->user) return 0;
    const struct passwd *user = getpwnam(c->user);
    if (!user) return fail(why, E_USAGE, "there is no user '%s' here", c->user);
    if (!user->pw_uid) return fail(why, E_USAGE, "a worker becomes a user without rights, and %s is root", c->user);
    if (initgroups(c->user, user->pw_gid) || setresgid(user->pw_gid, user->pw_gid, user->pw_gid) ||
        setresuid(user->pw_uid, user->pw_uid, user->pw_uid))
        return fail(why, E_USAGE, "only root can become %s: %s", c->user, strerror(errno));
    if (in_group(0)) return fail(why, E_USAGE, "a worker becomes a user without rights, and %s is in the group of root", c->user);
    if (!setresuid(0, 0, 0) || !setresgid(0, 0, 0) || has_capabilities())
        return fail(why, E_USAGE, "%s could still do what root may", c->user);
    return 0;
}

/* ---- calls ---- */

#if SECCOMP
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

/* What libraries ask for while a worker computes, links come and go, and runs begin and end; by names, because not every machine has each. */
static const char *const allowed[] = {
    /* memory */ "munmap", "mremap", "madvise", "brk", "mlock", "mlock2", "munlock", "mincore", "mbind", "set_mempolicy", "get_mempolicy",
    /* threads */ "futex", "set_robust_list", "get_robust_list", "rseq", "set_tid_address", "gettid", "getpid", "exit", "exit_group", "sched_yield",
    "sched_getaffinity", "sched_setaffinity", "sched_getparam", "sched_getscheduler", "sched_setscheduler", "sched_get_priority_min",
    "sched_get_priority_max", "membarrier", "getcpu", "restart_syscall",
    /* signals */ "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack",
    /* time */ "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time",
    /* what is open */ "read", "write", "readv", "writev", "pread64", "pwrite64", "close", "lseek", "fcntl", "dup", "poll", "ppoll", "select", "pselect6",
    "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "eventfd2", "pipe2", "fadvise64",
    /* the network */ "connect", "accept", "accept4", "bind", "listen", "getsockname", "getpeername", "setsockopt", "getsockopt", "sendto", "sendmsg",
    "sendmmsg", "recvfrom", "recvmsg", "shutdown",
    /* files, to read */ "stat", "fstat", "lstat", "newfstatat", "statx", "statfs", "fstatfs", "access", "faccessat", "faccessat2", "readlink", "readlinkat",
    "getcwd", "getdents64",
    /* the machine */ "uname", "sysinfo", "getrandom", "getrusage", "getrlimit", "getuid", "geteuid", "getgid", "getegid",
};

/* Which folder these write to cannot be seen by a filter: that is what Landlock is for. */
static const char *const for_a_cache[] = {
    "mkdir", "mkdirat", "unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat", "utimensat", "fallocate", "ftruncate", "fsync",
    "fdatasync", "sync_file_range", "flock", "fchmod",
};

struct sieve {
    scmp_filter_ctx filter;
    int failed; /* the first reason, from errno; 0: none */
};

/* A call that this machine does not have needs no rule. */
static void let_call(struct sieve *s, uint32_t action, const char *name, unsigned n, struct scmp_arg_cmp a, struct scmp_arg_cmp b)
{
    const int number = seccomp_syscall_resolve_name(name);
    const int code = number == __NR_SCMP_ERROR || number < 0 ? 0 : seccomp_rule_add(s->filter, action, number, n, a, b);
    if (code && !s->failed) s->failed = -code;
}

static void let_calls(struct sieve *s, const char *const *names, size_t n)
{
    const struct scmp_arg_cmp any = {0};
    for (size_t i = 0; i < n; i++) let_call(s, SCMP_ACT_ALLOW, names[i], 0, any, any);
}

static void let_if(struct sieve *s, const char *name, unsigned argument, uint64_t bits, uint64_t value)
{
    const struct scmp_arg_cmp a = SCMP_CMP64(argument, SCMP_CMP_MASKED_EQ, bits, value);
    let_call(s, SCMP_ACT_ALLOW, name, 1, a, (struct scmp_arg_cmp){0});
}

static void let_some(struct sieve *s, bool writes)
{
    static const unsigned families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK}, controls[] = {FIONREAD, FIONBIO, TCGETS, TIOCGWINSZ},
                          writable[] = {0, PROT_WRITE, PROT_EXEC};
    const uint64_t all = UINT32_MAX;
    for (int i = 0; i < 4; i++) {
        let_if(s, "socket", 0, all, families[i]);
        let_if(s, "ioctl", 1, all, controls[i]);
    }
    let_if(s, "socketpair", 0, all, AF_UNIX);
    /* Memory is written or run, never both; libraries are still loaded, from files. */
    for (int i = 0; i < 3; i++) let_if(s, "mmap", 2, PROT_WRITE | PROT_EXEC, writable[i]);
    let_if(s, "mprotect", 2, PROT_EXEC, 0);
    /* Threads, no processes. The newer call hides from a filter what it is to start; without it libraries use the older one. */
    let_if(s, "clone", 0, CLONE_THREAD, CLONE_THREAD);
    let_call(s, SCMP_ACT_ERRNO(ENOSYS), "clone3", 0, (struct scmp_arg_cmp){0}, (struct scmp_arg_cmp){0});
    let_if(s, "tgkill", 0, all, (uint64_t)getpid());
    let_if(s, "prctl", 0, all, PR_SET_NAME);
    let_if(s, "prlimit64", 0, all, 0); /* its own */
    if (writes) let_if(s, "openat", 0, 0, 0);
    else let_if(s, "openat", 2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY);
}

/* Taken from all threads at once, in the order of a tree: a list of a hundred would be walked for each call. No mitigation of
 * Spectre for it, which slows computing: this process runs no code of strangers. */
static int load(struct sieve *s)
{
    if (s->failed) return -s->failed;
    int code = seccomp_attr_set(s->filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (!code) code = seccomp_attr_set(s->filter, SCMP_FLTATR_CTL_SSB, 1);
    if (!code) code = seccomp_attr_set(s->filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    return code ? code : seccomp_load(s->filter);
}

int confine_calls(const struct confinement *c, bool *held, struct err *why)
{
    struct sieve s = {.filter = seccomp_init(SCMP_ACT_ERRNO(EPERM))};
    *held = false;
    if (!s.filter) return fail(why, E_MEMORY, "no memory for a filter of system calls");
    let_calls(&s, allowed, sizeof allowed / sizeof *allowed);
    if (c->cache || !strncmp(c->socket, "ipc:///", 7)) let_calls(&s, for_a_cache, sizeof for_a_cache / sizeof *for_a_cache);
    let_some(&s, c->cache != NULL);
    const int code = load(&s);
    seccomp_release(s.filter);
    *held = !code;
    return code ? fail(why, E_INTERNAL, "cannot take system calls from this process: %s", strerror(-code)) : 0;
}
#else
int confine_calls(const struct confinement *c, bool *held, struct err *why)
{
    (void)c, (void)why;
    *held = false;
    return 0;
}
#endif
