/* coordinator/batch/journal.c — see journal.h. */
#define _GNU_SOURCE
#include "coordinator/batch/journal.h"

#include "base/disk.h"
#include "base/json.h"
#include "base/log.h"
#include "base/planted.h"
#include "base/whole_file.h"
#include "coordinator/batch/hash_set.h"
#include "coordinator/batch/record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FAILED ((uint64_t)1 << 63) /* beside a place in the file: the result is an error */

struct begun { /* an answer that had come so far */
    size_t line;
    uint32_t choice;
    struct ids ids;
};

struct suspect {
    size_t line;
    uint32_t crashes; /* in a row, with no line finished */
    bool under_way;
};

struct journal {
    char *path, *lock_path;
    int fd, lock;
    uint64_t bytes;  /* of the file, as far as it is right */
    FILE *read;      /* the same file */
    uint64_t *done_at; /* [lines + 1], of each line's result in the file, and FAILED; 0: none, as the first record is another one */
    struct begun *begun; /* [n_begun] */
    struct hash_set *pictures; /* names, and names with what they were */
    struct suspect *suspect; /* [n_suspects]: lines that were under way when a run crashed, or are now */
    size_t lines, done, failed, n_begun, n_suspects;
    bool ended, unsynced;
    bool open, finished_some; /* of the run that the records are of: it has not stopped in good order; it got on */
};

/* ---- the lock ---- */

static void say_holder(const struct journal *j, struct err *why)
{
    char who[128] = "";
    const int fd = open(j->lock_path, O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd < 0 ? -1 : read(fd, who, sizeof who - 1);
    if (fd >= 0) close(fd);
    if (n <= 0) snprintf(who, sizeof who, "another process");
    who[strcspn(who, "\n")] = 0;
    fail(why, E_FILE, "%s is held by %s", j->path, who);
}

static void boot_id(char out[40])
{
    const int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd < 0 ? 0 : read(fd, out, 36);
    if (fd >= 0) close(fd);
    out[n > 0 ? n : 0] = 0;
}

static int take_lock(struct journal *j, struct err *why)
{
    char text[160], host[65] = "", boot[40];
    j->lock = open(j->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (j->lock < 0) return fail_errno(why, E_FILE, "%s cannot be made", j->lock_path);
    if (flock(j->lock, LOCK_EX | LOCK_NB)) {
        if (errno == EWOULDBLOCK) return say_holder(j, why), why->code;
        return fail_errno(why, E_FILE, "%s: this file system has no locks, so nothing keeps two coordinators apart", j->lock_path);
    }
    gethostname(host, sizeof host - 1);
    boot_id(boot);
    const int n = snprintf(text, sizeof text, "process %ld of %s, boot %s\n", (long)getpid(), host, boot);
    if (ftruncate(j->lock, 0) || write(j->lock, text, (size_t)n) != n) return fail_errno(why, E_FILE, "%s cannot be written", j->lock_path);
    return 0;
}

/* ---- what is there already ---- */

static struct begun *find_begun(const struct journal *j, size_t line, uint32_t choice)
{
    for (size_t i = 0; i < j->n_begun; i++)
        if (j->begun[i].line == line && j->begun[i].choice == choice) return &j->begun[i];
    return NULL;
}

static void forget_begun(struct journal *j, size_t line)
{
    for (size_t i = j->n_begun; i-- > 0;)
        if (j->begun[i].line == line) {
            ids_free(&j->begun[i].ids);
            j->begun[i] = j->begun[--j->n_begun];
        }
}

static int remember_tokens(struct journal *j, const struct record *r, struct err *why)
{
    struct begun *b = find_begun(j, r->line, r->choice);
    if (!b) {
        struct begun *grown = realloc(j->begun, (j->n_begun + 1) * sizeof *grown);
        if (!grown) return fail(why, E_MEMORY, "no memory for the answers begun in %s", j->path);
        j->begun = grown;
        b = &grown[j->n_begun++];
        *b = (struct begun){.line = r->line, .choice = r->choice};
    }
    if (r->from != b->ids.n) return 0; /* what was before these is lost; they are made again */
    j->finished_some = true;
    for (size_t i = 0; i < r->ids.n; i++) TRY(ids_push(&b->ids, r->ids.id[i], why));
    return 0;
}


/* ---- pictures ---- */

static uint64_t name_and_hash(uint64_t name, struct hash128 hash)
{
    return hash_fold(hash_fold(name, hash.low), hash.high);
}

static int remember_picture(struct journal *j, uint64_t name, struct hash128 is, struct err *why)
{
    TRY(hash_set_add(j->pictures, name, why));
    return hash_set_add(j->pictures, name_and_hash(name, is), why);
}

/* ---- who was under way when a run crashed ---- */

static struct suspect *find_suspect(const struct journal *j, size_t line)
{
    for (size_t i = 0; i < j->n_suspects; i++)
        if (j->suspect[i].line == line) return &j->suspect[i];
    return NULL;
}

static int suspect(struct journal *j, size_t line, struct err *why)
{
    struct suspect *s = find_suspect(j, line);
    if (s) return s->under_way = true, 0;
    struct suspect *grown = realloc(j->suspect, (j->n_suspects + 1) * sizeof *grown);
    if (!grown) return fail(why, E_MEMORY, "no memory for the lines under way in %s", j->path);
    j->suspect = grown;
    j->suspect[j->n_suspects++] = (struct suspect){line, 0, true};
    return 0;
}

static void acquit(struct journal *j, size_t line)
{
    struct suspect *s = find_suspect(j, line);
    if (s) *s = j->suspect[--j->n_suspects];
}

/* A run ends. One that crashed accuses the lines that were under way, unless it got on; others clear them. */
static void end_run(struct journal *j)
{
    const bool crashed = j->open && !j->finished_some;
    size_t left = 0;
    for (size_t i = 0; i < j->n_suspects; i++) {
        struct suspect s = j->suspect[i];
        s.crashes = crashed && s.under_way ? s.crashes + 1 : crashed ? s.crashes : 0;
        s.under_way = false;
        if (s.crashes) j->suspect[left++] = s;
    }
    j->n_suspects = left;
    j->open = j->finished_some = false;
}

/* ---- records ---- */

static void note_done(struct journal *j, size_t line, bool ok, uint64_t at)
{
    if (j->done_at[line]) return;
    j->done_at[line] = at | (ok ? 0 : FAILED);
    j->done++;
    j->failed += !ok;
    j->finished_some = true;
    forget_begun(j, line);
    acquit(j, line);
}

static void ask_failed_again(struct journal *j)
{
    for (size_t line = 1; line <= j->lines; line++)
        if (j->done_at[line] & FAILED) j->done_at[line] = 0, j->done--, j->failed--;
    j->ended = false;
}

/* False: it has no place in a journal of this job. */
static int take_record(struct journal *j, const struct record *r, uint64_t at, bool *fits, struct err *why)
{
    const bool of_line = r->kind == RECORD_TOKENS || r->kind == RECORD_DONE || r->kind == RECORD_BEGUN;
    *fits = r->kind != RECORD_WRONG && (at == 0) == (r->kind == RECORD_FACTS) && (!of_line || (r->line >= 1 && r->line <= j->lines));
    if (!*fits) return 0;
    if (r->kind == RECORD_DONE) note_done(j, r->line, r->ok, at);
    if (r->kind == RECORD_TOKENS && !j->done_at[r->line]) TRY(remember_tokens(j, r, why));
    if (r->kind == RECORD_BEGUN && !j->done_at[r->line]) TRY(suspect(j, r->line, why));
    if (r->kind == RECORD_PICTURE) TRY(remember_picture(j, r->name, r->is, why));
    if (r->kind == RECORD_ENDED) j->ended = true;
    if (r->kind == RECORD_OPENED) end_run(j), j->open = true;
    if (r->kind == RECORD_STOPPED) j->open = false;
    if (r->kind == RECORD_RETRY) ask_failed_again(j);
    return 0;
}

static int is_another(const struct journal *j, const char *fact, const char *was, const char *is, struct err *why)
{
    return fail(why, E_FILE, "%s is of another job: its %s is %s, this job's is %s", j->path, fact, was, is);
}

static bool is_fact(const struct journal_setup *s, struct json_text name)
{
    for (size_t i = 0; i < s->n_facts; i++)
        if (json_is(name, s->facts[i].name)) return true;
    return json_is(name, "journal") || json_is(name, "crc32c");
}

/* A fact that the job of the journal had, and this one has not; empty: there is none. */
static void find_more(const struct journal_setup *s, const char *text, size_t n, char name[40])
{
    struct json json;
    struct json_text key;
    struct err ignored;
    name[0] = 0;
    json_begin(&json, text, n, "a journal", &ignored);
    if (!json_object(&json))
        while (!name[0] && json_key(&json, &key)) {
            if (!is_fact(s, key)) snprintf(name, 40, "%.*s", (int)key.n, key.text);
            if (json_skip(&json)) break;
        }
    json_end(&json);
}

/* Some facts are noted only where they are not as ever, so either side may lack one. Whoever only looks brings none. */
static int check_facts(const struct journal *j, const struct journal_setup *s, const char *text, size_t n, struct err *why)
{
    char was[120] = "nothing", more[40];
    for (size_t i = 0; i < s->n_facts; i++) {
        if (!record_fact(text, n, s->facts[i].name, was)) snprintf(was, sizeof was, "nothing");
        if (strcmp(was, s->facts[i].value)) return is_another(j, s->facts[i].name, was, s->facts[i].value, why);
    }
    if (!s->n_facts) return 0;
    find_more(s, text, n, more);
    if (!more[0]) return 0;
    if (!record_fact(text, n, more, was)) snprintf(was, sizeof was, "something");
    return is_another(j, more, was, "nothing", why);
}

/* Zeros behind a part of `begin`, or none: room for a first record that was never filled, because the machine stopped. */
static bool is_unfilled(int fd, const char *begin)
{
    char text[4096];
    ssize_t n;
    for (off_t at = 0; (n = pread(fd, text, sizeof text, at)) > 0; at += n)
        for (ssize_t i = 0; i < n; i++) {
            if (*begin && text[i] == *begin) begin++;
            else if (text[i]) return false;
            else begin = "";
        }
    return n == 0;
}

/* A file that begins otherwise is somebody's, and nothing of it is cut. A first record that was torn begins so too. */
static int check_kind(const char *path, int fd, struct err *why)
{
    static const char begin[] = "{\"journal\"";
    char text[sizeof begin] = "";
    const ssize_t n = pread(fd, text, sizeof begin - 1, 0);
    const bool is = n >= 0 && (!memcmp(text, begin, (size_t)n) || is_unfilled(fd, begin));
    return is ? 0 : fail(why, E_FILE, "%s is no journal", path);
}

/* All records from the beginning; j->bytes is then where the right ones end. */
static int scan(struct journal *j, const struct journal_setup *s, struct err *why)
{
    char *text = NULL;
    size_t room = 0;
    ssize_t n;
    uint64_t wrong_at = 0, at = 0;
    bool wrong = false;
    int code = 0;
    for (; !code && (n = getline(&text, &room, j->read)) > 0; at += (uint64_t)n) {
        struct record r = {0};
        bool fits = false;
        if (text[n - 1] == '\n') code = record_read(&r, text, (size_t)n - 1, why);
        if (!code) code = take_record(j, &r, at, &fits, why);
        record_free(&r);
        if (code) break;
        if (fits && at == 0) code = check_facts(j, s, text, (size_t)n - 1, why);
        if (fits && wrong) code = fail(why, E_FILE, "%s is damaged at byte %" PRIu64 ", with good records behind it", j->path, wrong_at);
        if (fits) j->bytes = at + (uint64_t)n;
        else if (!wrong) wrong = true, wrong_at = at;
    }
    if (!code && ferror(j->read)) code = fail_errno(why, E_FILE, "%s cannot be read", j->path);
    free(text);
    if (code || at == j->bytes || s->mode == JOURNAL_LOOK || PLANTED(HALF_A_RECORD_STAYS)) return code;
    log_warn("%s ends in %" PRIu64 " bytes of a record that was not finished; they are cut off", j->path, at - j->bytes);
    if (disk_now()->cut(disk_now()->user, j->fd, j->bytes)) return fail_errno(why, E_FILE, "%s cannot be cut", j->path);
    return 0;
}

/* ---- writing ---- */

/* text[0..n) and its end. */
static int append(struct journal *j, const char *text, size_t n, struct err *why)
{
    char end[RECORD_END_BYTES + 1];
    record_end(end, text, n);
    if (disk_append(j->fd, text, n) || disk_append(j->fd, end, RECORD_END_BYTES)) return fail_errno(why, E_FILE, "%s cannot be written", j->path);
    j->bytes += n + RECORD_END_BYTES;
    j->unsynced = true;
    return 0;
}

static FILE *begin_text(char **text, size_t *n)
{
    *text = NULL;
    return open_memstream(text, n);
}

/* NULL: there was no memory to begin. */
static int append_text(struct journal *j, FILE *to, char **text, const size_t *n, struct err *why)
{
    const int code = !to || fclose(to) ? fail(why, E_MEMORY, "no memory for a record of %s", j->path) : append(j, *text, *n, why);
    free(*text);
    return code;
}

static int write_facts(struct journal *j, const struct journal_setup *s, struct err *why)
{
    char *text;
    size_t n;
    FILE *to = begin_text(&text, &n);
    if (to) fputs("{\"journal\":1", to);
    for (size_t i = 0; to && i < s->n_facts; i++) {
        fprintf(to, ",\"%s\":", s->facts[i].name);
        json_print_text(to, s->facts[i].value);
    }
    int code = append_text(j, to, &text, &n, why);
    if (!code) code = journal_sync(j, why);
    char *folder = code ? NULL : disk_folder_of(j->path);
    if (folder && disk_now()->sync_folder(disk_now()->user, folder)) code = fail_errno(why, E_FILE, "%s cannot be made sure of", folder);
    free(folder);
    return code;
}

int journal_put_tokens(struct journal *j, const struct journal_tokens *where, const uint32_t *ids, size_t n, struct err *why)
{
    if (!j) return 0;
    char *text;
    size_t bytes;
    FILE *to = begin_text(&text, &bytes);
    if (to) fprintf(to, "{\"tokens\":%zu,\"choice\":%" PRIu32 ",\"from\":%zu,\"ids\":[", where->line, where->choice, where->from);
    for (size_t i = 0; to && i < n; i++) fprintf(to, "%s%" PRIu32, i ? "," : "", ids[i]);
    if (to) fputc(']', to);
    return append_text(j, to, &text, &bytes, why);
}

static int put_word(struct journal *j, const char *format, size_t line, struct err *why) __attribute__((format(printf, 2, 0)));
static int put_word(struct journal *j, const char *format, size_t line, struct err *why)
{
    char text[64];
    return append(j, text, (size_t)snprintf(text, sizeof text, format, line), why);
}

int journal_put_begun(struct journal *j, size_t line, struct err *why)
{
    if (!j) return 0;
    TRY(suspect(j, line, why));
    return put_word(j, "{\"begun\":%zu", line, why);
}

int journal_put_picture(struct journal *j, const char *name, struct hash128 hash, bool *same, struct err *why)
{
    const uint64_t key = hash64(name, strlen(name));
    char hex[33], *text;
    size_t bytes;
    *same = true;
    if (!j) return 0;
    *same = hash_set_has(j->pictures, name_and_hash(key, hash)) || !hash_set_has(j->pictures, key);
    if (!*same || hash_set_has(j->pictures, key)) return 0;
    TRY(remember_picture(j, key, hash, why));
    FILE *to = begin_text(&text, &bytes);
    if (to) {
        fputs("{\"picture\":", to);
        json_print_text(to, name);
        fprintf(to, ",\"is\":\"%s\"", show_hash128(hex, hash));
    }
    return append_text(j, to, &text, &bytes, why);
}

static int compare_with_first(struct journal *j, size_t line, const char *result, size_t n, struct err *why)
{
    char *first;
    size_t n_first;
    bool ok;
    TRY(journal_result(j, line, &ok, &first, &n_first, why));
    const bool same = n == n_first && !memcmp(first, result, n);
    free(first);
    return same ? 0 : fail(why, E_WORKER, "line %zu was answered twice and not the same: a machine computed wrongly", line);
}

int journal_put_done(struct journal *j, size_t line, bool ok, const char *result, size_t n, struct err *why)
{
    if (!j) return 0;
    if (j->done_at[line]) return compare_with_first(j, line, result, n, why);
    const uint64_t at = j->bytes;
    char *text = malloc(n + 128);
    if (!text) return fail(why, E_MEMORY, "no memory for a record of %s", j->path);
    const size_t head = (size_t)snprintf(text, 128, "{\"done\":%zu,\"ok\":%s,\"result\":", line, ok ? "true" : "false");
    memcpy(text + head, result, n);
    const int code = append(j, text, head + n, why);
    free(text);
    if (!code) note_done(j, line, ok, at);
    return code;
}

int journal_sync(struct journal *j, struct err *why)
{
    if (!j) return 0;
    if (!j->unsynced) return 0;
    if (disk_now()->sync(disk_now()->user, j->fd)) return fail_errno(why, E_FILE, "%s cannot be made sure of", j->path);
    j->unsynced = false;
    return 0;
}

int journal_end(struct journal *j, struct err *why)
{
    if (!j || j->ended) return 0;
    TRY(put_word(j, "{\"ended\":true", 0, why));
    j->ended = true;
    return journal_stop(j, why);
}

int journal_stop(struct journal *j, struct err *why)
{
    if (!j) return 0;
    TRY(put_word(j, "{\"stopped\":true", 0, why));
    return journal_sync(j, why);
}

/* ---- opening ---- */

static int open_file(struct journal *j, const struct journal_setup *s, struct err *why)
{
    struct stat st;
    j->fd = s->mode == JOURNAL_LOOK ? open(j->path, O_RDONLY | O_CLOEXEC) : disk_now()->open_to_append(disk_now()->user, j->path);
    if (j->fd < 0) return fail_errno(why, E_FILE, "%s cannot be opened", j->path);
    if (fstat(j->fd, &st) || !S_ISREG(st.st_mode)) return fail(why, E_FILE, "%s is not a file", j->path);
    if (s->mode == JOURNAL_NEW && st.st_size) return fail_about(why, ABOUT_JOURNAL, E_FILE, "%s is there already", j->path);
    if (!(j->read = fopen(j->path, "rbe"))) return fail_errno(why, E_FILE, "%s cannot be read", j->path);
    TRY(check_kind(j->path, j->fd, why));
    if (flock(j->fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK && !s->no_lock) return say_holder(j, why), why->code;
    if (s->mode == JOURNAL_OVERWRITE && disk_now()->cut(disk_now()->user, j->fd, 0)) return fail_errno(why, E_FILE, "%s cannot be cut", j->path);
    TRY(scan(j, s, why));
    if (s->mode == JOURNAL_LOOK) return 0;
    end_run(j);
    if (!j->bytes) TRY(write_facts(j, s, why));
    TRY(put_word(j, "{\"opened\":true", 0, why));
    if (!s->retry || !j->failed) return 0;
    ask_failed_again(j);
    return put_word(j, "{\"retry\":true", 0, why);
}

int journal_open(struct journal **out, const struct journal_setup *s, struct err *why)
{
    struct journal *j = *out = calloc(1, sizeof *j);
    if (!j) return fail(why, E_MEMORY, "no memory for a journal");
    j->fd = j->lock = -1;
    j->lines = s->lines;
    j->path = strdup(s->path);
    j->done_at = calloc(s->lines + 1, sizeof *j->done_at);
    int code = j->path && j->done_at && asprintf(&j->lock_path, "%s.lock", s->path) > 0 ? 0 : fail(why, E_MEMORY, "no memory for a journal");
    if (!code) code = hash_set_open(&j->pictures, why);
    if (!code && !s->no_lock) code = take_lock(j, why);
    if (!code) code = open_file(j, s, why);
    if (code) journal_close(out);
    return code;
}

void journal_close(struct journal **pj)
{
    struct journal *j = *pj;
    *pj = NULL;
    if (!j) return;
    if (j->read) fclose(j->read);
    if (j->fd >= 0) disk_now()->close(disk_now()->user, j->fd);
    if (j->lock >= 0) close(j->lock);
    for (size_t i = 0; i < j->n_begun; i++) ids_free(&j->begun[i].ids);
    free(j->begun);
    free(j->suspect);
    hash_set_close(&j->pictures);
    free(j->done_at);
    free(j->lock_path);
    free(j->path);
    free(j);
}

/* ---- asking it ---- */

bool journal_ended(const struct journal *j)
{
    return j && j->ended;
}

size_t journal_done(const struct journal *j)
{
    return j ? j->done : 0;
}

size_t journal_failed(const struct journal *j)
{
    return j ? j->failed : 0;
}

bool journal_is_done(const struct journal *j, size_t line)
{
    return j && j->done_at[line];
}

uint32_t journal_crashes(const struct journal *j, size_t line)
{
    const struct suspect *s = j ? find_suspect(j, line) : NULL;
    return s ? s->crashes : 0;
}

const struct ids *journal_tokens(const struct journal *j, size_t line, uint32_t choice)
{
    const struct begun *b = j ? find_begun(j, line, choice) : NULL;
    return b && b->ids.n ? &b->ids : NULL;
}

int journal_result(struct journal *j, size_t line, bool *ok, char **result, size_t *n, struct err *why)
{
    char *text = NULL;
    size_t room = 0;
    struct record r = {0};
    ssize_t got = -1;
    *result = NULL;
    if (!fseeko(j->read, (off_t)(j->done_at[line] & ~FAILED), SEEK_SET)) got = getline(&text, &room, j->read);
    int code = got > 1 ? record_read(&r, text, (size_t)got - 1, why) : 0;
    if (!code && (r.kind != RECORD_DONE || r.line != line))
        code = fail(why, E_FILE, "%s: the result of line %zu cannot be read again", j->path, line);
    if (!code) {
        memmove(text, text + r.result_at, r.result_bytes);
        *result = text;
        *n = r.result_bytes;
        *ok = r.ok;
    } else free(text);
    record_free(&r);
    return code;
}

int journal_walk(struct journal *j, journal_visit *visit, void *user, struct err *why)
{
    char *text = NULL;
    size_t room = 0;
    ssize_t n;
    uint64_t at = 0;
    int code = 0;
    rewind(j->read);
    for (; !code && (n = getline(&text, &room, j->read)) > 0; at += (uint64_t)n) {
        struct record r;
        code = record_read(&r, text, (size_t)n - 1, why);
        const bool holds = !code && r.kind == RECORD_DONE && (j->done_at[r.line] & ~FAILED) == at;
        if (holds) code = visit(user, r.ok, text + r.result_at, r.result_bytes, why);
        record_free(&r);
    }
    free(text);
    return code;
}

bool journal_is_held(const char *path)
{
    char lock[4096];
    snprintf(lock, sizeof lock, "%s.lock", path);
    const int fd = open(lock, O_RDONLY | O_CLOEXEC);
    const bool held = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
    if (fd >= 0) close(fd);
    return held;
}

static int count_lines(const char *path, size_t *lines, struct err *why)
{
    char *text = NULL, value[120] = "";
    size_t room = 0;
    FILE *f = fopen(path, "rbe");
    if (!f) return fail_errno(why, E_FILE, "%s cannot be opened", path);
    const ssize_t n = getline(&text, &room, f);
    const bool known = n > 1 && record_fact(text, (size_t)n - 1, "lines", value) && sscanf(value, "%zu", lines) == 1;
    free(text);
    fclose(f);
    return known ? 0 : fail(why, E_FILE, "%s is no journal", path);
}

int journal_look(struct journal_state *out, const char *path, struct err *why)
{
    struct journal_setup s = {.path = path, .mode = JOURNAL_LOOK, .no_lock = true};
    struct journal *j;
    TRY(count_lines(path, &s.lines, why));
    TRY(journal_open(&j, &s, why));
    *out = (struct journal_state){j->ended ? j->done : j->lines, j->done, j->failed, j->ended, journal_is_held(path)};
    journal_close(&j);
    return 0;
}

int journal_repair(const char *path, size_t *lost, struct err *why)
{
    FILE *from = fopen(path, "rbe");
    struct whole_file *to;
    char *text = NULL;
    size_t room = 0;
    ssize_t n;
    *lost = 0;
    if (journal_is_held(path)) {
        if (from) fclose(from);
        return fail(why, E_FILE, "%s is held by a job that is running", path);
    }
    if (!from) return fail_errno(why, E_FILE, "%s cannot be opened", path);
    int code = check_kind(path, fileno(from), why);
    if (!code) code = whole_file_open(&to, path, why);
    if (code) return fclose(from), code;
    for (bool first = true; !code && (n = getline(&text, &room, from)) > 0; first = false) {
        struct record r = {0};
        if (text[n - 1] == '\n') code = record_read(&r, text, (size_t)n - 1, why);
        const bool stays = r.kind != RECORD_WRONG && r.kind != RECORD_ENDED; /* what is left out is to be done again */
        if (!code && stays) code = whole_file_write(to, text, (size_t)n, why);
        *lost += r.kind == RECORD_WRONG;
        if (!code && first && r.kind != RECORD_FACTS) code = fail(why, E_FILE, "%s has lost its first record, which says of what job it is", path);
        record_free(&r);
    }
    code = whole_file_close(&to, code, why);
    free(text);
    fclose(from);
    return code;
}
