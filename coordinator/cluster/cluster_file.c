/* coordinator/cluster/cluster_file.c — reads the cluster file.
 *
 * cJSON parses; before it sees a byte the text is bounded in size and depth, and afterwards every key is looked up in a
 * table, once each. What is found is checked where it stands, so a sentence can say which worker and which key. */
#include "coordinator/cluster/cluster_file.h"

#include "base/limits.h"
#include "base/read_to_end.h"
#include "base/size_text.h"
#include "transport/wire/wire.h"

#include <cjson/cJSON.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MOST (1u << 20)
#define DEPTH_MOST 8
#define POSITIONS_MOST (1u << 24)
#define SEQUENCES_MOST 65536
#define WAIT_MOST (7u * 24 * 3600)
#define SPEED_MOST 1e6
#define USUAL_PERIOD_US 100000u /* of a control group that says none */
#define USUAL_TICK_US 4000u     /* of Debian's kernels */

struct cluster_reading {
    struct cluster *c;
    const char *from;
    int worker; /* whose keys these are; -1: the file's own */
    double share, period_ms; /* of that worker; 0: not said */
    struct err *why;
};

struct cluster_field {
    const char *key;
    int (*read)(struct cluster_reading *r, const cJSON *value);
};

/* "worker 3" or "the file", for sentences. */
static const char *place(const struct cluster_reading *r, char out[24])
{
    if (r->worker < 0) snprintf(out, 24, "the file");
    else snprintf(out, 24, "worker %d", r->worker + 1);
    return out;
}

static int refuse(struct cluster_reading *r, const cJSON *v, const char *wanted)
{
    char at[24], found[32] = "";
    if (cJSON_IsNumber(v)) snprintf(found, sizeof found, ", not %.15g", v->valuedouble);
    return fail(r->why, E_FILE, "%s: \"%s\" of %s must be %s%s", r->from, v->string, place(r, at), wanted, found);
}

static int read_whole(struct cluster_reading *r, const cJSON *v, uint32_t least, uint32_t most, uint32_t *out)
{
    char wanted[64];
    snprintf(wanted, sizeof wanted, "a whole number from %u to %u", least, most);
    if (!cJSON_IsNumber(v) || !(v->valuedouble >= least && v->valuedouble <= most) ||
        v->valuedouble != floor(v->valuedouble))
        return refuse(r, v, wanted);
    *out = (uint32_t)v->valuedouble;
    return 0;
}

static int read_text(struct cluster_reading *r, const cJSON *v, char *out, size_t room)
{
    char wanted[64];
    snprintf(wanted, sizeof wanted, "1 to %zu plain characters", room - 1);
    size_t n = cJSON_IsString(v) ? strlen(v->valuestring) : 0;
    if (!n || n >= room) return refuse(r, v, wanted);
    for (size_t i = 0; i < n; i++)
        if (v->valuestring[i] < ' ' || v->valuestring[i] > '~') return refuse(r, v, wanted);
    memcpy(out, v->valuestring, n + 1);
    return 0;
}

static int read_address(struct cluster_reading *r, const cJSON *v)
{
    char *address = r->c->addresses[r->worker];
    TRY(read_text(r, v, address, CLUSTER_ADDRESS));
    if (strncmp(address, "tcp://", 6) || strchr(address, ' ')) return refuse(r, v, "like tcp://10.0.0.2:7001");
    for (int i = 0; i < r->worker; i++)
        if (!strcmp(r->c->addresses[i], address))
            return fail(r->why, E_FILE, "%s: workers %d and %d have the same address %s", r->from, i + 1, r->worker + 1,
                        address);
    return 0;
}

static int read_name(struct cluster_reading *r, const cJSON *v)
{
    return read_text(r, v, r->c->offers[r->worker].name, sizeof r->c->offers->name);
}

static int read_key(struct cluster_reading *r, const cJSON *v)
{
    return read_text(r, v, r->c->keys[r->worker], CLUSTER_KEY);
}

static int read_memory(struct cluster_reading *r, const cJSON *v)
{
    uint64_t *out = &r->c->offers[r->worker].memory;
    if (cJSON_IsString(v) && !read_size(v->valuestring, out, NULL)) return 0;
    if (cJSON_IsNumber(v) && v->valuedouble > 0 && v->valuedouble <= 0x1p53 &&
        v->valuedouble == floor(v->valuedouble)) {
        *out = (uint64_t)v->valuedouble;
        return 0;
    }
    return refuse(r, v, "a size like \"2G\" or a number of bytes");
}

static int read_threads(struct cluster_reading *r, const cJSON *v)
{
    uint32_t n = 0;
    TRY(read_whole(r, v, 1, THREADS_MOST, &n));
    r->c->offers[r->worker].threads = (int)n;
    return 0;
}

static int read_speed(struct cluster_reading *r, const cJSON *v)
{
    if (!cJSON_IsNumber(v) || !(v->valuedouble >= 1 / SPEED_MOST && v->valuedouble <= SPEED_MOST))
        return refuse(r, v, "a number over 0; 1 is usual");
    r->c->offers[r->worker].speed = v->valuedouble;
    return 0;
}

static int read_real(struct cluster_reading *r, const cJSON *v, double least, double most, double *out)
{
    char wanted[64];
    snprintf(wanted, sizeof wanted, "a number from %g to %g", least, most);
    if (!cJSON_IsNumber(v) || !(v->valuedouble >= least && v->valuedouble <= most)) return refuse(r, v, wanted);
    *out = v->valuedouble;
    return 0;
}

/* A login is a word of ssh's command line, so it may not look like one of its options. */
static int read_ssh(struct cluster_reading *r, const cJSON *v)
{
    char *ssh = r->c->login[r->worker].ssh;
    TRY(read_text(r, v, ssh, CLUSTER_ADDRESS));
    return *ssh == '-' || strchr(ssh, ' ') ? refuse(r, v, "like alice@10.0.0.2") : 0;
}

static int read_program(struct cluster_reading *r, const cJSON *v)
{
    char *program = r->c->login[r->worker].program;
    TRY(read_text(r, v, program, CLUSTER_ADDRESS));
    return *program == '-' ? refuse(r, v, "a path") : 0;
}

static int read_cache(struct cluster_reading *r, const cJSON *v)
{
    return read_text(r, v, r->c->login[r->worker].cache, CLUSTER_ADDRESS);
}

static int read_copies(struct cluster_reading *r, const cJSON *v)
{
    return read_whole(r, v, 1, WORKERS_MOST, &r->c->links[r->worker].copies);
}

static int read_delay(struct cluster_reading *r, const cJSON *v)
{
    double *delay = &r->c->links[r->worker].hop.delay;
    TRY(read_real(r, v, 0, 60000, delay));
    *delay /= 1e3;
    r->c->links[r->worker].said = true;
    return 0;
}

static int read_mbit(struct cluster_reading *r, const cJSON *v)
{
    double *rate = &r->c->links[r->worker].hop.bytes_per_second;
    TRY(read_real(r, v, 0.001, 1e7, rate));
    *rate *= 1e6 / 8;
    r->c->links[r->worker].said = true;
    return 0;
}

static int read_loss(struct cluster_reading *r, const cJSON *v)
{
    return read_real(r, v, 0, 0.9, &r->c->links[r->worker].loss);
}

static int read_jitter(struct cluster_reading *r, const cJSON *v)
{
    return read_real(r, v, 0, 1, &r->c->links[r->worker].jitter);
}

static int read_share(struct cluster_reading *r, const cJSON *v)
{
    return read_real(r, v, 0.001, THREADS_MOST, &r->share);
}

static int read_period(struct cluster_reading *r, const cJSON *v)
{
    return read_real(r, v, PERIOD_LEAST_US / 1e3, PERIOD_MOST_US / 1e3, &r->period_ms);
}

/* As of one thread: how many share it is known when the worker is planned for. */
static int settle_share(struct cluster_reading *r)
{
    const uint32_t period = r->period_ms > 0 ? (uint32_t)lround(1e3 * r->period_ms) : USUAL_PERIOD_US;
    if (!(r->share > 0) && r->period_ms > 0)
        return fail(r->why, E_FILE, "%s: worker %d has \"period_ms\" %g and no \"share\" of a core that it gets in each", r->from, r->worker + 1, r->period_ms);
    r->c->offers[r->worker].ration = ration_of((uint32_t)lround(1e3 * r->share), period, USUAL_TICK_US, 1);
    return 0;
}

static int read_replicas(struct cluster_reading *r, const cJSON *v)
{
    return read_whole(r, v, 1, WORKERS_MOST, &r->c->replicas);
}

static int read_layers(struct cluster_reading *r, const cJSON *v)
{
    TRY(read_whole(r, v, 0, 65536, &r->c->cuts[r->worker].layers));
    r->c->by_hand = true;
    return 0;
}

static int read_head(struct cluster_reading *r, const cJSON *v)
{
    return read_whole(r, v, 0, HEAD_PARTS, &r->c->cuts[r->worker].parts);
}

static int read_context(struct cluster_reading *r, const cJSON *v)
{
    return read_whole(r, v, 1, POSITIONS_MOST, &r->c->context);
}

static int read_sequences(struct cluster_reading *r, const cJSON *v)
{
    return read_whole(r, v, 1, SEQUENCES_MOST, &r->c->sequences);
}

static int read_kv_positions(struct cluster_reading *r, const cJSON *v)
{
    return read_whole(r, v, 1, UINT32_MAX, &r->c->kv_positions);
}

static int read_wait(struct cluster_reading *r, const cJSON *v)
{
    return read_whole(r, v, 1, WAIT_MOST, &r->c->wait);
}

/* Every key of `object` by the table, each at most once. */
static int read_object(struct cluster_reading *r, const cJSON *object, const struct cluster_field *fields, int n)
{
    char at[24];
    uint32_t seen = 0;
    for (const cJSON *v = object->child; v; v = v->next) {
        int i = 0;
        while (i < n && strcmp(fields[i].key, v->string)) i++;
        if (i == n)
            return fail(r->why, E_FILE, "%s: %s has a key \"%.47s\" that means nothing here", r->from, place(r, at), v->string);
        if (seen & 1u << i)
            return fail(r->why, E_FILE, "%s: %s has \"%s\" twice", r->from, place(r, at), fields[i].key);
        seen |= 1u << i;
        TRY(fields[i].read(r, v));
    }
    return 0;
}

static int read_worker(struct cluster_reading *r, const cJSON *v)
{
    static const struct cluster_field fields[] = {{"address", read_address}, {"name", read_name}, {"memory", read_memory}, {"key", read_key},
                                          {"threads", read_threads}, {"speed", read_speed}, {"layers", read_layers},
                                          {"head", read_head}, {"copies", read_copies}, {"delay_ms", read_delay},
                                          {"mbit", read_mbit}, {"loss", read_loss}, {"jitter", read_jitter}, {"share", read_share},
                                          {"period_ms", read_period}, {"ssh", read_ssh}, {"program", read_program}, {"cache", read_cache}};
    struct worker_offer *offer = &r->c->offers[r->worker];
    if (!cJSON_IsObject(v))
        return fail(r->why, E_FILE, "%s: worker %d must be an object in braces", r->from, r->worker + 1);
    offer->speed = 1;
    r->c->links[r->worker].hop = NOMINAL_HOP;
    r->share = r->period_ms = 0;
    TRY(read_object(r, v, fields, sizeof fields / sizeof *fields));
    TRY(settle_share(r));
    const char *address = r->c->addresses[r->worker];
    if (!*address) return fail(r->why, E_FILE, "%s: worker %d has no \"address\"", r->from, r->worker + 1);
    if (!*offer->name) snprintf(offer->name, sizeof offer->name, "%.*s", (int)sizeof offer->name - 1, address);
    return 0;
}

/* A split by hand is all there or not at all; who says nothing of the head wants it whole, where it was always. */
static int check_by_hand(struct cluster_reading *r, int with_layers, int with_head)
{
    struct cluster *c = r->c;
    uint32_t parts = 0;
    for (int i = 0; i < c->workers; i++) parts += c->cuts[i].parts;
    if (with_layers && with_layers < c->workers)
        return fail(r->why, E_FILE, "%s: %d of %d workers have \"layers\"; all must, or none", r->from, with_layers,
                    c->workers);
    if (with_head && !with_layers)
        return fail(r->why, E_FILE, "%s: workers have \"head\" and no \"layers\"; a split by hand needs both", r->from);
    if (with_head && parts != HEAD_PARTS)
        return fail(r->why, E_FILE, "%s: \"head\" of all workers is %u sixteenths, wanted all %d", r->from, parts,
                    HEAD_PARTS);
    if (with_layers && !with_head) c->cuts[c->workers - 1].parts = HEAD_PARTS;
    return 0;
}

static int read_workers(struct cluster_reading *r, const cJSON *v)
{
    int n = cJSON_IsArray(v) ? cJSON_GetArraySize(v) : 0, with_layers = 0, with_head = 0;
    if (n < 1 || n > WORKERS_MOST)
        return fail(r->why, E_FILE, "%s: \"workers\" must be a list of 1 to %d workers", r->from, WORKERS_MOST);
    r->c->workers = n;
    r->worker = 0;
    for (const cJSON *w = v->child; w; w = w->next, r->worker++) {
        TRY(read_worker(r, w));
        with_layers += cJSON_GetObjectItemCaseSensitive(w, "layers") != NULL;
        with_head += cJSON_GetObjectItemCaseSensitive(w, "head") != NULL;
    }
    r->worker = -1;
    return check_by_hand(r, with_layers, with_head);
}

static int read_root(struct cluster_reading *r, const cJSON *root)
{
    static const struct cluster_field fields[] = {{"workers", read_workers}, {"context", read_context},
                                          {"sequences", read_sequences}, {"kv_positions", read_kv_positions},
                                          {"wait", read_wait}, {"replicas", read_replicas}};
    if (!cJSON_IsObject(root)) return fail(r->why, E_FILE, "%s: a cluster file is one object in braces", r->from);
    TRY(read_object(r, root, fields, sizeof fields / sizeof *fields));
    if (!r->c->workers) return fail(r->why, E_FILE, "%s: there is no \"workers\"", r->from);
    return 0;
}

/* Nesting as the parser will find it; it recurses, we do not. */
static int depth_of(const char *text)
{
    int depth = 0, most = 0;
    bool quoted = false;
    for (const char *p = text; *p; p++) {
        if (quoted && *p == '\\' && p[1]) p++;
        else if (*p == '"') quoted = !quoted;
        else if (!quoted && (*p == '{' || *p == '[')) depth++;
        else if (!quoted && (*p == '}' || *p == ']')) depth--;
        if (depth > most) most = depth;
    }
    return most;
}

static int line_of(const char *text, const char *at)
{
    int line = 1;
    for (const char *p = text; p < at && *p; p++) line += *p == '\n';
    return line;
}

/* `text` is terminated here, and has n bytes before that. */
static int parse(struct cluster *out, const char *text, size_t n, const char *from, struct err *why)
{
    if (memchr(text, 0, n) || strstr(text, "\\u0000"))
        return fail(why, E_FILE, "%s holds a zero byte: it is not a cluster file", from);
    int depth = depth_of(text);
    if (depth > DEPTH_MOST)
        return fail(why, E_FILE, "%s is nested %d deep, wanted %d at most", from, depth, DEPTH_MOST);
    const char *end = NULL;
    cJSON *root = cJSON_ParseWithLengthOpts(text, n + 1, &end, 1);
    if (!root) return fail(why, E_FILE, "%s is not JSON in line %d", from, end ? line_of(text, end) : 1);
    struct cluster_reading r = {.c = out, .from = from, .worker = -1, .why = why};
    int rc = read_root(&r, root);
    cJSON_Delete(root);
    return rc;
}

int cluster_parse(struct cluster *out, const char *text, size_t n, const char *from, struct err *why)
{
    memset(out, 0, sizeof *out);
    if (n > FILE_MOST)
        return fail(why, E_FILE, "%s is larger than %u bytes: it is not a cluster file", from, FILE_MOST);
    char *copy = malloc(n + 1);
    struct cluster *c = calloc(1, sizeof *c);
    int rc = E_MEMORY;
    if (!copy || !c) fail(why, rc, "no memory to read %s", from);
    else {
        memcpy(copy, text, n);
        copy[n] = 0;
        rc = parse(c, copy, n, from, why);
        if (!rc) *out = *c;
    }
    free(copy);
    free(c);
    return rc;
}

int cluster_read(struct cluster *out, const char *path, struct err *why)
{
    char *text;
    size_t n;
    TRY(read_to_end(path, FILE_MOST, &text, &n, why));
    const int code = cluster_parse(out, text, n, path, why);
    free(text);
    return code;
}
