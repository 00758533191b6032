/* base/read_to_end.c — see read_to_end.h. */
#include "base/read_to_end.h"

#include "base/inputs.h"
#include "base/size_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 65536

static int read_stream(FILE *f, const char *name, size_t most, char **out, size_t *n, struct err *why)
{
    char size[24];
    for (size_t room = FIRST_ROOM;; room *= 2) {
        if (room > most) room = most + 1; /* the one byte more shows that there are too many */
        char *more = realloc(*out, room + 1);
        if (!more) return fail(why, E_MEMORY, "no memory for %zu bytes of %s", room, name);
        *out = more;
        *n += fread(*out + *n, 1, room - *n, f);
        (*out)[*n] = 0;
        if (ferror(f)) return fail_errno(why, E_FILE, "cannot read %s", name);
        if (*n > most) return fail(why, E_FILE, "%s is larger than %s", name, show_bytes(size, most));
        if (*n < room) return 0;
    }
}

int read_to_end(const char *path, size_t most, char **out, size_t *n, struct err *why)
{
    const int standard = !strcmp(path, "-");
    const char *name = standard ? "stdin" : path;
    FILE *f = standard ? stdin : fopen(path, "rb");
    *out = NULL;
    *n = 0;
    if (!f) return fail_errno(why, E_FILE, "cannot open %s", name);
    inputs_add(standard ? "/dev/stdin" : path);
    const int code = read_stream(f, name, most, out, n, why);
    if (!standard) fclose(f);
    if (code) {
        free(*out);
        *out = NULL;
    }
    return code;
}
