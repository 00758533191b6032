/* coordinator/cmd/cmd_serve.c — `gemmapipe serve`: the pipeline behind OpenAI's interface, until it is told to end.
 *
 * It listens before the model is loaded. Ctrl-C and SIGTERM end it in order: nothing new is taken, what is under way is answered, as
 * long as --drain allows; a second one ends it at once. */
#define _GNU_SOURCE
#include "coordinator/cmd/advice.h"
#include "coordinator/cmd/capacity.h"
#include "coordinator/cmd/commands.h"
#include "coordinator/cmd/typed_prompt.h"
#include "coordinator/report/pipeline_json.h"
#include "coordinator/serve/server.h"

#include "base/clock.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "worker/worker.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SERVE_CONTEXT 8192 /* positions of a sequence, unless --ctx says otherwise */
#define SERVE_SEQUENCES 8
#define STORE_BYTES (10ull << 30)
#define QUEUE_EACH 16      /* requests that may wait, for each sequence */
#define TURN_LONG_MS 1000  /* a request, a reader and a frame all wake it */

struct serving {
    struct session session;
    struct server *server;
    struct call_setup calls;
    struct capacity capacity;
    struct tally tally;
    char address[80], *model_name, *media;
    uint16_t port;
};

/* ---- where ---- */

/* "127.0.0.1:8080", "[::1]:8080". */
static int read_listen(struct serving *v, const char *text, struct err *why)
{
    const char *colon = strrchr(text, ':');
    const bool six = text[0] == '[';
    const char *begin = text + six, *end = colon ? colon - six : NULL;
    char *rest;
    const unsigned long port = colon && colon[1] >= '0' && colon[1] <= '9' ? strtoul(colon + 1, &rest, 10) : ULONG_MAX;
    if (!colon || end <= begin || (six && *end != ']') || (size_t)(end - begin) >= sizeof v->address || port > UINT16_MAX || *rest)
        return fail(why, E_USAGE, "--listen wants ADDRESS:PORT, not \"%.80s\"", text);
    snprintf(v->address, sizeof v->address, "%.*s", (int)(end - begin), begin);
    v->port = (uint16_t)port;
    return 0;
}

static bool is_loopback(const char *address)
{
    struct in_addr four;
    if (inet_pton(AF_INET, address, &four) == 1) return ntohl(four.s_addr) >> 24 == 127;
    return !strcmp(address, "::1");
}

static int check_openness(const struct serving *v, const struct options *o, struct err *why)
{
    if (is_loopback(v->address) || o->api_key_file || o->no_auth) return 0;
    return fail(why, E_USAGE, "%s can be reached from other machines: --api-key-file FILE says who may ask, --no-auth lets everybody", v->address);
}

static void name_model(struct serving *v, const char *path)
{
    const char *slash = strrchr(path, '/');
    v->model_name = strdup(slash ? slash + 1 : path);
    char *dot = v->model_name ? strrchr(v->model_name, '.') : NULL;
    if (dot && dot != v->model_name) *dot = 0;
}

/* ---- pictures ---- */

static int find_picture(void *user, const char *name, char **path, struct err *why)
{
    const struct serving *v = user;
    char *joined;
    if (strstr(name, "://") && strncmp(name, "file://", 7))
        return fail(why, E_USAGE, "%.80s is an address; a picture is a data: URL", name);
    if (!v->media) return fail(why, E_USAGE, "%.80s is a file; a picture is a data: URL, where the server was not given --media-path", name);
    if (!strncmp(name, "file://", 7)) name += 7;
    if (asprintf(&joined, "%s/%s", v->media, name) < 0) return fail(why, E_MEMORY, "no memory for a picture's path");
    *path = realpath(joined, NULL);
    free(joined);
    const size_t n = strlen(v->media);
    if (*path && !strncmp(*path, v->media, n) && ((*path)[n] == '/' || n == 1)) return 0;
    return fail(why, E_USAGE, "there is no picture %.80s below the server's --media-path", name); /* whether it is elsewhere is nobody's business */
}

/* ---- the run ---- */

static int measure(struct serving *v, struct err *why)
{
    struct options o = *v->session.options;
    const struct model_config *c = &v->session.pipe->model->config;
    const struct load load = {.prompt = 1, .answer = 1, .prompts = SERVE_SEQUENCES, .whole = typed_prompt_picture_rows(&v->session)};
    if (!o.context) o.context = c->context < SERVE_CONTEXT ? c->context : SERVE_CONTEXT;
    return capacity_for(&v->capacity, &o, c, &load, why);
}

/* What beside weights, requests and their numbers can change a word of an answer. */
static uint64_t hash_settings(const struct serving *v)
{
    const struct options *o = v->session.options;
    const struct pipeline *p = v->session.pipe;
    char text[400], hash[33] = "none";
    if (p->encoder) show_hash128(hash, p->encoder->fingerprint);
    const int n = snprintf(text, sizeof text, "%s %d %d %.9g %" PRIu32 " %.9g %.9g %.9g %" PRIu32 " %" PRIu32 " %d %d %" PRIu64, hash, o->vision_q8,
                           o->exact_embed_scale, (double)o->sampling.temperature, o->sampling.top_k, (double)o->sampling.top_p, (double)o->sampling.min_p,
                           (double)o->sampling.repeat_penalty, o->sampling.repeat_last, v->capacity.context, o->strict_fields, o->tools != NULL,
                           o->picture_memory);
    return hash64(text, (size_t)n);
}

static void set_up_calls(struct serving *v)
{
    const struct session *s = &v->session;
    const struct options *o = s->options;
    v->calls = (struct call_setup){
        .fleet = s->fleet, .words = &v->session.words,
        .question = {.tokens = s->tokens, .context = v->capacity.context, .picture_rows = typed_prompt_picture_rows(s),
                     .picture_side = s->pipe->encoder ? s->pipe->encoder->config.image : 0, .picture_memory = o->picture_memory,
                     .find_picture = find_picture, .user = v},
        .defaults = {.sampling = o->sampling, .most = o->most, .file = "the request", .strict_fields = o->strict_fields, .streams = true, .may_call = o->tools != NULL},
        .common = {.job = hash_fold(o->sampling.seed, clock_ns()), .model = v->model_name, .tokens = s->tokens},
        .seed = o->sampling.seed, .settings = hash_settings(v), .stall_seconds = (uint32_t)o->stall, .any_model = o->any_model,
        .sequences = v->capacity.sequences,
        .at_once = v->capacity.sequences + (v->capacity.sequences + 1) / 2,
    };
    snprintf(v->calls.common.fingerprint, sizeof v->calls.common.fingerprint, "fp_%016" PRIx64,
             hash_fold(s->pipe->model->fingerprint.low ^ s->pipe->model->fingerprint.high, worker_numeric() + numeric_number(s->options->numbers)));
}

static char *show_pipeline(void *user, uint32_t running, size_t *n)
{
    struct serving *v = user;
    const struct pipeline_moment now = {.model = v->model_name, .now_ns = clock_ns(), .running = running};
    return pipeline_json(v->session.fleet, &v->tally, &now, n);
}

static int open_server(struct serving *v, struct err *why)
{
    const struct options *o = v->session.options;
    const uint32_t sequences = o->sequences ? o->sequences : SERVE_SEQUENCES;
    const struct server_setup setup = {.address = v->address, .port = v->port, .keys_file = o->api_key_file, .cors = o->cors,
                                       .queue = o->queue ? (uint32_t)o->queue : QUEUE_EACH * sequences, .model = v->model_name, .metrics_as_vllm = o->metrics_as != NULL, .store = o->store, .store_most = o->store_size ? o->store_size : STORE_BYTES,
                                       .pipeline = show_pipeline, .user = v};
    if (!v->model_name) return fail(why, E_MEMORY, "no memory for the model's name");
    if (o->media_path && !(v->media = realpath(o->media_path, NULL))) return fail_errno(why, E_FILE, "%s cannot be found", o->media_path);
    TRY(server_open(&v->server, &setup, why));
    const bool six = strchr(v->address, ':') != NULL;
    log_info("listening at http://%s%s%s:%u", six ? "[" : "", v->address, six ? "]" : "", server_port(v->server));
    return 0;
}

/* Until it is told to end, and what was under way then is answered. mpirun says SIGTERM when a rank was lost, and means it: there is nobody left
 * to answer with. SIGUSR1 it passes on. */
static int serve(struct serving *v, bool under_mpi, struct err *why)
{
    uint64_t until = 0;
    log_info("serving %s", v->model_name);
    interrupt_ask_first(under_mpi ? SIGUSR1 : SIGTERM);
    for (;;) {
        const int code = server_turn(v->server, until ? 100 : TURN_LONG_MS, why);
        if (under_mpi && (code == E_INTERRUPTED || interrupt_seen())) return fail(why, E_WORKER, "mpirun ends its ranks: one of them was lost, or it was told to end");
        if (code) return code;
        const bool told = interrupt_asked() || interrupt_seen();
        if (!told && !until) continue;
        if (!until) {
            until = clock_ns() + (uint64_t)v->session.options->drain * 1000000000ull;
            log_info("ending: what is under way is answered, and nothing new is taken");
            interrupt_forget();
        } else if (told || clock_ns() > until) {
            return fail(why, E_INTERRUPTED, "ended before all requests were answered");
        }
        if (server_drain(v->server)) return 0;
    }
}

static int work(struct serving *v, const struct options *o, const struct cluster_wish *wish, struct port *mpi, struct err *why)
{
    struct session *s = &v->session;
    name_model(v, o->model);
    TRY(read_listen(v, o->listen ? o->listen : "127.0.0.1:8321", why));
    TRY(check_openness(v, o, why));
    if (o->metrics_as && strcmp(o->metrics_as, "vllm")) return fail(why, E_USAGE, "--metrics-as is vllm, or is not said; not \"%.80s\"", o->metrics_as);
    if (o->tools && strcmp(o->tools, "generic")) return fail(why, E_USAGE, "--tools is generic, or is not said; not \"%.80s\"", o->tools);
    TRY(session_open(s, o, wish, mpi, why));
    TRY(open_server(v, why));
    TRY(measure(v, why));
    s->verify_idle_ms = VERIFY_IDLE_MS;
    TRY(session_launch(s, &v->capacity, why));
    fleet_watch(s->fleet, tally_watch, &v->tally);
    set_up_calls(v);
    TRY(server_ready(v->server, &v->calls, why));
    TRY(serve(v, mpi != NULL, why));
    return session_finish(s, why);
}

int command_serve(const struct options *o, const struct cluster_wish *wish, struct port *mpi, struct err *why)
{
    struct serving v = {.session.options = o};
    const int code = work(&v, o, wish, mpi, why);
    if (v.server) server_give_up(v.server, why);
    session_close(&v.session, code ? why : NULL);
    server_close(&v.server);
    tally_free(&v.tally);
    free(v.model_name);
    free(v.media);
    return code;
}
