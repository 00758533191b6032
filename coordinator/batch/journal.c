/* coordinator/batch/journal.c — see journal.h. */
#define _GNU_SOURCE
#include "coordinator/batch/journal.h"

#include "base/disk.h"
#include "base/json.h"
#include "base/log.h"
#include "base/whole_file.h"
#include "coordinator/batch/record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct begun { /* an answer that had come so far */
    size_t line;
    uint32_t choice;
    struct ids ids;
};

struct journal {
    char *path, *lock_path;
    int fd, lock;
    uint64_t bytes;  /* of the file, as far as it is right */
    FILE *read;      /* the same file */
    uint64_t *done_at; /* [lines + 1], of each line's result in the file; 0: none, as the first record is another one */
    struct begun *begun; /* [n_begun] */
    size_t lines, done, failed, n_begun;
    bool ended, unsynced;
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
    for (size_t i = 0; i < r->ids.n; i++) TRY(ids_push(&b->ids, r->ids.id[i], why));
    return 0;
}

static void note_done(struct journal *j, size_t line, bool ok, uint64_t at)
{
    if (j->done_at[line]) return;
    j->done_at[line] = at;
    j->done++;
    j->failed += !ok;
    forget_begun(j, line);
}

/* False: it has no place in a journal of this job. */
static int take_record(struct journal *j, const struct record *r, uint64_t at, bool *fits, struct err *why)
{
    const bool of_line = r->kind == RECORD_TOKENS || r->kind == RECORD_DONE;
    *fits = r->kind != RECORD_WRONG && (at == 0) == (r->kind == RECORD_FACTS) && (!of_line || (r->line >= 1 && r->line <= j->lines));
    if (!*fits) return 0;
    if (r->kind == RECORD_DONE) note_done(j, r->line, r->ok, at);
    if (r->kind == RECORD_TOKENS && !j->done_at[r->line]) TRY(remember_tokens(j, r, why));
    if (r->kind == RECORD_ENDED) j->ended = true;
    return 0;
}

static int check_facts(const struct journal *j, const struct journal_setup *s, const char *text, size_t n, struct err *why)
{
    for (size_t i = 0; i < s->n_facts; i++) {
        char was[80] = "nothing";
        record_fact(text, n, s->facts[i].name, was);
        if (strcmp(was, s->facts[i].value))
            return fail(why, E_FILE, "%s is of another job: its %s is %s, this job's is %s", j->path, s->facts[i].name, was, s->facts[i].value);
    }
    return 0;
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
    if (code || at == j->bytes) return code;
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

static int write_facts(struct journal *j, const struct journal_setup *s, struct err *why)
{
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);
    if (!to) return fail(why, E_MEMORY, "no memory for the head of %s", j->path);
    fputs("{\"journal\":1", to);
    for (size_t i = 0; i < s->n_facts; i++) {
        fprintf(to, ",\"%s\":", s->facts[i].name);
        json_print_text(to, s->facts[i].value);
    }
    int code = fclose(to) ? fail(why, E_MEMORY, "no memory for the head of %s", j->path) : append(j, text, n, why);
    free(text);
    if (!code) code = journal_sync(j, why);
    char *folder = code ? NULL : disk_folder_of(j->path);
    if (folder && disk_now()->sync_folder(disk_now()->user, folder)) code = fail_errno(why, E_FILE, "%s cannot be made sure of", folder);
    free(folder);
    return code;
}

int journal_put_tokens(struct journal *j, size_t line, uint32_t choice, const uint32_t *ids, size_t n, struct err *why)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *to = n ? open_memstream(&text, &bytes) : NULL;
    if (!n) return 0;
    if (!to) return fail(why, E_MEMORY, "no memory for a record of %s", j->path);
    fprintf(to, "{\"tokens\":%zu,\"choice\":%" PRIu32 ",\"ids\":[", line, choice);
    for (size_t i = 0; i < n; i++) fprintf(to, "%s%" PRIu32, i ? "," : "", ids[i]);
    fputc(']', to);
    int code = fclose(to) ? fail(why, E_MEMORY, "no memory for a record of %s", j->path) : append(j, text, bytes, why);
    free(text);
    return code;
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
    if (!j->unsynced) return 0;
    if (disk_now()->sync(disk_now()->user, j->fd)) return fail_errno(why, E_FILE, "%s cannot be made sure of", j->path);
    j->unsynced = false;
    return 0;
}

int journal_end(struct journal *j, struct err *why)
{
    static const char ended[] = "{\"ended\":true";
    if (j->ended) return 0;
    TRY(append(j, ended, sizeof ended - 1, why));
    j->ended = true;
    return journal_sync(j, why);
}

/* ---- opening ---- */

static int open_file(struct journal *j, const struct journal_setup *s, struct err *why)
{
    struct stat st;
    j->fd = disk_now()->open_to_append(disk_now()->user, j->path);
    if (j->fd < 0) return fail_errno(why, E_FILE, "%s cannot be opened", j->path);
    if (fstat(j->fd, &st) || !S_ISREG(st.st_mode)) return fail(why, E_FILE, "%s is not a file", j->path);
    if (s->mode == JOURNAL_NEW && st.st_size) return fail_about(why, ABOUT_JOURNAL, E_FILE, "%s is there already", j->path);
    if (s->mode == JOURNAL_OVERWRITE && disk_now()->cut(disk_now()->user, j->fd, 0)) return fail_errno(why, E_FILE, "%s cannot be cut", j->path);
    if (!(j->read = fopen(j->path, "rbe"))) return fail_errno(why, E_FILE, "%s cannot be read", j->path);
    TRY(scan(j, s, why));
    return j->bytes ? 0 : write_facts(j, s, why);
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
    free(j->done_at);
    free(j->lock_path);
    free(j->path);
    free(j);
}

/* ---- asking it ---- */

bool journal_ended(const struct journal *j)
{
    return j->ended;
}

size_t journal_done(const struct journal *j)
{
    return j->done;
}

size_t journal_failed(const struct journal *j)
{
    return j->failed;
}

bool journal_is_done(const struct journal *j, size_t line)
{
    return j->done_at[line];
}

const struct ids *journal_tokens(const struct journal *j, size_t line, uint32_t choice)
{
    const struct begun *b = find_begun(j, line, choice);
    return b && b->ids.n ? &b->ids : NULL;
}

int journal_result(struct journal *j, size_t line, bool *ok, char **result, size_t *n, struct err *why)
{
    char *text = NULL;
    size_t room = 0;
    struct record r = {0};
    ssize_t got = -1;
    *result = NULL;
    if (!fseeko(j->read, (off_t)j->done_at[line], SEEK_SET)) got = getline(&text, &room, j->read);
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

int journal_repair(const char *path, size_t *lost, struct err *why)
{
    FILE *from = fopen(path, "rbe");
    struct whole_file *to;
    char *text = NULL;
    size_t room = 0;
    ssize_t n;
    *lost = 0;
    if (!from) return fail_errno(why, E_FILE, "%s cannot be opened", path);
    int code = whole_file_open(&to, path, why);
    while (!code && (n = getline(&text, &room, from)) > 0) {
        struct record r = {0};
        if (text[n - 1] == '\n') code = record_read(&r, text, (size_t)n - 1, why);
        if (!code && r.kind != RECORD_WRONG) code = whole_file_write(to, text, (size_t)n, why);
        *lost += r.kind == RECORD_WRONG;
        record_free(&r);
    }
    code = whole_file_close(&to, code, why);
    free(text);
    fclose(from);
    return code;
}
