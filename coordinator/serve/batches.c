/* coordinator/serve/batches.c — see batches.h. */
#define _GNU_SOURCE
#include "coordinator/serve/batches.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct batches {
    struct store *store;
    const struct call_setup *calls;
    struct stored_batch now; /* the one that is answered; id empty: none */
    struct job_file *file;
    struct journal *journal;
    struct batch *batch;
    bool stopping;  /* it is cancelled, or cannot go on: who is under way ends without a result */
    struct err why; /* it cannot go on; code 0: it can */
    bool ended;     /* the run is over: nothing is begun */
};

int batches_open(struct batches **out, struct store *store, const struct call_setup *calls, struct err *why)
{
    struct batches *b = *out = calloc(1, sizeof *b);
    if (!b) return fail(why, E_MEMORY, "no memory for batches");
    b->store = store;
    b->calls = calls;
    return 0;
}

/* ---- one begins ---- */

/* All that can change a byte of a result. */
static size_t list_facts(const struct batches *b, struct journal_fact fact[4])
{
    char hash[33];
    fact[0].name = "model and numbers", fact[1].name = "settings", fact[2].name = "input", fact[3].name = "created";
    snprintf(fact[0].value, sizeof fact[0].value, "%s", b->calls->common.fingerprint);
    snprintf(fact[1].value, sizeof fact[1].value, "%016" PRIx64, b->calls->settings);
    snprintf(fact[2].value, sizeof fact[2].value, "%s", show_hash128(hash, job_file_hash(b->file)));
    snprintf(fact[3].value, sizeof fact[3].value, "%" PRIu64, b->now.created);
    return 4;
}

static int open_batch(struct batches *b, struct err *why)
{
    const struct call_setup *c = b->calls;
    struct journal_fact fact[4];
    const uint64_t name = hash64(b->now.id, strlen(b->now.id)); /* of lines that bring no seed: the next server has another of its own */
    char *data = store_path(b->store, b->now.input, "data"), *kept = store_path(b->store, b->now.id, "journal");
    int code = data && kept ? job_file_open(&b->file, data, why) : fail(why, E_MEMORY, "no memory for the name of a file");
    if (!code) {
        const struct journal_setup journal = {.path = kept, .mode = JOURNAL_RESUME, .lines = job_file_lines(b->file), .facts = fact, .n_facts = list_facts(b, fact)};
        code = journal_open(&b->journal, &journal, why);
    }
    if (!code) {
        struct batch_setup setup = {.fleet = c->fleet, .tokens = c->common.tokens, .words = c->words, .file = b->file, .journal = b->journal, .defaults = c->defaults,
                                    .common = c->common, .seed = name, .context = c->question.context, .picture_rows = c->question.picture_rows,
                                    .picture_side = c->question.picture_side, .picture_memory = c->question.picture_memory, .priority = BATCH_PRIORITY,
                                    .find_picture = c->question.find_picture, .find_user = c->question.user};
        setup.defaults.file = "the file";
        setup.defaults.streams = false;
        setup.common.created = b->now.created;
        setup.common.job = hash_fold(job_file_hash(b->file).low, name);
        code = batch_open(&b->batch, &setup, why);
    }
    free(data);
    free(kept);
    return code;
}

static void close_batch(struct batches *b)
{
    batch_close(&b->batch);
    journal_close(&b->journal);
    job_file_close(&b->file);
}

static void remove_journal(const struct batches *b)
{
    static const char *const endings[] = {"journal", "journal.lock"};
    for (int i = 0; i < 2; i++) {
        char *path = store_path(b->store, b->now.id, endings[i]);
        if (path) unlink(path);
        free(path);
    }
}

/* ---- it ends ---- */

static void count(struct batches *b)
{
    const struct batch_counts n = batch_counts(b->batch);
    b->now.lines = n.lines;
    b->now.failed = n.failed;
    b->now.completed = n.done - n.failed;
    store_count_batch(b->store, &b->now);
}

static void end(struct batches *b, enum batch_status status, const struct err *why)
{
    struct err mine;
    b->now.status = status;
    b->now.done = (uint64_t)time(NULL);
    if (why) snprintf(b->now.why, sizeof b->now.why, "%s", why->text);
    if (store_note_batch(b->store, &b->now, &mine)) log_warn("a batch: %s", mine.text);
    else remove_journal(b);
    b->now.id[0] = 0;
}

/* A file of results that was written becomes one of its owner's. */
static int adopt(struct batches *b, const char *id, const char *ending, char out[STORE_ID], struct err *why)
{
    struct stored_file f = {.owner = b->now.owner, .purpose = "batch_output"};
    snprintf(f.id, sizeof f.id, "%s", id);
    snprintf(f.name, sizeof f.name, "%s_%s.jsonl", b->now.id, ending);
    TRY(store_adopt_file(b->store, &f, why));
    memcpy(out, f.id, sizeof f.id);
    return 0;
}

static int write_results(struct batches *b, struct err *why)
{
    char id[2][STORE_ID];
    store_name(id[0], "file-");
    store_name(id[1], "file-");
    char *out = store_path(b->store, id[0], "data"), *errors = store_path(b->store, id[1], "data");
    const struct outputs_names names = {out, errors};
    int code = out && errors && id[0][0] && id[1][0] ? outputs_write(&names, b->journal, job_file_lines(b->file), why) : fail(why, E_MEMORY, "no memory for the names of files");
    if (!code) code = adopt(b, id[0], "output", b->now.output, why);
    if (!code && b->now.failed) code = adopt(b, id[1], "errors", b->now.errors, why);
    free(out);
    free(errors);
    return code;
}

/* Lines that have a result are kept, of a batch that is cancelled too. */
static void finish(struct batches *b)
{
    struct err why = b->why;
    int code = b->stopping || why.code ? why.code : journal_end(b->journal, &why);
    if (b->batch) count(b), batch_forget(b->batch);
    if (!code) code = write_results(b, &why);
    close_batch(b);
    end(b, code ? BATCH_FAILED : b->stopping ? BATCH_CANCELLED : BATCH_COMPLETED, code ? &why : NULL);
    b->stopping = false;
    b->why.code = 0;
}

/* The log hears why; its owner nothing of the server's folders. */
static void stop(struct batches *b, const struct err *why)
{
    if (why) log_warn("the batch %s ends: %s", b->now.id, why->text);
    if (why) fail(&b->why, why->code, "the server cannot go on with it: model or settings are not those it was begun with, or the disk failed");
    b->stopping = true;
    if (b->batch) batch_cancel(b->batch);
}

/* ---- turns ---- */

uint32_t batches_under_way(const struct batches *b)
{
    return b && b->batch ? batch_under_way(b->batch) : 0;
}

static bool is_cancelled(struct batches *b)
{
    struct stored_batch s;
    return store_find_batch(b->store, b->now.owner, b->now.id, &s) && s.status == BATCH_CANCELLING;
}

void batches_feed(struct batches *b, uint32_t room)
{
    struct err why = {0};
    int code = 0;
    if (b->ended || (!b->now.id[0] && (!room || !store_next_batch(b->store, &b->now)))) return;
    if (!b->batch && !b->stopping) code = open_batch(b, &why);
    if (!code && !b->stopping && is_cancelled(b)) stop(b, NULL);
    if (!code && !b->stopping) code = batch_feed(b->batch, batch_under_way(b->batch) + room, &why);
    if (code) stop(b, &why);
    if (b->stopping ? !batches_under_way(b) : batch_is_over(b->batch)) finish(b);
}

void batches_settle(struct batches *b)
{
    struct err why = {0};
    if (!b->batch || b->ended || b->stopping) return;
    if (batch_settle(b->batch, &why)) stop(b, &why);
    else count(b);
}

void batches_put_away(struct batches *b)
{
    struct err why = {0};
    if (b->ended) return;
    b->ended = true;
    if (!b->batch || b->stopping) return;
    if (batch_put_away(b->batch, &why)) log_warn("the batch %s: %s", b->now.id, why.text);
    batch_cancel(b->batch);
}

void batches_close(struct batches **pb)
{
    struct batches *b = *pb;
    *pb = NULL;
    if (!b) return;
    close_batch(b);
    free(b);
}
