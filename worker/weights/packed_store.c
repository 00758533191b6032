/* worker/weights/packed_store.c — see packed_store.h. */
#include "worker/weights/packed_store.h"

#include "base/log.h"
#include "base/size_text.h"
#include "partition/file/verified.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HASH_DIGITS 32

void store_begin(struct packed_store *s)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    s->begun_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    s->failed = false;
}

/* ---- names ---- */

/* For the caller to free; NULL: the cache knows a group by its hashes, and not all are known. */
static char *cache_path(const struct packed_store *s, const struct packed_group *g)
{
    char name[HASH_DIGITS + sizeof PACKED_ENDING];
    struct hash128 content;
    if (!s->cache || !packed_content(g, &content)) return NULL;
    show_hash128(name, content);
    strcpy(name + HASH_DIGITS, PACKED_ENDING);
    return path_in(s->cache, name);
}

static bool is_cache_name(const char *name)
{
    struct hash128 ignored;
    return strlen(name) == HASH_DIGITS + sizeof PACKED_ENDING - 1 && read_hash128(&ignored, name, HASH_DIGITS) &&
           !strcmp(name + HASH_DIGITS, PACKED_ENDING);
}

static void remove_with_note(const char *path)
{
    char *note = malloc(strlen(path) + sizeof VERIFIED);
    unlink(path);
    if (note) sprintf(note, "%s" VERIFIED, path), unlink(note);
    free(note);
}

/* ---- finding ---- */

static int find_in_shard(const struct packed_store *s, const struct packed_group *g, struct packed_file *out, struct err *why)
{
    char name[PACKED_NAME_ROOM];
    char *path = path_in(s->shard, packed_name(name, g));
    if (!path) return fail(why, E_MEMORY, "no memory to look into %s", s->shard);
    const enum packed_found found = packed_open(out, path, g, why);
    if (found == PACKED_NONE) log_warn("%s is not there; asking for it instead", path);
    if (found == PACKED_OTHER) log_warn("%s; asking for it instead", why->text);
    free(path);
    return found == PACKED_BAD ? why->code : 0;
}

static void find_in_cache(const struct packed_store *s, const struct packed_group *g, struct packed_file *out)
{
    struct err why;
    char *path = cache_path(s, g);
    const enum packed_found found = path ? packed_open(out, path, g, &why) : PACKED_NONE;
    if (found == PACKED_BAD || found == PACKED_OTHER) {
        log_warn("%s, and made anew", why.text);
        remove_with_note(path);
    }
    free(path);
}

int store_find(const struct packed_store *s, const struct packed_group *g, struct packed_file *out, struct err *why)
{
    *out = (struct packed_file){.fd = -1};
    if (s->shard && g->tensors[0].chain == CHAIN_TEXT) TRY(find_in_shard(s, g, out, why));
    if (!out->map) find_in_cache(s, g, out);
    return 0;
}

static bool is_of_cache(const struct packed_store *s, const struct packed_file *f)
{
    const size_t n = s->cache ? strlen(s->cache) : 0;
    return n && !strncmp(f->path, s->cache, n) && is_cache_name(strrchr(f->path, '/') + 1);
}

void store_forget(const struct packed_store *s, const struct packed_file *f)
{
    if (is_of_cache(s, f)) remove_with_note(f->path);
}

int store_reject(const struct packed_store *s, struct packed_file *f, struct err *why)
{
    if (!is_of_cache(s, f)) return why->code;
    log_warn("%s, and made anew", why->text);
    remove_with_note(f->path);
    packed_close(f);
    return 0;
}

/* ---- keeping ---- */

struct kept {
    char *path;
    uint64_t bytes, used_ns;
};

static uint64_t written_ns(const struct stat *st)
{
    return (uint64_t)st->st_mtim.tv_sec * 1000000000u + (uint64_t)st->st_mtim.tv_nsec;
}

static bool look_at(const char *path, struct kept *out)
{
    struct stat st;
    char *note = malloc(strlen(path) + sizeof VERIFIED);
    if (!note || stat(path, &st) || !S_ISREG(st.st_mode)) return free(note), false;
    *out = (struct kept){.bytes = (uint64_t)st.st_size, .used_ns = written_ns(&st)};
    sprintf(note, "%s" VERIFIED, path);
    if (!stat(note, &st) && written_ns(&st) > out->used_ns) out->used_ns = written_ns(&st);
    free(note);
    return true;
}

/* The bytes of all files in the cache, and of these the one that nobody used for the longest time; its path is the caller's to free. */
static uint64_t look_through(const char *folder, struct kept *oldest)
{
    DIR *dir = opendir(folder);
    uint64_t sum = 0;
    *oldest = (struct kept){.used_ns = UINT64_MAX};
    for (struct dirent *d; dir && (d = readdir(dir));) {
        struct kept k;
        char *path = is_cache_name(d->d_name) ? path_in(folder, d->d_name) : NULL;
        if (path && look_at(path, &k)) {
            sum += k.bytes;
            if (k.used_ns < oldest->used_ns) free(oldest->path), *oldest = k, oldest->path = path, path = NULL;
        }
        free(path);
    }
    if (dir) closedir(dir);
    return sum;
}

/* Least recently used go first, but none that this run uses. */
static bool make_room(const struct packed_store *s, uint64_t bytes)
{
    for (;;) {
        struct kept oldest;
        const uint64_t sum = s->most ? look_through(s->cache, &oldest) : 0;
        if (!s->most || (bytes <= s->most && sum <= s->most - bytes)) return true;
        const bool old = oldest.path && bytes <= s->most && oldest.used_ns < s->begun_ns;
        if (old) remove_with_note(oldest.path);
        free(oldest.path);
        if (!old) return false;
    }
}

static int write_group(const char *path, const struct packed_group *g, const uint8_t *bytes, struct err *why)
{
    uint64_t hashes[PACKED_TENSORS];
    struct packed_out *o = NULL;
    int code = packed_out_open(&o, path, g, why);
    for (uint32_t i = 0; i < g->n && !code; i++) {
        const uint64_t n = packed_tensor_bytes(&g->tensors[i], g->as);
        hashes[i] = g->tensors[i].hash;
        code = packed_out_add(o, bytes, n, why);
        bytes += n;
    }
    return packed_out_close(&o, hashes, false, code, why);
}

void store_keep(struct packed_store *s, const struct packed_group *g, const uint8_t *bytes, struct packed_file *out)
{
    uint64_t all = 0;
    struct err why;
    char size[24];
    *out = (struct packed_file){.fd = -1};
    char *path = s->failed ? NULL : cache_path(s, g);
    if (!path) return;
    for (uint32_t i = 0; i < g->n; i++) all += packed_tensor_bytes(&g->tensors[i], g->as);
    mkdir(s->cache, 0700); /* if it cannot be, writing into it will tell */
    const int code = make_room(s, all) ? write_group(path, g, bytes, &why)
                                       : fail(&why, E_FILE, "%s may have %s, and what this run uses fills it", s->cache,
                                              show_bytes(size, s->most));
    if (!code && packed_open(out, path, g, &why) == PACKED_FITS) out->verified = true; /* it was hashed as it was written */
    if (code) log_warn("%s; layers that are not kept are packed anew in the next run", why.text);
    s->failed = code != 0;
    free(path);
}
