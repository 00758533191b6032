/* base/whole_file.c — see whole_file.h.
 *
 * Written bytes are sent on to the disk every few megabytes, so that the wait for the disk at the end is short. The
 * order at the end is what makes it safe: all bytes on the disk, then the name. A name can be given to a nameless file
 * only where none is, so it becomes PATH.partial before it takes the place of another. */
#define _GNU_SOURCE
#include "base/whole_file.h"

#include "base/disk.h"
#include "base/inputs.h"
#include "base/size_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SEND_ON (16u << 20)

struct whole_file {
    char *path, *partial;
    FILE *stream;
    int fd;                 /* -1: none */
    int failed;             /* errno of the first write that did */
    bool direct;            /* a device, or standard output: no other name, nothing to remove */
    bool nameless;          /* nothing to remove yet */
    bool may_be_lost;
    uint64_t written, sent; /* bytes of the file; of them on the way to the disk */
};

/* ---- open ---- */

static int append(struct whole_file *f, const void *bytes, size_t n)
{
    if (f->failed) {
        errno = f->failed;
        return -1;
    }
    if (disk_append(f->fd, bytes, n)) {
        f->failed = errno;
        return -1;
    }
    f->written += n;
    if (f->direct || f->written - f->sent < SEND_ON) return 0;
    sync_file_range(f->fd, (off_t)f->sent, (off_t)(f->written - f->sent), SYNC_FILE_RANGE_WRITE); /* only a hint */
    f->sent = f->written;
    return 0;
}

static ssize_t append_from_stream(void *user, const char *bytes, size_t n)
{
    return append(user, bytes, n) ? 0 : (ssize_t)n; /* 0 is how a stream is told of a failure */
}

static int look_at_target(struct whole_file *f, struct err *why)
{
    struct stat st;
    const bool there = !stat(f->path, &st);
    if (there && S_ISDIR(st.st_mode)) return fail(why, E_FILE, "cannot write %s: it is a folder", f->path);
    const char *input = there && S_ISREG(st.st_mode) ? inputs_name(&st) : NULL;
    if (input) return fail(why, E_USAGE, "%s and %s are the same file; give the result another name", input, f->path);
    f->direct = !strncmp(f->path, "/dev/", 5) || (there && !S_ISREG(st.st_mode));
    return 0;
}

static int open_standard_output(struct whole_file *f, struct err *why)
{
    f->direct = true;
    f->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    return f->fd < 0 ? fail_errno(why, E_FILE, "cannot write %s", f->path) : 0;
}

static int open_descriptor(struct whole_file *f, struct err *why)
{
    const struct disk *d = disk_now();
    if (!f->direct) {
        char *folder = disk_folder_of(f->path);
        if (!folder) return fail(why, E_MEMORY, "no memory to write %s", f->path);
        f->fd = d->create_nameless(d->user, folder);
        f->nameless = f->fd >= 0;
        free(folder);
    }
    if (f->fd < 0) f->fd = d->create(d->user, f->direct ? f->path : f->partial);
    return f->fd < 0 ? fail_errno(why, E_FILE, "cannot write %s", f->path) : 0;
}

int whole_file_open(struct whole_file **out, const char *path, struct err *why)
{
    const cookie_io_functions_t calls = {.write = append_from_stream};
    const size_t size = strlen(path) + sizeof ".partial";
    const bool standard = !strcmp(path, "-");
    struct whole_file *f = *out = calloc(1, sizeof *f);
    if (!f) return fail(why, E_MEMORY, "no memory to write %s", path);
    f->fd = -1;
    f->path = strdup(standard ? "standard output" : path);
    f->partial = malloc(size);
    f->stream = fopencookie(f, "w", calls);
    int code = 0;
    if (f->path && f->partial && f->stream) snprintf(f->partial, size, "%s.partial", path);
    else code = fail(why, E_MEMORY, "no memory to write %s", path);
    if (!code && standard) code = open_standard_output(f, why);
    if (!code && !standard) code = look_at_target(f, why);
    if (!code && !standard) code = open_descriptor(f, why);
    return code ? whole_file_close(out, code, why) : 0;
}

/* ---- write ---- */

FILE *whole_file_stream(struct whole_file *f)
{
    return f->stream;
}

static int say_failed(const struct whole_file *f, struct err *why)
{
    errno = f->failed ? f->failed : errno;
    return fail_errno(why, E_FILE, "cannot write %s", f->path);
}

int whole_file_write(struct whole_file *f, const void *bytes, size_t n, struct err *why)
{
    if (fflush(f->stream) || append(f, bytes, n)) return say_failed(f, why);
    return 0;
}

/* Where room cannot be taken ahead, the first write that fails will tell. */
int whole_file_reserve(struct whole_file *f, uint64_t bytes, struct err *why)
{
    const struct disk *d = disk_now();
    struct statvfs v;
    char want[24], left[24];
    if (f->direct || !d->reserve(d->user, f->fd, bytes)) return 0;
    if (errno != ENOSPC && errno != EDQUOT && errno != EFBIG) return 0;
    if (errno != ENOSPC || fstatvfs(f->fd, &v)) return fail_errno(why, E_FILE, "cannot write %s", f->path);
    return fail(why, E_FILE, "cannot write %s: it takes %s and the disk has %s left", f->path, show_bytes(want, bytes),
                show_bytes(left, (uint64_t)v.f_bavail * v.f_frsize));
}

void whole_file_may_be_lost(struct whole_file *f)
{
    f->may_be_lost = true;
}

/* ---- close ---- */

static int close_descriptor(struct whole_file *f)
{
    const struct disk *d = disk_now();
    const int fd = f->fd;
    f->fd = -1;
    return fd < 0 ? 0 : d->close(d->user, fd);
}

static int name_partial(struct whole_file *f, struct err *why)
{
    const struct disk *d = disk_now();
    if (!f->nameless) return 0;
    d->remove(d->user, f->partial); /* of a process that was killed; usually there is none */
    if (d->name(d->user, f->fd, f->partial)) return fail_errno(why, E_FILE, "cannot name %s", f->partial);
    f->nameless = false;
    return 0;
}

/* The file is whole and has its name. That the name too outlives a loss of power is asked for, but some file systems
 * cannot promise it, and the file is no worse for that. */
static void sync_name(const struct whole_file *f)
{
    const struct disk *d = disk_now();
    char *folder = disk_folder_of(f->path);
    if (folder) d->sync_folder(d->user, folder);
    free(folder);
}

static int keep(struct whole_file *f, struct err *why)
{
    const struct disk *d = disk_now();
    if (fflush(f->stream) || f->failed) return say_failed(f, why);
    if (f->direct) return close_descriptor(f) ? say_failed(f, why) : 0;
    TRY(look_at_target(f, why)); /* it may have been read since */
    if (!f->may_be_lost && d->sync(d->user, f->fd)) return say_failed(f, why);
    TRY(name_partial(f, why));
    if (close_descriptor(f)) return say_failed(f, why);
    if (d->rename(d->user, f->partial, f->path)) return fail_errno(why, E_FILE, "cannot name %s", f->path);
    if (!f->may_be_lost) sync_name(f);
    return 0;
}

int whole_file_close(struct whole_file **pf, int code, struct err *why)
{
    struct whole_file *f = *pf;
    *pf = NULL;
    if (!f) return code;
    const struct disk *d = disk_now();
    const bool opened = f->fd >= 0;
    if (!code) code = keep(f, why);
    if (code && !f->failed) f->failed = ECANCELED; /* what is still in the stream's buffer goes nowhere */
    close_descriptor(f);
    if (code && opened && !f->direct && !f->nameless) d->remove(d->user, f->partial);
    if (f->stream) fclose(f->stream);
    free(f->partial);
    free(f->path);
    free(f);
    return code;
}
