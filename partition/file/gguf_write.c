/* partition/file/gguf_write.c — the mirror of gguf_parse.c, as small as it can be.
 *
 * Padding is written here and nowhere else: after the descriptions, and after every tensor, up to the next 32 bytes.
 *
 * Where the file system can (O_TMPFILE), the file has no name until it is complete, so that even a process killed in
 * the middle leaves nothing behind; elsewhere it grows as PATH.partial, removed by gguf_out_close. Room for all of it
 * is taken before the first byte: a full disk is told at once, not after an hour. Written bytes are sent on to the disk
 * every few megabytes, so the fsync at the end has little left to wait for. */
#define _GNU_SOURCE
#include "partition/file/gguf_write.h"

#include "base/checked.h"
#include "base/half.h"
#include "base/log.h"
#include "partition/format/blocks.h"
#include "partition/file/gguf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define ALIGNMENT 32
#define SEND_ON (16u << 20)

struct gguf_out {
    char *path, *partial;
    int fd;
    bool nameless; /* no name yet: nothing to remove */
    bool finished;
    uint64_t written, sent; /* bytes of the file; of them on the way to the disk */
    struct bytes keys, tensors;
    uint64_t n_keys, n_tensors;
    uint64_t *sizes; /* of the tensors, in order */
    size_t sizes_room;
    uint64_t offset;  /* of the next tensor put; at the end: all data */
    uint64_t current; /* tensor being written, and how much of it is */
    uint64_t done;
};

/* ---- bytes ---- */

void bytes_put(struct bytes *b, const void *from, size_t n)
{
    if (b->failed) return;
    if (n > b->room - b->n) {
        size_t room = (b->n + n) * 2 + 256;
        uint8_t *data = realloc(b->data, room);
        if (!data) {
            b->failed = true;
            return;
        }
        b->data = data;
        b->room = room;
    }
    if (n) memcpy(b->data + b->n, from, n);
    b->n += n;
}

void bytes_put_le(struct bytes *b, uint64_t value, unsigned bytes)
{
    uint8_t le[8];
    for (unsigned i = 0; i < bytes; i++) le[i] = (uint8_t)(value >> 8 * i);
    bytes_put(b, le, bytes);
}

void bytes_put_text(struct bytes *b, const char *text, size_t n)
{
    bytes_put_le(b, n, 8);
    bytes_put(b, text, n);
}

void bytes_free(struct bytes *b)
{
    free(b->data);
    *b = (struct bytes){0};
}

/* ---- open and close ---- */

/* What the name stands for now must be a file or nothing: a device or a folder would be replaced, or fail at the
 * end. */
static int check_target(const char *path, struct err *why)
{
    struct stat st;
    if (!stat(path, &st) && !S_ISREG(st.st_mode))
        return fail(why, E_FILE, "cannot write %s: it is %s, wanted the name of a file", path,
                    S_ISDIR(st.st_mode) ? "a folder" : "not a file");
    return 0;
}

/* In the folder of the path, without a name; -1 if that cannot be had here. */
static int open_nameless(const char *path)
{
    char *folder = strdup(path), link[40];
    if (!folder) return -1;
    char *slash = strrchr(folder, '/');
    if (slash) slash[slash == folder] = 0;
    int fd = open(slash ? folder : ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
    free(folder);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (fd < 0 || !access(link, F_OK)) return fd;
    close(fd); /* it could never be given a name */
    return -1;
}

static int open_file(struct gguf_out *o, struct err *why)
{
    TRY(check_target(o->path, why));
    o->fd = open_nameless(o->path);
    o->nameless = o->fd >= 0;
    if (o->nameless) return 0;
    o->fd = open(o->partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return o->fd < 0 ? fail_errno(why, E_FILE, "cannot write %s", o->partial) : 0;
}

int gguf_out_open(struct gguf_out **out, const char *path, struct err *why)
{
    *out = NULL;
    struct gguf_out *o = calloc(1, sizeof *o);
    if (!o) return fail(why, E_MEMORY, "no memory to write %s", path);
    o->fd = -1;
    size_t size = strlen(path) + sizeof ".partial";
    o->path = strdup(path);
    o->partial = malloc(size);
    int rc = 0;
    if (o->path && o->partial) snprintf(o->partial, size, "%s.partial", path);
    else rc = fail(why, E_MEMORY, "no memory to write %s", path);
    if (!rc) rc = open_file(o, why);
    if (rc) gguf_out_close(&o);
    *out = o;
    return rc;
}

void gguf_out_close(struct gguf_out **out)
{
    struct gguf_out *o = *out;
    *out = NULL;
    if (!o) return;
    if (o->fd >= 0) {
        close(o->fd);
        if (!o->finished && !o->nameless) unlink(o->partial);
    }
    bytes_free(&o->keys);
    bytes_free(&o->tensors);
    free(o->sizes);
    free(o->partial);
    free(o->path);
    free(o);
}

/* ---- putting ---- */

static void put_key(struct gguf_out *o, const char *key, uint32_t type)
{
    bytes_put_text(&o->keys, key, strlen(key));
    bytes_put_le(&o->keys, type, 4);
    o->n_keys++;
}

void gguf_put_u32(struct gguf_out *o, const char *key, uint32_t value)
{
    put_key(o, key, GGUF_U32);
    bytes_put_le(&o->keys, value, 4);
}

void gguf_put_f32(struct gguf_out *o, const char *key, float value)
{
    put_key(o, key, GGUF_F32);
    bytes_put_le(&o->keys, f32_bits(value), 4);
}

void gguf_put_bool(struct gguf_out *o, const char *key, bool value)
{
    put_key(o, key, GGUF_BOOL);
    bytes_put_le(&o->keys, value, 1);
}

void gguf_put_text(struct gguf_out *o, const char *key, const char *text)
{
    put_key(o, key, GGUF_STRING);
    bytes_put_text(&o->keys, text, strlen(text));
}

void gguf_put_array(struct gguf_out *o, const char *key, uint32_t elem_type, uint64_t count,
                    const struct bytes *elements)
{
    put_key(o, key, GGUF_ARRAY);
    bytes_put_le(&o->keys, elem_type, 4);
    bytes_put_le(&o->keys, count, 8);
    bytes_put(&o->keys, elements->data, elements->n);
    o->keys.failed |= elements->failed;
}

void gguf_put_raw(struct gguf_out *o, const char *key, uint32_t type, const void *value, size_t n)
{
    put_key(o, key, type);
    bytes_put(&o->keys, value, n);
}

uint32_t gguf_file_type(uint32_t matrix)
{
    switch (matrix) {
    case T_F32: return 0;
    case T_F16: return 1;
    case T_Q4_1: return 3;
    case T_Q8_0: return 7;
    case T_Q5_0: return 8;
    case T_Q5_1: return 9;
    case T_Q4_K: return 15;
    case T_Q5_K: return 17;
    case T_Q6_K: return 18;
    case T_BF16: return 32;
    default: return 2;
    }
}

static void remember_size(struct gguf_out *o, uint64_t bytes)
{
    if (o->n_tensors == o->sizes_room) {
        size_t room = o->sizes_room * 2 + 64;
        uint64_t *sizes = realloc(o->sizes, room * sizeof *sizes);
        if (!sizes) {
            o->tensors.failed = true;
            return;
        }
        o->sizes = sizes;
        o->sizes_room = room;
    }
    o->sizes[o->n_tensors] = bytes;
}

void gguf_put_tensor(struct gguf_out *o, const char *name, uint32_t type, uint32_t n_dims, const uint64_t *dims)
{
    uint64_t bytes = block_row_bytes(type, dims[0]);
    bytes_put_text(&o->tensors, name, strlen(name));
    bytes_put_le(&o->tensors, n_dims, 4);
    for (uint32_t d = 0; d < n_dims; d++) bytes_put_le(&o->tensors, dims[d], 8);
    for (uint32_t d = 1; d < n_dims; d++) bytes *= dims[d];
    bytes_put_le(&o->tensors, type, 4);
    bytes_put_le(&o->tensors, o->offset, 8);
    remember_size(o, bytes);
    o->n_tensors++;
    o->offset += round_up(bytes, ALIGNMENT);
}

/* ---- writing ---- */

static int write_all(struct gguf_out *o, const void *from, size_t n, struct err *why)
{
    const uint8_t *p = from;
    while (n) {
        ssize_t wrote = write(o->fd, p, n);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) return fail_errno(why, E_FILE, "cannot write %s", o->path);
        p += wrote;
        n -= (size_t)wrote;
        o->written += (uint64_t)wrote;
    }
    if (o->written - o->sent < SEND_ON) return 0;
    sync_file_range(o->fd, (off_t)o->sent, (off_t)(o->written - o->sent), SYNC_FILE_RANGE_WRITE); /* only a hint */
    o->sent = o->written;
    return 0;
}

/* Where room cannot be taken ahead, the first write that fails will tell. */
static int take_room(struct gguf_out *o, uint64_t bytes, struct err *why)
{
    if (!fallocate(o->fd, 0, 0, (off_t)bytes) || (errno != ENOSPC && errno != EDQUOT && errno != EFBIG)) return 0;
    struct statvfs v;
    char want[24], left[24];
    if (errno != ENOSPC || fstatvfs(o->fd, &v)) return fail_errno(why, E_FILE, "cannot write %s", o->path);
    return fail(why, E_FILE, "cannot write %s: it takes %s and the disk has %s left", o->path, show_bytes(want, bytes),
                show_bytes(left, (uint64_t)v.f_bavail * v.f_frsize));
}

static int write_padding(struct gguf_out *o, uint64_t after, struct err *why)
{
    static const uint8_t zeros[ALIGNMENT];
    return write_all(o, zeros, (size_t)(-after % ALIGNMENT), why);
}

int gguf_out_begin(struct gguf_out *o, struct err *why)
{
    struct bytes head = {0};
    bytes_put(&head, "GGUF", 4);
    bytes_put_le(&head, 3, 4);
    bytes_put_le(&head, o->n_tensors, 8);
    bytes_put_le(&head, o->n_keys, 8);
    int rc = 0;
    if (head.failed || o->keys.failed || o->tensors.failed)
        rc = fail(why, E_MEMORY, "no memory for the metadata of %s", o->path);
    uint64_t described = round_up(head.n + o->keys.n + o->tensors.n, ALIGNMENT);
    if (!rc) rc = take_room(o, described + o->offset, why);
    if (!rc) rc = write_all(o, head.data, head.n, why);
    if (!rc) rc = write_all(o, o->keys.data, o->keys.n, why);
    if (!rc) rc = write_all(o, o->tensors.data, o->tensors.n, why);
    if (!rc) rc = write_padding(o, head.n + o->keys.n + o->tensors.n, why);
    bytes_free(&head);
    return rc;
}

uint64_t gguf_out_total(const struct gguf_out *o)
{
    return o->offset;
}

int gguf_out_data(struct gguf_out *o, const void *from, size_t n, struct err *why)
{
    if (o->current >= o->n_tensors || n > o->sizes[o->current] - o->done)
        return fail(why, E_INTERNAL, "more data than %s has room for", o->path);
    TRY(write_all(o, from, n, why));
    o->done += n;
    if (o->done < o->sizes[o->current]) return 0;
    TRY(write_padding(o, o->done, why));
    o->current++;
    o->done = 0;
    return 0;
}

/* A name can be given only where none is, so the file gets the intermediate one before it takes the place of
 * another. */
static int give_name(struct gguf_out *o, struct err *why)
{
    char from[40];
    snprintf(from, sizeof from, "/proc/self/fd/%d", o->fd);
    if (o->nameless) {
        unlink(o->partial);
        if (linkat(AT_FDCWD, from, AT_FDCWD, o->partial, AT_SYMLINK_FOLLOW))
            return fail_errno(why, E_FILE, "cannot name %s", o->partial);
        o->nameless = false;
    }
    if (rename(o->partial, o->path)) return fail_errno(why, E_FILE, "cannot name %s", o->path);
    return 0;
}

int gguf_out_finish(struct gguf_out *o, struct err *why)
{
    if (o->current != o->n_tensors)
        return fail(why, E_INTERNAL, "%s has data for %llu of %llu tensors", o->path, (unsigned long long)o->current,
                    (unsigned long long)o->n_tensors);
    if (fsync(o->fd)) return fail_errno(why, E_FILE, "cannot write %s", o->path);
    TRY(give_name(o, why));
    o->finished = true;
    return 0;
}
