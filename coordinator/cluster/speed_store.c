/* coordinator/cluster/speed_store.c — see speed_store.h. The file is JSON; times are in seconds. */
#include "coordinator/cluster/speed_store.h"

#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mapped.h"
#include "base/threads.h"
#include "base/version.h"
#include "base/whole_file.h"
#include "partition/plan/derive.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STORE_VERSION 2
#define STORE_MOST (64u << 10) /* bytes of a file */
#define SECONDS_MOST 1e6
#define DAY 86400

uint64_t speed_place_number(const struct speed_place *place)
{
    return hash64(place->where, strlen(place->where));
}

static char *place_path(const struct speed_place *place)
{
    char name[64];
    const uint64_t where = speed_place_number(place);
    char *folder = cache_folder(), *path;
    if (!folder) return NULL;
    snprintf(name, sizeof name, "%016" PRIx64 "-%d-%016" PRIx64 ".speed", where, place->threads, place->shape);
    path = path_in(folder, name);
    free(folder);
    return path;
}

/* ---- reading ---- */

static int read_number(struct json *j, double least, double most, double *out)
{
    TRY(json_double(j, out));
    return *out >= least && *out <= most ? 0 : json_fail(j, "%g where %g to %g is possible", *out, least, most);
}

static int read_point(struct json *j, struct curve *c)
{
    double pair[2] = {0};
    int n = 0;
    TRY(json_array(j));
    while (json_item(j)) {
        if (n == 2) return json_fail(j, "a point of a curve has more than two numbers");
        TRY(read_number(j, 0, SECONDS_MOST, &pair[n++]));
    }
    TRY(json_done(j));
    if (c->n == CURVE_POINTS) return json_fail(j, "a curve has more than %d points", CURVE_POINTS);
    if (n < 2 || pair[0] < 1 || (c->n && pair[0] <= c->rows[c->n - 1])) return json_fail(j, "the rows of a curve do not ascend");
    c->rows[c->n] = pair[0], c->seconds[c->n++] = pair[1];
    return 0;
}

static int read_curve(struct json *j, struct curve *c)
{
    *c = (struct curve){0};
    TRY(json_array(j));
    while (json_item(j)) TRY(read_point(j, c));
    return json_done(j);
}

static int read_hop(struct json *j, struct hop *h)
{
    double *const into[] = {&h->delay, &h->bytes_per_second};
    size_t n = 0;
    TRY(json_array(j));
    while (json_item(j)) {
        if (n == 2) return json_fail(j, "a way has more than two numbers");
        TRY(read_number(j, 0, n ? 1e15 : SECONDS_MOST, into[n]));
        n++;
    }
    return json_done(j);
}

static int read_way(struct json *j, struct speed *v)
{
    struct way w = {0};
    double pair[2] = {0};
    int n = 0;
    TRY(json_array(j));
    for (; n < 3 && json_item(j); n++) {
        if (n == 0) TRY(json_u64(j, &w.to));
        else TRY(read_number(j, 0, n == 2 ? 1e15 : SECONDS_MOST, &pair[n - 1]));
    }
    if (n < 3 || json_item(j) || v->ways == WAYS_MOST) return json_fail(j, "a way to another worker is not three numbers, or one of more than %d", WAYS_MOST);
    TRY(json_done(j));
    w.hop = (struct hop){pair[0], pair[1]};
    v->way[v->ways++] = w;
    return 0;
}

static int read_ways(struct json *j, struct speed *v)
{
    v->ways = 0;
    TRY(json_array(j));
    while (json_item(j)) TRY(read_way(j, v));
    return json_done(j);
}

static int read_text(struct json *j, char out[WIRE_TEXT])
{
    struct json_text s;
    TRY(json_string(j, &s));
    if (s.n >= WIRE_TEXT) return json_fail(j, "a name of %zu bytes", s.n);
    memcpy(out, s.text, s.n);
    out[s.n] = 0;
    return 0;
}

static int read_field(struct json *j, struct json_text key, struct known_speed *k, uint32_t *version)
{
    struct speed *v = &k->speed;
    if (json_is(key, "version")) return json_u32(j, 0, UINT32_MAX, version);
    if (json_is(key, "build")) return read_text(j, k->of.build);
    if (json_is(key, "host")) return read_text(j, k->of.host);
    if (json_is(key, "isa")) return read_text(j, k->of.isa);
    if (json_is(key, "cpu")) return read_text(j, k->of.cpu);
    if (json_is(key, "share")) return json_u32(j, 0, UINT32_MAX, &k->of.share);
    if (json_is(key, "period")) return json_u32(j, 0, PERIOD_MOST_US, &k->of.period);
    if (json_is(key, "tick")) return json_u32(j, 0, PERIOD_MOST_US, &k->of.tick);
    if (json_is(key, "group")) return json_u64(j, &k->of.group);
    if (json_is(key, "threads")) return json_u32(j, 1, THREADS_MOST, &k->of.threads);
    if (json_is(key, "memory")) return json_u64(j, &k->of.memory);
    if (json_is(key, "crowd")) return json_u32(j, 1, WORKERS_MOST, &k->crowd);
    if (json_is(key, "at")) return json_u64(j, &k->at);
    if (json_is(key, "busy")) return json_u32(j, 0, 1, &k->busy);
    if (json_is(key, "derived")) return json_u32(j, 0, DERIVED_ALL, &k->derived);
    if (json_is(key, "layer")) return read_curve(j, &v->local);
    if (json_is(key, "head_part")) return read_curve(j, &v->head_part);
    if (json_is(key, "key")) return read_number(j, 0, SECONDS_MOST, &v->key);
    if (json_is(key, "piece_key")) return read_number(j, 0, SECONDS_MOST, &v->piece_key);
    if (json_is(key, "picture_layer")) return read_number(j, 0, SECONDS_MOST, &v->picture_layer);
    if (json_is(key, "to")) return read_hop(j, &v->to);
    if (json_is(key, "from")) return read_hop(j, &v->from);
    if (json_is(key, "ways")) return read_ways(j, v);
    return json_skip(j);
}

static int parse(struct known_speed *k, struct json *j)
{
    struct json_text key;
    uint32_t version = 0;
    *k = (struct known_speed){0};
    TRY(json_object(j));
    while (json_key(j, &key)) TRY(read_field(j, key, k, &version));
    TRY(json_done(j));
    TRY(json_finish(j));
    if (version != STORE_VERSION) return json_fail(j, "it is of version %u, this program writes %d", version, STORE_VERSION);
    if (!k->speed.local.n || !k->speed.head_part.n) return json_fail(j, "it has no curve of a layer, or none of the head");
    if (!k->of.threads || !k->crowd) return json_fail(j, "it does not say of how many threads it is, or how many workers shared the machine");
    k->speed.global = k->speed.local;
    return 0;
}

static int read_file(struct known_speed *k, const char *path, int fd, uint64_t bytes, struct err *why)
{
    if (bytes > STORE_MOST) return fail(why, E_FILE, "%s has %llu bytes, at most %u are possible", path, (unsigned long long)bytes, STORE_MOST);
    char *text = malloc(bytes + 1);
    struct json j;
    int code = text ? file_read(fd, path, 0, text, bytes, why) : fail(why, E_MEMORY, "no memory to read %s", path);
    if (!code) {
        json_begin(&j, text, bytes, path, why);
        code = parse(k, &j);
        json_end(&j);
    }
    free(text);
    return code;
}

bool speed_store_find(struct known_speed *out, const struct speed_place *place, uint64_t now)
{
    struct file_state state;
    struct err why;
    int fd, code = -1;
    char *path = place_path(place);
    if (path && !file_open(&fd, path, &state, &why)) { /* not as an input: what is kept anew takes its place */
        code = read_file(out, path, fd, state.bytes, &why);
        if (code) log_warn("%s; what it said of a worker's speed is left aside", why.text);
        close(fd);
    }
    free(path);
    if (!code) out->speed.self = speed_place_number(place);
    return !code && now + DAY >= out->at && now < out->at + (out->busy ? BUSY_SECONDS : SPEED_DAYS * DAY);
}

/* ---- writing ---- */

static void print_curve(FILE *to, const char *name, const struct curve *c)
{
    fprintf(to, ",\n \"%s\": [", name);
    for (uint32_t i = 0; i < c->n; i++) fprintf(to, "%s[%.17g, %.9g]", i ? ", " : "", c->rows[i], c->seconds[i]);
    fputc(']', to);
}

static void print_name(FILE *to, const char *name, const char *text)
{
    fprintf(to, ", \"%s\": ", name);
    json_print_text(to, text);
}

static void print(FILE *to, const struct known_speed *k)
{
    const struct speed *v = &k->speed;
    fprintf(to, "{\"version\": %d, \"at\": %" PRIu64 ", \"busy\": %u, \"derived\": %u, \"crowd\": %u, \"threads\": %u, \"memory\": %" PRIu64, STORE_VERSION,
            k->at, k->busy, k->derived, k->crowd, k->of.threads, k->of.memory);
    fprintf(to, ", \"share\": %u, \"period\": %u, \"tick\": %u, \"group\": %" PRIu64, k->of.share, k->of.period, k->of.tick, k->of.group);
    print_name(to, "build", k->of.build);
    print_name(to, "host", k->of.host);
    print_name(to, "isa", k->of.isa);
    print_name(to, "cpu", k->of.cpu);
    print_curve(to, "layer", &v->local);
    print_curve(to, "head_part", &v->head_part);
    fprintf(to, ",\n \"key\": %.9g, \"piece_key\": %.9g, \"picture_layer\": %.9g, \"to\": [%.9g, %.9g], \"from\": [%.9g, %.9g],\n \"ways\": [", v->key,
            v->piece_key, v->picture_layer, v->to.delay, v->to.bytes_per_second, v->from.delay, v->from.bytes_per_second);
    for (uint32_t i = 0; i < v->ways; i++)
        fprintf(to, "%s[%" PRIu64 ", %.9g, %.9g]", i ? ", " : "", v->way[i].to, v->way[i].hop.delay, v->way[i].hop.bytes_per_second);
    fputs("]}\n", to);
}

void speed_store_keep(const struct known_speed *k, const struct speed_place *place)
{
    struct whole_file *f = NULL;
    struct err why;
    char *path = place_path(place);
    if (!path) return;
    int code = whole_file_open(&f, path, &why);
    if (!code) {
        print(whole_file_stream(f), k);
        whole_file_may_be_lost(f);
        code = whole_file_close(&f, 0, &why);
    }
    if (code) log_debug("%s; the worker is measured anew in the next run", why.text);
    free(path);
}

void speed_store_forget(const struct speed_place *place)
{
    char *path = place_path(place);
    if (path) unlink(path);
    free(path);
}

/* ---- is it still true ---- */

bool speed_still_true(const struct known_speed *k, const struct hello *now, uint32_t crowd)
{
    const struct hello *was = &k->of;
    return !strcmp(was->build, now->build) && !strcmp(was->host, now->host) && !strcmp(was->isa, now->isa) && !strcmp(was->cpu, now->cpu) &&
           was->share == now->share && was->period == now->period && was->threads == now->threads && was->memory == now->memory && k->crowd == crowd;
}

bool speed_true_here(const struct known_speed *k, uint32_t crowd)
{
    struct hello mine = k->of; /* what only the worker itself can say is believed */
    snprintf(mine.build, sizeof mine.build, "gemmapipe %s", GEMMAPIPE_VERSION);
    if (gethostname(mine.host, sizeof mine.host - 1)) snprintf(mine.host, sizeof mine.host, "unknown");
    processor_name(mine.cpu, sizeof mine.cpu);
    const struct time_allowed time = time_allowed();
    mine.share = time.share, mine.period = time.period;
    mine.memory = memory_allowed();
    return speed_still_true(k, &mine, crowd);
}
