/* partition/file/gguf_hashes.c — see gguf_hashes.h. The kept file is text:
 *
 *   gemmapipe tensor hashes 1, 0123456789abcdef0123456789abcdef     the state of the model's files
 *   12c0 48000 89abcdef01234567                                     place in the files, bytes, hash: all hexadecimal */
#include "partition/file/gguf_hashes.h"

#include "base/log.h"
#include "base/whole_file.h"
#include "partition/file/gguf_parse.h"
#include "partition/format/blocks.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEPT_MOST (16u << 20)
#define HEAD "gemmapipe tensor hashes 1, "

struct known {
    uint64_t place, bytes; /* place: in all files, as if they were one */
    uint64_t hash;
};

struct gguf_hashes {
    const struct gguf *file;
    char state[33]; /* of the model's files */
    char *path;     /* where they are kept; NULL: nowhere */
    struct known *known; /* [n] */
    size_t n, room;
    size_t last; /* found last: the next is asked for next */
    bool news;
};

/* ---- what is known ---- */

static struct known place_of(const struct gguf *g, const struct tensor *t)
{
    struct known k = {.bytes = t->rows * block_row_bytes(t->type, t->cols)};
    for (int i = 0; i < g->n_files; k.place += g->files[i++].bytes) {
        const uint64_t offset = (uint64_t)((uintptr_t)t->data - (uintptr_t)g->files[i].map);
        if (offset >= g->files[i].bytes) continue;
        k.place += offset;
        break;
    }
    return k;
}

static struct known *find(struct gguf_hashes *h, struct known k)
{
    for (size_t i = 0; i < h->n; i++) {
        const size_t at = (h->last + i) % h->n;
        if (h->known[at].place != k.place || h->known[at].bytes != k.bytes) continue;
        h->last = at;
        return &h->known[at];
    }
    return NULL;
}

static int add(struct gguf_hashes *h, struct known k, struct err *why)
{
    if (h->n == h->room) {
        const size_t room = h->room ? 2 * h->room : 256;
        struct known *more = realloc(h->known, room * sizeof *more);
        if (!more) return fail(why, E_MEMORY, "no memory for the hashes of %zu tensors", room);
        h->known = more;
        h->room = room;
    }
    h->known[h->n++] = k;
    return 0;
}

uint64_t gguf_hash(struct gguf_hashes *h, const struct tensor *t)
{
    const struct known *k = find(h, place_of(h->file, t));
    return k ? k->hash : 0;
}

int gguf_hash_learn(struct gguf_hashes *h, const struct tensor *t, uint64_t hash, struct err *why)
{
    struct known k = place_of(h->file, t);
    if (find(h, k)) return 0;
    k.hash = hash;
    h->news = true;
    return add(h, k, why);
}

/* ---- what is kept ---- */

static bool is_settled(const struct gguf *g)
{
    for (int i = 0; i < g->n_files; i++)
        if (!file_settled(&g->files[i].state)) return false;
    return true;
}

static int find_place(struct gguf_hashes *h, struct err *why)
{
    const struct gguf *g = h->file;
    char name[48];
    struct file_state *states = calloc((size_t)g->n_files, sizeof *states);
    if (!states) return fail(why, E_MEMORY, "no memory for the state of %d files", g->n_files);
    for (int i = 0; i < g->n_files; i++) states[i] = g->files[i].state;
    show_hash128(h->state, hash128(states, (size_t)g->n_files * sizeof *states));
    snprintf(name, sizeof name, "%" PRIx64 "-%" PRIx64 ".hashes", states[0].device, states[0].inode);
    free(states);
    char *folder = is_settled(g) ? cache_folder() : NULL;
    h->path = folder ? path_in(folder, name) : NULL;
    free(folder);
    return 0;
}

static void take_lines(struct gguf_hashes *h, char *text)
{
    const size_t n = strlen(HEAD);
    if (strncmp(text, HEAD, n) || strncmp(text + n, h->state, 32)) return; /* of the file as it was */
    for (text += n + 32;;) {
        struct known k;
        k.place = strtoull(text, &text, 16);
        k.bytes = strtoull(text, &text, 16);
        k.hash = strtoull(text, &text, 16);
        if (!k.bytes || add(h, k, NULL)) return; /* at the end all are 0 */
    }
}

/* Not as an input: what is kept anew takes its place. */
static void read_kept(struct gguf_hashes *h)
{
    struct file_state state;
    struct err none;
    int fd;
    if (!h->path || file_open(&fd, h->path, &state, &none)) return;
    char *text = state.bytes <= KEPT_MOST ? calloc(state.bytes + 1, 1) : NULL;
    if (text && !file_read(fd, h->path, 0, text, state.bytes, &none)) take_lines(h, text);
    free(text);
    close(fd);
}

void gguf_hashes_keep(struct gguf_hashes *h)
{
    struct whole_file *f = NULL;
    struct err why;
    if (!h->news || !h->path || gguf_unchanged(h->file, NULL)) return;
    h->news = false;
    int code = whole_file_open(&f, h->path, &why);
    if (!code) {
        fprintf(whole_file_stream(f), HEAD "%s\n", h->state);
        for (const struct known *k = h->known; k < h->known + h->n; k++)
            fprintf(whole_file_stream(f), "%" PRIx64 " %" PRIx64 " %016" PRIx64 "\n", k->place, k->bytes, k->hash);
        code = whole_file_close(&f, 0, &why);
    }
    if (code) log_debug("%s; the hashes of the tensors are found out anew in the next run", why.text);
}

/* ---- open and close ---- */

int gguf_hashes_open(struct gguf_hashes **out, const struct gguf *g, struct err *why)
{
    struct gguf_hashes *h = *out = calloc(1, sizeof *h);
    if (!h) return fail(why, E_MEMORY, "no memory for the hashes of %s", gguf_path(g, 0));
    h->file = g;
    int code = find_place(h, why);
    if (code) gguf_hashes_close(out);
    else read_kept(h);
    return code;
}

void gguf_hashes_close(struct gguf_hashes **ph)
{
    struct gguf_hashes *h = *ph;
    *ph = NULL;
    if (!h) return;
    free(h->known);
    free(h->path);
    free(h);
}
