/* coordinator/serve/store.c — see store.h. What is known of files and batches is kept in memory too, so that lists cost no disk. */
#define _GNU_SOURCE
#include "coordinator/serve/store.h"

#include "base/disk.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mapped.h"
#include "base/whole_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NOTE_MOST (16u << 10) /* bytes of a .json */

struct store {
    char *folder;
    int lock_fd;
    uint64_t most, bytes;
    pthread_mutex_t lock; /* of all below */
    struct stored_file *file; /* [n_files], in the order of their making */
    struct stored_batch *batch;
    size_t n_files, n_batches;
};

static const char *const statuses[BATCH_STATUSES] = {"in_progress", "cancelling", "completed", "failed", "cancelled"};

/* ---- names ---- */

char *store_path(const struct store *s, const char *id, const char *ending)
{
    char *path;
    return asprintf(&path, "%s/%s.%s", s->folder, id, ending) < 0 ? NULL : path;
}

void store_name(char id[STORE_ID], const char *kind)
{
    uint64_t random[2];
    id[0] = 0;
    if (getrandom(random, sizeof random, 0) == (ssize_t)sizeof random)
        snprintf(id, STORE_ID, "%s%016" PRIx64 "%016" PRIx64, kind, random[0], random[1]);
}

static void remove_part(const struct store *s, const char *id, const char *ending)
{
    char *path = store_path(s, id, ending);
    if (path && disk_now()->remove(disk_now()->user, path) && errno != ENOENT) log_warn("%s cannot be removed", path);
    free(path);
}

/* ---- notes: what is known of a thing, as JSON ---- */

static void note_text(FILE *to, const char *name, const char *text)
{
    fprintf(to, ",\"%s\":", name);
    json_print_text(to, text);
}

static void print_file(FILE *to, const void *thing)
{
    const struct stored_file *f = thing;
    char owner[33];
    fprintf(to, "{\"owner\":\"%s\",\"bytes\":%" PRIu64 ",\"created\":%" PRIu64, show_hash128(owner, f->owner), f->bytes, f->created);
    note_text(to, "name", f->name);
    note_text(to, "purpose", f->purpose);
    fputs("}\n", to);
}

static void print_batch(FILE *to, const void *thing)
{
    const struct stored_batch *b = thing;
    char owner[33];
    fprintf(to, "{\"owner\":\"%s\",\"created\":%" PRIu64 ",\"done\":%" PRIu64 ",\"lines\":%" PRIu64 ",\"completed\":%" PRIu64 ",\"failed\":%" PRIu64,
            show_hash128(owner, b->owner), b->created, b->done, b->lines, b->completed, b->failed);
    note_text(to, "status", statuses[b->status]);
    note_text(to, "input", b->input);
    note_text(to, "output", b->output);
    note_text(to, "errors", b->errors);
    note_text(to, "endpoint", b->endpoint);
    note_text(to, "why", b->why);
    note_text(to, "metadata", b->metadata);
    fputs("}\n", to);
}

static int write_note(const struct store *s, const char *id, void (*print)(FILE *to, const void *thing), const void *thing, struct err *why)
{
    struct whole_file *f;
    char *path = store_path(s, id, "json");
    if (!path) return fail(why, E_MEMORY, "no memory for the name of a file");
    int code = whole_file_open(&f, path, why);
    if (!code) {
        print(whole_file_stream(f), thing);
        code = whole_file_close(&f, 0, why);
    }
    free(path);
    return code;
}

static int read_text(struct json *j, char *out, size_t room)
{
    struct json_text s;
    TRY(json_string(j, &s));
    if (s.n >= room || memchr(s.text, 0, s.n)) return json_fail(j, "a text of %zu bytes; %zu are the most", s.n, room - 1);
    memcpy(out, s.text, s.n);
    out[s.n] = 0;
    return 0;
}

static int read_owner(struct json *j, struct hash128 *out)
{
    struct json_text s;
    TRY(json_string(j, &s));
    return read_hash128(out, s.text, s.n) ? 0 : json_fail(j, "the owner is no hash");
}

static int read_file_field(struct json *j, struct json_text key, void *thing)
{
    struct stored_file *f = thing;
    if (json_is(key, "owner")) return read_owner(j, &f->owner);
    if (json_is(key, "bytes")) return json_u64(j, &f->bytes);
    if (json_is(key, "created")) return json_u64(j, &f->created);
    if (json_is(key, "name")) return read_text(j, f->name, sizeof f->name);
    return json_is(key, "purpose") ? read_text(j, f->purpose, sizeof f->purpose) : json_skip(j);
}

static int read_status(struct json *j, enum batch_status *out)
{
    char text[32];
    unsigned i = 0;
    TRY(read_text(j, text, sizeof text));
    while (i < BATCH_STATUSES && strcmp(text, statuses[i])) i++;
    if (i == BATCH_STATUSES) return json_fail(j, "%s is no status of a batch", text);
    *out = i;
    return 0;
}

static int read_batch_field(struct json *j, struct json_text key, void *thing)
{
    struct stored_batch *b = thing;
    if (json_is(key, "owner")) return read_owner(j, &b->owner);
    if (json_is(key, "created")) return json_u64(j, &b->created);
    if (json_is(key, "done")) return json_u64(j, &b->done);
    if (json_is(key, "lines")) return json_u64(j, &b->lines);
    if (json_is(key, "completed")) return json_u64(j, &b->completed);
    if (json_is(key, "failed")) return json_u64(j, &b->failed);
    if (json_is(key, "status")) return read_status(j, &b->status);
    if (json_is(key, "input")) return read_text(j, b->input, sizeof b->input);
    if (json_is(key, "output")) return read_text(j, b->output, sizeof b->output);
    if (json_is(key, "errors")) return read_text(j, b->errors, sizeof b->errors);
    if (json_is(key, "endpoint")) return read_text(j, b->endpoint, sizeof b->endpoint);
    if (json_is(key, "why")) return read_text(j, b->why, sizeof b->why);
    return json_is(key, "metadata") ? read_text(j, b->metadata, sizeof b->metadata) : json_skip(j);
}

static int read_note(const struct store *s, const char *id, int (*field)(struct json *, struct json_text, void *), void *thing, struct err *why)
{
    char text[NOTE_MOST];
    struct file_state state;
    struct json_text key;
    struct json j;
    int fd;
    char *path = store_path(s, id, "json");
    if (!path) return fail(why, E_MEMORY, "no memory for the name of a file");
    int code = file_open(&fd, path, &state, why);
    if (!code && state.bytes > sizeof text) code = fail(why, E_FILE, "%s has %" PRIu64 " bytes, %u are the most", path, state.bytes, NOTE_MOST);
    if (!code) code = file_read(fd, path, 0, text, state.bytes, why);
    if (fd >= 0) close(fd);
    if (!code) {
        json_begin(&j, text, state.bytes, path, why);
        if (!json_object(&j))
            while (json_key(&j, &key) && !field(&j, key, thing)) continue;
        if (!json_done(&j)) json_finish(&j);
        json_end(&j);
        code = j.code;
    }
    free(path);
    return code;
}

/* ---- opening ---- */

/* A place for one more, or NULL. */
static void *grown(void *list, size_t n, size_t each)
{
    return (n & (n - 1)) ? list : realloc(list, (n ? 2 * n : 1) * each);
}

static int keep_file(struct store *s, const struct stored_file *f, struct err *why)
{
    struct stored_file *list = s->n_files < STORE_THINGS_MOST ? grown(s->file, s->n_files, sizeof *list) : NULL;
    if (!list) return fail(why, s->n_files < STORE_THINGS_MOST ? E_MEMORY : E_USAGE, "%zu files are kept; there is no place for another", s->n_files);
    s->file = list;
    s->file[s->n_files++] = *f;
    s->bytes += f->bytes;
    return 0;
}

static int keep_batch(struct store *s, const struct stored_batch *b, struct err *why)
{
    struct stored_batch *list = s->n_batches < STORE_THINGS_MOST ? grown(s->batch, s->n_batches, sizeof *list) : NULL;
    if (!list) return fail(why, s->n_batches < STORE_THINGS_MOST ? E_MEMORY : E_USAGE, "%zu batches are kept; there is no place for another", s->n_batches);
    s->batch = list;
    s->batch[s->n_batches++] = *b;
    return 0;
}

/* "file-….json" and "batch_….json" are read; what has no such note is swept away, if its name is one of ours. */
static int look_at(struct store *s, const char *name, struct err *why)
{
    struct stored_file f = {0};
    struct stored_batch b = {0};
    const char *dot = strrchr(name, '.');
    const bool file = !strncmp(name, "file-", 5), batch = !strncmp(name, "batch_", 6);
    if ((!file && !batch) || !dot || dot - name >= STORE_ID) return 0;
    char id[STORE_ID] = "";
    memcpy(id, name, (size_t)(dot - name));
    char *note = store_path(s, id, "json");
    const bool known = note && is_file(note);
    free(note);
    if (!known) {
        remove_part(s, id, dot + 1);
        return 0;
    }
    if (strcmp(dot, ".json")) return 0;
    memcpy(f.id, id, sizeof id), memcpy(b.id, id, sizeof id);
    if (file) TRY(read_note(s, id, read_file_field, &f, why));
    else TRY(read_note(s, id, read_batch_field, &b, why));
    return file ? keep_file(s, &f, why) : keep_batch(s, &b, why);
}

static int by_file_age(const void *x, const void *y)
{
    const struct stored_file *a = x, *b = y;
    return a->created != b->created ? (a->created > b->created ? 1 : -1) : strcmp(a->id, b->id);
}

static int by_batch_age(const void *x, const void *y)
{
    const struct stored_batch *a = x, *b = y;
    return a->created != b->created ? (a->created > b->created ? 1 : -1) : strcmp(a->id, b->id);
}

static int lock_folder(struct store *s, struct err *why)
{
    char *path = store_path(s, "store", "lock");
    if (!path) return fail(why, E_MEMORY, "no memory for the name of a file");
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    free(path);
    if (s->lock_fd < 0) return fail_errno(why, E_FILE, "nothing can be kept in %s", s->folder);
    return flock(s->lock_fd, LOCK_EX | LOCK_NB) ? fail(why, E_FILE, "%s is held by another server", s->folder) : 0;
}

static int read_all(struct store *s, struct err *why)
{
    int code = 0;
    DIR *d = opendir(s->folder);
    if (!d) return fail_errno(why, E_FILE, "%s cannot be read", s->folder);
    for (struct dirent *e; !code && (e = readdir(d));) code = look_at(s, e->d_name, why);
    closedir(d);
    if (s->n_files) qsort(s->file, s->n_files, sizeof *s->file, by_file_age);
    if (s->n_batches) qsort(s->batch, s->n_batches, sizeof *s->batch, by_batch_age);
    return code;
}

int store_open(struct store **out, const char *folder, uint64_t most, struct err *why)
{
    struct store *s = *out = calloc(1, sizeof *s);
    if (!s) return fail(why, E_MEMORY, "no memory for a store");
    s->lock_fd = -1;
    s->most = most;
    pthread_mutex_init(&s->lock, NULL);
    int code = mkdir(folder, 0700) && errno != EEXIST ? fail_errno(why, E_FILE, "%s cannot be made", folder) : 0;
    if (!code && !(s->folder = realpath(folder, NULL))) code = fail_errno(why, E_FILE, "%s cannot be found", folder);
    if (!code) code = lock_folder(s, why);
    if (!code) code = read_all(s, why);
    if (code) store_close(out);
    return code;
}

void store_close(struct store **ps)
{
    struct store *s = *ps;
    *ps = NULL;
    if (!s) return;
    if (s->lock_fd >= 0) close(s->lock_fd);
    pthread_mutex_destroy(&s->lock);
    free(s->folder);
    free(s->file);
    free(s->batch);
    free(s);
}

/* ---- files ---- */

static struct stored_file *file_of(struct store *s, const char *id)
{
    for (size_t i = 0; i < s->n_files; i++)
        if (!strcmp(s->file[i].id, id)) return &s->file[i];
    return NULL;
}

static int write_data(const struct store *s, const struct stored_file *f, const char *bytes, struct err *why)
{
    struct whole_file *to;
    char *path = store_path(s, f->id, "data");
    if (!path) return fail(why, E_MEMORY, "no memory for the name of a file");
    int code = whole_file_open(&to, path, why);
    if (!code) {
        code = whole_file_write(to, bytes, f->bytes, why);
        code = whole_file_close(&to, code, why);
    }
    free(path);
    return code;
}

/* Under the lock. */
static int add_file(struct store *s, struct stored_file *f, const char *bytes, struct err *why)
{
    f->created = (uint64_t)time(NULL);
    if (bytes && f->bytes > s->most - (s->bytes < s->most ? s->bytes : s->most))
        return fail(why, E_USAGE, "the file has %" PRIu64 " bytes; of the %" PRIu64 " that may be kept %" PRIu64 " are taken", f->bytes, s->most, s->bytes);
    if (!f->id[0]) return fail(why, E_INTERNAL, "there are no random numbers to name a file with");
    if (bytes) TRY(write_data(s, f, bytes, why));
    const int code = write_note(s, f->id, print_file, f, why);
    return code ? code : keep_file(s, f, why);
}

int store_add_file(struct store *s, struct stored_file *f, const char *bytes, struct err *why)
{
    store_name(f->id, "file-");
    pthread_mutex_lock(&s->lock);
    const int code = add_file(s, f, bytes, why);
    pthread_mutex_unlock(&s->lock);
    if (code && f->id[0]) remove_part(s, f->id, "json"), remove_part(s, f->id, "data");
    return code;
}

int store_adopt_file(struct store *s, struct stored_file *f, struct err *why)
{
    struct stat st;
    char *path = store_path(s, f->id, "data");
    const bool there = path && !stat(path, &st);
    free(path);
    if (!there) return fail(why, E_FILE, "the file of results %s is not there", f->id);
    f->bytes = (uint64_t)st.st_size;
    pthread_mutex_lock(&s->lock);
    const int code = add_file(s, f, NULL, why);
    pthread_mutex_unlock(&s->lock);
    return code;
}

bool store_find_file(struct store *s, struct hash128 owner, const char *id, struct stored_file *out)
{
    pthread_mutex_lock(&s->lock);
    const struct stored_file *f = file_of(s, id);
    const bool found = f && hash128_same(f->owner, owner);
    if (found) *out = *f;
    pthread_mutex_unlock(&s->lock);
    return found;
}

int store_remove_file(struct store *s, const char *id, struct err *why)
{
    if (store_reads(s, id)) return fail(why, E_USAGE, "%s is read by a batch that is not over", id);
    pthread_mutex_lock(&s->lock);
    struct stored_file *f = file_of(s, id);
    if (f) {
        s->bytes -= f->bytes;
        remove_part(s, id, "json");
        remove_part(s, id, "data");
        memmove(f, f + 1, (size_t)(s->file + s->n_files - (f + 1)) * sizeof *f);
        s->n_files--;
    }
    pthread_mutex_unlock(&s->lock);
    return 0;
}

/* ---- batches ---- */

static struct stored_batch *batch_of(struct store *s, const char *id)
{
    for (size_t i = 0; i < s->n_batches; i++)
        if (!strcmp(s->batch[i].id, id)) return &s->batch[i];
    return NULL;
}

int store_add_batch(struct store *s, struct stored_batch *b, struct err *why)
{
    store_name(b->id, "batch_");
    if (!b->id[0]) return fail(why, E_INTERNAL, "there are no random numbers to name a batch with");
    b->created = (uint64_t)time(NULL);
    pthread_mutex_lock(&s->lock);
    int code = write_note(s, b->id, print_batch, b, why);
    if (!code) code = keep_batch(s, b, why);
    pthread_mutex_unlock(&s->lock);
    return code;
}

void store_count_batch(struct store *s, const struct stored_batch *b)
{
    pthread_mutex_lock(&s->lock);
    struct stored_batch *at = batch_of(s, b->id);
    if (at) at->lines = b->lines, at->completed = b->completed, at->failed = b->failed;
    pthread_mutex_unlock(&s->lock);
}

int store_note_batch(struct store *s, const struct stored_batch *b, struct err *why)
{
    pthread_mutex_lock(&s->lock);
    struct stored_batch *at = batch_of(s, b->id);
    if (at) *at = *b;
    const int code = at ? write_note(s, b->id, print_batch, b, why) : 0;
    pthread_mutex_unlock(&s->lock);
    return code;
}

bool store_find_batch(struct store *s, struct hash128 owner, const char *id, struct stored_batch *out)
{
    pthread_mutex_lock(&s->lock);
    const struct stored_batch *b = batch_of(s, id);
    const bool found = b && hash128_same(b->owner, owner);
    if (found) *out = *b;
    pthread_mutex_unlock(&s->lock);
    return found;
}

int store_remove_batch(struct store *s, const char *id, struct err *why)
{
    int code = 0;
    pthread_mutex_lock(&s->lock);
    struct stored_batch *b = batch_of(s, id);
    if (b && b->status <= BATCH_CANCELLING) code = fail(why, E_USAGE, "%s is not over: cancel it first", id);
    else if (b) {
        remove_part(s, id, "json");
        remove_part(s, id, "journal");
        memmove(b, b + 1, (size_t)(s->batch + s->n_batches - (b + 1)) * sizeof *b);
        s->n_batches--;
    }
    pthread_mutex_unlock(&s->lock);
    return code;
}

bool store_next_batch(struct store *s, struct stored_batch *out)
{
    size_t i = 0;
    pthread_mutex_lock(&s->lock);
    while (i < s->n_batches && s->batch[i].status > BATCH_CANCELLING) i++;
    const bool found = i < s->n_batches;
    if (found) *out = s->batch[i];
    pthread_mutex_unlock(&s->lock);
    return found;
}

bool store_reads(struct store *s, const char *id)
{
    bool reads = false;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->n_batches; i++) reads |= s->batch[i].status <= BATCH_CANCELLING && !strcmp(s->batch[i].input, id);
    pthread_mutex_unlock(&s->lock);
    return reads;
}

/* ---- lists ---- */

struct listing {
    struct hash128 owner;
    const char *after;
    size_t n, most;
    bool behind, more;
};

/* Whether this thing, the next in their order, is one of the list. */
static bool takes(struct listing *l, const char *id, struct hash128 owner)
{
    const bool wanted = l->behind && hash128_same(owner, l->owner);
    l->behind |= !strcmp(id, l->after);
    l->more |= wanted && l->n == l->most;
    return wanted && l->n < l->most;
}

size_t store_files(struct store *s, struct hash128 owner, const char *after, struct stored_file *out, size_t most, bool *more)
{
    struct listing l = {.owner = owner, .after = after, .most = most, .behind = !after[0]};
    pthread_mutex_lock(&s->lock);
    for (size_t i = s->n_files; i-- > 0;)
        if (takes(&l, s->file[i].id, s->file[i].owner)) out[l.n++] = s->file[i];
    pthread_mutex_unlock(&s->lock);
    *more = l.more;
    return l.n;
}

size_t store_batches(struct store *s, struct hash128 owner, const char *after, struct stored_batch *out, size_t most, bool *more)
{
    struct listing l = {.owner = owner, .after = after, .most = most, .behind = !after[0]};
    pthread_mutex_lock(&s->lock);
    for (size_t i = s->n_batches; i-- > 0;)
        if (takes(&l, s->batch[i].id, s->batch[i].owner)) out[l.n++] = s->batch[i];
    pthread_mutex_unlock(&s->lock);
    *more = l.more;
    return l.n;
}
