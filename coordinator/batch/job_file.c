/* coordinator/batch/job_file.c — see job_file.h. */
#include "coordinator/batch/job_file.h"

#include "base/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct line_place {
    uint64_t from; /* in the file */
    uint64_t hash; /* of its bytes with the line end; of one that is too long, of the first JOB_LINE_MOST */
};

struct job_file {
    char *path;
    FILE *file;
    struct line_place *line; /* [lines + 1]; the last is the end of the file */
    size_t lines, room;
    uint64_t bytes;
    struct hash128 hash;
    char *text; /* [text_room], the line read last */
    size_t text_room;
};

static int make_room(struct job_file *f, size_t n, struct err *why)
{
    if (n <= f->text_room) return 0;
    size_t room = f->text_room ? f->text_room : 1 << 16;
    while (room < n) room *= 2;
    char *grown = realloc(f->text, room);
    if (!grown) return fail(why, E_MEMORY, "no memory for a line of %zu bytes in %s", n, f->path);
    f->text = grown;
    f->text_room = room;
    return 0;
}

/* ---- the first reading ---- */

/* The bytes as they are, from the beginning; the stream is at the beginning again afterwards. */
static int hash_all(struct job_file *f, struct hash128 *out, struct err *why)
{
    char bytes[1 << 16];
    struct hash_stream *all = hash_stream_open();
    size_t n;
    if (!all) return fail(why, E_MEMORY, "no memory to read %s", f->path);
    rewind(f->file);
    while (!interrupt_seen() && (n = fread(bytes, 1, sizeof bytes, f->file)) > 0) hash_stream_add(all, bytes, n);
    *out = hash_stream_close(&all);
    if (interrupt_seen()) return fail(why, E_INTERRUPTED, "%s", interrupt_reason());
    if (ferror(f->file)) return fail_errno(why, E_FILE, "%s cannot be read", f->path);
    rewind(f->file);
    return 0;
}

/* The next line into f->text; *kept is how much of its *length bytes, 0 at the end of the file. */
static int next_line(struct job_file *f, uint64_t *length, size_t *kept, struct err *why)
{
    int c = 0;
    *length = *kept = 0;
    while (c != '\n' && (c = getc_unlocked(f->file)) != EOF) {
        if (*kept == f->text_room && *kept < JOB_LINE_MOST) TRY(make_room(f, *kept + 1, why));
        if (*kept < JOB_LINE_MOST) f->text[(*kept)++] = (char)c;
        ++*length;
    }
    if (ferror(f->file)) return fail_errno(why, E_FILE, "%s cannot be read", f->path);
    return 0;
}

static int note_line(struct job_file *f, uint64_t from, uint64_t hash, struct err *why)
{
    if (f->lines == f->room) {
        const size_t room = f->room ? f->room + f->room / 2 : 1024;
        struct line_place *grown = realloc(f->line, (room + 1) * sizeof *grown);
        if (!grown) return fail(why, E_MEMORY, "no memory for the places of %zu lines of %s", room, f->path);
        f->line = grown;
        f->room = room;
    }
    f->line[f->lines++] = (struct line_place){from, hash};
    f->line[f->lines] = (struct line_place){f->bytes, 0};
    return 0;
}

static int find_lines(struct job_file *f, struct err *why)
{
    for (;;) {
        if (interrupt_seen()) return fail(why, E_INTERRUPTED, "%s", interrupt_reason());
        uint64_t length;
        size_t kept;
        TRY(next_line(f, &length, &kept, why));
        if (!length) return 0;
        const uint64_t from = f->bytes;
        f->bytes += length;
        TRY(note_line(f, from, hash64(f->text, kept), why));
    }
}

/* A pipe cannot be read again. Nobody waits for the other end of one to find that out. */
static int open_file(struct job_file *f, struct err *why)
{
    struct stat st;
    const int fd = open(f->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode) && (f->file = fdopen(fd, "rb"))) return 0;
    const int code = fd < 0 ? fail_errno(why, E_FILE, "%s cannot be opened", f->path)
                            : fail(why, E_FILE, "%s is no file that can be read twice", f->path);
    if (fd >= 0) close(fd);
    return code;
}

int job_file_open(struct job_file **out, const char *path, struct err *why)
{
    struct job_file *f = *out = calloc(1, sizeof *f);
    int code = 0;
    if (!f || !(f->path = strdup(path)) || !(f->line = calloc(1, sizeof *f->line)))
        code = fail(why, E_MEMORY, "no memory to read %s", path);
    if (!code) code = open_file(f, why);
    if (!code) code = hash_all(f, &f->hash, why);
    if (!code) code = find_lines(f, why);
    if (code) job_file_close(out);
    return code;
}

void job_file_close(struct job_file **pf)
{
    struct job_file *f = *pf;
    *pf = NULL;
    if (!f) return;
    if (f->file) fclose(f->file);
    free(f->path);
    free(f->line);
    free(f->text);
    free(f);
}

size_t job_file_lines(const struct job_file *f)
{
    return f->lines;
}

struct hash128 job_file_hash(const struct job_file *f)
{
    return f->hash;
}

/* ---- the second ---- */

static int changed(const struct job_file *f, size_t line, struct err *why)
{
    return fail(why, E_FILE, "%s was changed while it was answered: line %zu is not what it was", f->path, line);
}

static bool is_blank(const char *text, size_t n)
{
    while (n && (text[n - 1] == ' ' || text[n - 1] == '\t' || text[n - 1] == '\r')) n--;
    return n == 0;
}

int job_file_line(struct job_file *f, size_t line, struct job_line *out, struct err *why)
{
    static const char mark[] = "\xef\xbb\xbf";
    const struct line_place *p = &f->line[line - 1];
    const uint64_t length = p[1].from - p->from;
    size_t n = length < JOB_LINE_MOST ? (size_t)length : JOB_LINE_MOST;
    TRY(make_room(f, n, why));
    if (fseeko(f->file, (off_t)p->from, SEEK_SET)) return fail_errno(why, E_FILE, "%s cannot be read", f->path);
    if (fread(f->text, 1, n, f->file) != n || hash64(f->text, n) != p->hash) return changed(f, line, why);
    *out = (struct job_line){.n = (size_t)length};
    if (length > JOB_LINE_MOST) return 0;
    const char *text = f->text;
    if (n && text[n - 1] == '\n') n--;
    if (n && text[n - 1] == '\r') n--;
    if (line == 1 && n >= 3 && !memcmp(text, mark, 3)) text += 3, n -= 3;
    *out = (struct job_line){text, n, is_blank(text, n)};
    return 0;
}

/* The path may be another file's by now, so it is opened anew. */
int job_file_check(const struct job_file *f, struct err *why)
{
    struct job_file now = {.path = f->path};
    struct hash128 hash;
    TRY(open_file(&now, why));
    const int code = hash_all(&now, &hash, why);
    fclose(now.file);
    if (code || hash128_same(hash, f->hash)) return code;
    return fail(why, E_FILE, "%s was changed while it was answered", f->path);
}
