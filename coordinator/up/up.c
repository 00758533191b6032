/* coordinator/up/up.c — see up.h. What happens on the machines is remote.sh's. */
#include "coordinator/up/up.h"

#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/plain_text.h"
#include "base/read_to_end.h"
#include "base/size_text.h"
#include "base/version.h"
#include "coordinator/cluster/local_workers.h"
#include "coordinator/up/greetings.h"
#include "coordinator/up/remote.h"
#include "transport/links/address.h"
#include "transport/links/keys.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define START_SECONDS 60
#define STOP_SECONDS 40
#define LOOK_SECONDS 20
#define ANSWER_SECONDS 20
#define STATUS_SECONDS 3
#define PROGRAM_MOST (256u << 20)
#define TEXT_MOST 320

struct target { /* a worker */
    const char *host;
    char machine[CLUSTER_ADDRESS], name[CLUSTER_ADDRESS]; /* of its address; of its folder */
    char words[6][TEXT_MOST];                           /* numbers and the like among its arguments */
    char state[24], pid[24], holds[160], why[REMOTE_WHY];
    bool started; /* by this call */
};

struct up {
    const struct up_wish *wish;
    struct cluster cluster;
    struct target *of;     /* [n] */
    struct remote *job;    /* [n], of the action under way */
    int *worker;           /* [n]: its number in the file */
    int n;
    char keys[PATH_MAX], key[KEY_TEXT]; /* folder; this machine's public key, empty where no link leaves the machine */
};

/* ---- who ---- */

/* "tcp://10.0.0.2:7001" -> "10.0.0.2" and "10.0.0.2_7001". */
static void name_target(struct target *t, const char *address, const struct cluster_login *login)
{
    const char *from = address + sizeof "tcp://" - 1, *colon = strrchr(from, ':');
    const int n = colon ? (int)(colon - from) : (int)strlen(from);
    snprintf(t->machine, sizeof t->machine, "%.*s", n, from);
    if (*t->machine == '[') snprintf(t->machine, sizeof t->machine, "%.*s", n - 2, from + 1);
    t->host = *login->ssh ? login->ssh : t->machine;
    snprintf(t->name, sizeof t->name, "%s", from);
    for (char *c = t->name; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '.' && *c != '-') *c = '_';
    if (*t->name == '.' || *t->name == '-') *t->name = '_';
}

static bool is_wanted(const struct up *u, int worker)
{
    const char *only = u->wish->only;
    return !only || !strcmp(only, u->cluster.addresses[worker]) || !strcmp(only, u->cluster.offers[worker].name);
}

static int up_open(struct up *u, const struct up_wish *w, struct err *why)
{
    *u = (struct up){.wish = w};
    TRY(cluster_read(&u->cluster, w->file, why));
    const size_t all = (size_t)u->cluster.workers;
    u->of = calloc(all, sizeof *u->of);
    u->job = calloc(all, sizeof *u->job);
    u->worker = calloc(all, sizeof *u->worker);
    if (!u->of || !u->job || !u->worker) return fail(why, E_MEMORY, "no memory for %d workers", u->cluster.workers);
    for (int i = 0; i < u->cluster.workers; i++) {
        if (!is_wanted(u, i)) continue;
        u->worker[u->n] = i;
        name_target(&u->of[u->n++], u->cluster.addresses[i], &u->cluster.login[i]);
    }
    return u->n ? 0 : fail(why, E_USAGE, "%s has no worker \"%.100s\"", w->file, w->only);
}

static void up_close(struct up *u)
{
    remote_free(u->job, u->n);
    free(u->of);
    free(u->worker);
}

/* One action on all machines; words: of each, after the action and the name. */
static int act(struct up *u, const char *action, int seconds, void (*words)(struct up *u, int i, const char **word), struct err *why)
{
    for (int i = 0; i < u->n; i++) {
        free(u->job[i].out);
        u->job[i] = (struct remote){.host = u->of[i].host, .input = -1, .word = {action, u->of[i].name}};
        if (words) words(u, i, u->job[i].word + 2);
    }
    return remote_run(u->job, u->n, seconds, why);
}

static void take_answer(struct target *t, const struct remote *r)
{
    remote_said(r, "state", t->state, sizeof t->state);
    remote_said(r, "pid", t->pid, sizeof t->pid);
    remote_said(r, "holds", t->holds, sizeof t->holds);
    remote_said(r, "why", t->why, sizeof t->why);
    if (*t->state && r->status == 0) return;
    snprintf(t->state, sizeof t->state, "%s", r->status == 255 ? "no login" : "failed");
    snprintf(t->why, sizeof t->why, "%s", *r->why ? r->why : "the script on that machine said nothing");
}

static bool is_up(const struct target *t)
{
    return !strcmp(t->state, "started") || !strcmp(t->state, "running");
}

/* ---- keys: who can log in to a machine may use a worker there, so the login is what trust comes from ---- */

static bool needs_key(const struct up *u, int i)
{
    return !address_is_near(u->cluster.addresses[u->worker[i]]);
}

static int find_own_key(struct up *u, struct err *why)
{
    struct keys *keys = NULL;
    char path[PATH_MAX + 8];
    bool wanted = false;
    for (int i = 0; i < u->n; i++) wanted |= needs_key(u, i);
    if (!wanted) return 0;
    TRY(keys_folder(u->keys, NULL, why));
    snprintf(path, sizeof path, "%s/id.key", u->keys);
    if (access(path, F_OK)) {
        TRY(keys_new(u->keys, why));
        log_info("made this machine's key, %s", path);
    }
    TRY(keys_open(&keys, u->keys, why));
    key_text(u->key, keys_public(keys));
    keys_close(&keys);
    return 0;
}

/* Of a worker whose key the file does not say: the one that its machine told over ssh, under host and port of its address. */
static int trust_workers(struct up *u, struct err *why)
{
    char key[KEY_TEXT + 8];
    for (int i = 0; i < u->n; i++) {
        struct target *t = &u->of[i];
        if (!needs_key(u, i) || !is_up(t) || *u->cluster.keys[u->worker[i]]) continue;
        remote_said(&u->job[i], "key", key, sizeof key);
        if (*key) TRY(keys_trust(u->keys, strchr(u->cluster.addresses[u->worker[i]], ':') + 3, key, why));
        else snprintf(t->why, sizeof t->why, "it told no key");
    }
    return 0;
}

/* ---- starting ---- */

static void start_words(struct up *u, int i, const char **word)
{
    const int w = u->worker[i];
    const struct worker_offer *o = &u->cluster.offers[w];
    const struct cluster_login *l = &u->cluster.login[w];
    struct target *t = &u->of[i];
    int n = 0;
    word[n++] = l->program;
    word[n++] = GEMMAPIPE_VERSION;
    word[n++] = needs_key(u, i) ? u->key : "";
    word[n++] = "--listen";
    word[n++] = u->cluster.addresses[w];
    if (o->memory) {
        snprintf(t->words[0], TEXT_MOST, "%llu", (unsigned long long)o->memory);
        word[n++] = "--memory";
        word[n++] = t->words[0];
    }
    if (o->threads) {
        snprintf(t->words[1], TEXT_MOST, "%d", o->threads);
        word[n++] = "--threads";
        word[n++] = t->words[1];
    }
    if (*l->cache) word[n++] = "--cache", word[n++] = l->cache;
    word[n] = NULL;
}

/* The program beside this one, and its hash: the name that it gets elsewhere. */
static int own_program(char path[PATH_MAX], char hash[24], struct err *why)
{
    char *bytes;
    size_t n;
    TRY(worker_program(path, why));
    TRY(read_to_end(path, PROGRAM_MOST, &bytes, &n, why));
    snprintf(hash, 24, "%016llx", (unsigned long long)hash64(bytes, n));
    free(bytes);
    return 0;
}

/* Where a machine has no program of this version, and is of this kind, it gets a copy. */
static int place_program(struct up *u, int i, struct err *why)
{
    struct target *t = &u->of[i];
    struct utsname here;
    char machine[64], other[TEXT_MOST], path[PATH_MAX], hash[24];
    uname(&here);
    remote_said(&u->job[i], "machine", machine, sizeof machine);
    remote_said(&u->job[i], "other", other, sizeof other);
    if (strcmp(machine, here.machine)) {
        snprintf(t->why, sizeof t->why, "no gemmapipe-worker %s there, and a copy from here would not run on %.40s%s%.80s", GEMMAPIPE_VERSION, machine,
                 *other ? "; " : "", other);
        return 0;
    }
    TRY(own_program(path, hash, why));
    log_info("copying gemmapipe-worker to %s", t->host);
    return remote_put(t->host, path, hash, why);
}

static int start_all(struct up *u, struct err *why)
{
    bool placed = false;
    TRY(find_own_key(u, why));
    TRY(act(u, "start", START_SECONDS, start_words, why));
    for (int i = 0; i < u->n; i++) {
        take_answer(&u->of[i], &u->job[i]);
        u->of[i].started = !strcmp(u->of[i].state, "started");
        if (strcmp(u->of[i].state, "missing")) continue;
        TRY(place_program(u, i, why));
        placed |= !*u->of[i].why;
    }
    if (!placed) return trust_workers(u, why);
    TRY(act(u, "start", START_SECONDS, start_words, why));
    for (int i = 0; i < u->n; i++) {
        take_answer(&u->of[i], &u->job[i]);
        u->of[i].started |= !strcmp(u->of[i].state, "started");
        if (!strcmp(u->of[i].state, "missing") && !*u->of[i].why)
            snprintf(u->of[i].why, sizeof u->of[i].why, "the copy does not run there: are its libraries installed?");
    }
    return trust_workers(u, why);
}

static int take_back(struct up *u)
{
    struct err ignored;
    struct remote *job = calloc((size_t)u->n, sizeof *job);
    int n = 0;
    for (int i = 0; job && i < u->n; i++)
        if (u->of[i].started) job[n++] = (struct remote){.host = u->of[i].host, .input = -1, .word = {"stop", u->of[i].name}};
    const int code = n ? remote_run(job, n, STOP_SECONDS, &ignored) : 0;
    for (int i = 0; i < n; i++)
        if (job[i].status) log_warn("%s: a worker may be left: %s", job[i].host, job[i].why);
    remote_free(job, n);
    return code;
}

/* ---- showing ---- */

/* Asks all that run; who does not answer is not ready. */
static int greet_targets(struct up *u, struct greeting *g, int seconds, struct err *why)
{
    const char **addresses = calloc((size_t)u->n, sizeof *addresses), **names = calloc((size_t)u->n, sizeof *names);
    struct greeting *some = calloc((size_t)u->n, sizeof *some);
    int n = 0, code = addresses && names && some ? 0 : fail(why, E_MEMORY, "no memory for %d workers", u->n);
    for (int i = 0; i < u->n && !code; i++)
        if (is_up(&u->of[i])) {
            const int w = u->worker[i];
            names[n] = *u->cluster.keys[w] ? u->cluster.keys[w] : NULL;
            addresses[n++] = u->cluster.addresses[w];
        }
    if (!code) code = greet_all(some, addresses, names, n, seconds, why);
    for (int i = 0, k = 0; i < u->n && !code; i++)
        if (is_up(&u->of[i])) g[i] = some[k++];
    free(addresses);
    free(names);
    free(some);
    return code;
}

static void show_row(FILE *to, const struct up *u, int i, const struct greeting *g)
{
    const struct target *t = &u->of[i];
    const struct cluster *c = &u->cluster;
    const int w = u->worker[i];
    char memory[24] = "";
    if (g->answered) show_bytes(memory, g->hello.memory);
    fprintf(to, "%-14.14s %-26s %-9s %8s  ", strcmp(c->offers[w].name, c->addresses[w]) ? c->offers[w].name : t->host, c->addresses[w],
            g->answered ? "ready" : is_up(t) ? "silent" : t->state, t->pid);
    if (g->answered) fprintf(to, "%7u  %10s  %-8s %-16s %s\n", g->hello.threads, memory, g->hello.isa, g->hello.build, t->holds);
    else fprintf(to, "%s\n", *g->why ? g->why : t->why);
}

static void show_json(FILE *to, const struct up *u, const struct greeting *g)
{
    fprintf(to, "[\n");
    for (int i = 0; i < u->n; i++) {
        const struct target *t = &u->of[i];
        fprintf(to, "  {\"address\": \"%s\", \"name\": \"%s\", \"state\": \"%s\", \"process\": %ld, \"threads\": %u, \"memory\": %llu, \"isa\": ",
                u->cluster.addresses[u->worker[i]], u->cluster.offers[u->worker[i]].name, g[i].answered ? "ready" : is_up(t) ? "silent" : t->state,
                strtol(t->pid, NULL, 10), g[i].hello.threads, (unsigned long long)g[i].hello.memory);
        json_print_text(to, g[i].hello.isa);
        fprintf(to, ", \"holds\": ");
        json_print_text(to, t->holds);
        fprintf(to, "}%s\n", i + 1 < u->n ? "," : "");
    }
    fprintf(to, "]\n");
}

/* Returns how many are not ready. */
static int show(const struct up *u, const struct greeting *g, FILE *to)
{
    int missing = 0;
    for (int i = 0; i < u->n; i++) missing += !g[i].answered;
    if (u->wish->json) return show_json(to, u, g), missing;
    struct plain_page page;
    FILE *plain = plain_page_open(&page, to);
    fprintf(plain, "%-14s %-26s %-9s %8s  %7s  %10s  %-8s %-16s %s\n", "worker", "address", "state", "process", "threads", "memory", "isa", "version", "holds");
    for (int i = 0; i < u->n; i++) show_row(plain, u, i, &g[i]);
    plain_page_close(&page);
    return missing;
}

static int greet_and_show(struct up *u, int seconds, FILE *to, struct err *why)
{
    struct greeting *g = calloc((size_t)u->n, sizeof *g);
    if (!g) return fail(why, E_MEMORY, "no memory for %d workers", u->n);
    int code = greet_targets(u, g, seconds, why);
    const int missing = code ? 0 : show(u, g, to);
    free(g);
    return missing ? fail(why, E_WORKER, "%d of %d workers are not ready", missing, u->n) : code;
}

int up_start(const struct up_wish *w, FILE *to, struct err *why)
{
    struct up *u = calloc(1, sizeof *u);
    if (!u) return fail(why, E_MEMORY, "no memory for a cluster");
    int code = up_open(u, w, why);
    if (!code) code = start_all(u, why);
    if (!code) code = greet_and_show(u, w->wait_seconds ? w->wait_seconds : ANSWER_SECONDS, to, why);
    if (code && u->of && take_back(u)) log_warn("not all that was started could be ended: gemmapipe down %s", w->file);
    up_close(u);
    free(u);
    return code;
}

int up_status(const struct up_wish *w, FILE *to, struct err *why)
{
    struct up *u = calloc(1, sizeof *u);
    if (!u) return fail(why, E_MEMORY, "no memory for a cluster");
    int code = up_open(u, w, why);
    if (!code) code = act(u, "status", LOOK_SECONDS, NULL, why);
    for (int i = 0; i < u->n && !code; i++) take_answer(&u->of[i], &u->job[i]);
    if (!code) code = greet_and_show(u, w->wait_seconds ? w->wait_seconds : STATUS_SECONDS, to, why);
    up_close(u);
    free(u);
    return code;
}

/* ---- logs, down ---- */

static void log_words(struct up *u, int i, const char **word)
{
    snprintf(u->of[i].words[0], TEXT_MOST, "%d", u->wish->lines ? u->wish->lines : 20);
    word[0] = u->of[i].words[0];
}

int up_logs(const struct up_wish *w, FILE *to, struct err *why)
{
    struct up *u = calloc(1, sizeof *u);
    if (!u) return fail(why, E_MEMORY, "no memory for a cluster");
    int code = up_open(u, w, why), silent = 0;
    if (!code) code = act(u, "log", LOOK_SECONDS, log_words, why);
    struct plain_page page;
    FILE *plain = code ? NULL : plain_page_open(&page, to);
    for (int i = 0; i < u->n && !code; i++) {
        const struct remote *r = &u->job[i];
        fprintf(plain, "%s==> %s <==\n", i ? "\n" : "", u->cluster.addresses[u->worker[i]]);
        if (r->status) fprintf(plain, "(%s)\n", *r->why ? r->why : "no answer"), silent++;
        else fputs(r->n ? r->out : "(nothing)\n", plain);
    }
    if (plain) plain_page_close(&page);
    if (!code && silent) code = fail(why, E_WORKER, "%d of %d machines did not answer", silent, u->n);
    up_close(u);
    free(u);
    return code;
}

int up_down(const struct up_wish *w, FILE *to, struct err *why)
{
    struct up *u = calloc(1, sizeof *u);
    if (!u) return fail(why, E_MEMORY, "no memory for a cluster");
    int code = up_open(u, w, why), left = 0;
    if (!code) code = act(u, "stop", STOP_SECONDS, NULL, why);
    for (int i = 0; i < u->n && !code; i++) {
        struct target *t = &u->of[i];
        take_answer(t, &u->job[i]);
        const bool gone = !strcmp(t->state, "stopped") || !strcmp(t->state, "killed") || !strcmp(t->state, "none");
        left += !gone;
        fprintf(to, "%-26s %s%s%s\n", u->cluster.addresses[u->worker[i]], !strcmp(t->state, "none") ? "did not run" : t->state, gone ? "" : ": ", gone ? "" : t->why);
    }
    if (!code && left) code = fail(why, E_WORKER, "%d of %d workers may still run", left, u->n);
    up_close(u);
    free(u);
    return code;
}

/* ---- scan ---- */

static void print_machine(FILE *to, const char *host, const struct remote *r, bool first)
{
    char cores[24], memory[32], name[64], program[TEXT_MOST], bytes[24];
    const char *at = strchr(host, '@') ? strchr(host, '@') + 1 : host;
    remote_said(r, "cores", cores, sizeof cores);
    remote_said(r, "memory", memory, sizeof memory);
    remote_said(r, "host", name, sizeof name);
    remote_said(r, "program", program, sizeof program);
    const uint64_t offered = strtoull(memory, NULL, 10) / 4 * 3 >> 20;
    for (char *c = name; *c; c++)
        if (*c == '"' || *c == '\\') *c = '_';
    snprintf(bytes, sizeof bytes, "%lluM", (unsigned long long)(offered ? offered : 1));
    fprintf(to, "%s    {\"address\": \"tcp://%s:7001\", \"name\": \"%s\", \"ssh\": \"%s\", \"memory\": \"%s\", \"threads\": %ld}", first ? "" : ",\n",
            !strcmp(at, "here") ? "127.0.0.1" : at, name, host, bytes, strtol(cores, NULL, 10) > 0 ? strtol(cores, NULL, 10) : 1);
    if (!*program) log_info("%s has no gemmapipe-worker %s; gemmapipe up will copy one", host, GEMMAPIPE_VERSION);
}

static int read_hosts(char *list, struct remote **out, int *n, struct err *why)
{
    *n = 1;
    for (const char *c = list; *c; c++) *n += *c == ',';
    if (*n > WORKERS_MOST) return fail(why, E_USAGE, "--scan names %d machines, at most %d are possible", *n, WORKERS_MOST);
    *out = calloc((size_t)*n, sizeof **out);
    if (!*out) return fail(why, E_MEMORY, "no memory for %d machines", *n);
    for (int i = 0; i < *n; i++) {
        char *host = strsep(&list, ",");
        (*out)[i] = (struct remote){.host = host, .input = -1, .word = {"scan", GEMMAPIPE_VERSION}};
        if (!*host || *host == '-' || strlen(host) > 200 || strpbrk(host, " \t\"\\'"))
            return fail(why, E_USAGE, "--scan wants machines with commas between, as alice@10.0.0.2,10.0.0.3; \"%.60s\" is none", host);
    }
    return 0;
}

int up_scan(const char *hosts, FILE *to, struct err *why)
{
    char *list = strdup(hosts);
    struct remote *job = NULL;
    int n = 0, found = 0, code = list ? read_hosts(list, &job, &n, why) : fail(why, E_MEMORY, "no memory for a list of machines");
    if (!code) code = remote_run(job, n, LOOK_SECONDS, why);
    for (int i = 0; i < n && !code; i++) {
        if (job[i].status) {
            log_warn("%s: %s", job[i].host, *job[i].why ? job[i].why : "it cannot be logged in to");
            continue;
        }
        if (!found) fprintf(to, "{\n  \"workers\": [\n");
        print_machine(to, job[i].host, &job[i], !found++);
    }
    if (found) fprintf(to, "\n  ]\n}\n");
    else if (!code) code = fail(why, E_WORKER, "none of %d machines answered", n);
    remote_free(job, n);
    free(list);
    return code;
}
