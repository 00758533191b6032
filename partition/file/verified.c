/* partition/file/verified.c — see verified.h. */
#include "partition/file/verified.h"

#include "base/log.h"
#include "base/whole_file.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define BOOT_ID_LENGTH 36
#define NOTE_ROOM 200

static int read_beginning(const char *path, char *out, size_t n)
{
    struct file_state state;
    int fd;
    TRY(file_open(&fd, path, &state, NULL));
    const int code = file_read(fd, path, 0, out, n, NULL);
    close(fd);
    return code;
}

/* False where the system has no boot id: then nothing is noted. */
static bool make_note(char note[NOTE_ROOM], const struct file_state *s, uint64_t as)
{
    char boot[BOOT_ID_LENGTH + 1] = "";
    if (read_beginning(BOOT_ID, boot, BOOT_ID_LENGTH)) return false;
    snprintf(note, NOTE_ROOM, "verified since boot %s: %" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64 " %016" PRIx64 "\n", boot, s->device,
             s->inode, s->bytes, s->changed_ns, as);
    return true;
}

static char *note_path(const char *path)
{
    char *name = malloc(strlen(path) + sizeof VERIFIED);
    if (name) sprintf(name, "%s" VERIFIED, path);
    return name;
}

bool verified_before(const char *path, const struct file_state *state, uint64_t as)
{
    char want[NOTE_ROOM], have[NOTE_ROOM];
    char *name = note_path(path);
    const bool found = name && make_note(want, state, as) && !read_beginning(name, have, strlen(want)) && !memcmp(have, want, strlen(want));
    if (found) utimensat(AT_FDCWD, name, NULL, 0);
    free(name);
    return found;
}

void verified_note(const char *path, const struct file_state *state, uint64_t as)
{
    struct whole_file *f = NULL;
    struct err why;
    char note[NOTE_ROOM];
    char *name = note_path(path);
    if (name && file_settled(state) && make_note(note, state, as)) {
        int code = whole_file_open(&f, name, &why);
        if (!code) {
            whole_file_may_be_lost(f);
            code = whole_file_close(&f, whole_file_write(f, note, strlen(note), &why), &why);
        }
        if (code) log_debug("%s; it is hashed again in the next run", why.text);
    }
    free(name);
}
