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

#define LINES_A_PLACE 64 /* of each so many lines the first one's place is kept; the others follow it */

struct place {
    uint64_t from; /* in the file */
    uint32_t hash[LINES_A_PLACE]; /* of each line's bytes with the line end; of one that is too long, of the first JOB_LINE_MOST */
};

struct job_file {
    char *path;
    FILE *file;
    struct place *place; /* [room] */
    size_t lines, room;
    size_t next;        /* line number, from 1, that the stream stands before */
    uint64_t next_from; /* its place */
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

static int note_line(struct job_file *f, uint64_t from, uint32_t hash, struct err *why)
{
    if (f->lines == f->room * LINES_A_PLACE) {
        const size_t room = f->room ? f->room + f->room / 2 : 16;
        struct place *grown = realloc(f->place, room * sizeof *grown);
        if (!grown) return fail(why, E_MEMORY, "no memory for the places of %zu lines of %s", room * LINES_A_PLACE, f->path);
        f->place = grown;
        f->room = room;
    }
    struct place *p = &f->place[f->lines / LINES_A_PLACE];
    if (f->lines % LINES_A_PLACE == 0) p->from = from;
    p->hash[f->lines++ % LINES_A_PLACE] = hash;
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
        TRY(note_line(f, from, (uint32_t)hash64(f->text, kept), why));
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
    if (!f || !(f->path = strdup(path)))
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
    free(f->place);
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

/* The stream before `line`: it is there already where lines are read in their order. */
static int go_to(struct job_file *f, size_t line, struct err *why)
{
    uint64_t length;
    size_t kept;
    if (f->next != line) {
        const size_t k = (line - 1) / LINES_A_PLACE;
        f->next = k * LINES_A_PLACE + 1;
        f->next_from = f->place[k].from;
        if (fseeko(f->file, (off_t)f->next_from, SEEK_SET)) return fail_errno(why, E_FILE, "%s cannot be read", f->path);
    }
    for (; f->next < line; f->next++, f->next_from += length) TRY(next_line(f, &length, &kept, why));
    return 0;
}

int job_file_line(struct job_file *f, size_t line, struct job_line *out, struct err *why)
{
    static const char mark[] = "\xef\xbb\xbf";
    uint64_t length;
    size_t n;
    TRY(go_to(f, line, why));
    TRY(next_line(f, &length, &n, why));
    f->next++;
    f->next_from += length;
    if ((uint32_t)hash64(f->text, n) != f->place[(line - 1) / LINES_A_PLACE].hash[(line - 1) % LINES_A_PLACE]) return changed(f, line, why);
    *out = (struct job_line){.n = (size_t)length};
    if (length > JOB_LINE_MOST) return 0;
    const char *text = f->text;
    if (n && text[n - 1] == '\n') n--;
    if (n && text[n - 1] == '\r') n--;
    if (line == 1 && n >= 3 && !memcmp(text, mark, 3)) text += 3, n -= 3;
    *out = (struct job_line){text, n, is_blank(text, n)};
    return 0;
}

uint64_t job_file_unread(const struct job_file *f)
{
    return f->bytes > f->next_from ? f->bytes - f->next_from : 0;
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
