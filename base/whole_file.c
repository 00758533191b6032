/* base/whole_file.c — see output_file.h. */
#include "base/whole_file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int output_file_open(struct output_file *f, const char *name, struct err *why)
{
    size_t n = strlen(name) + 16;
    *f = (struct output_file){.name = name, .direct = !strncmp(name, "/dev/", 5), .temporary = malloc(n)};
    if (!f->temporary) return fail(why, E_MEMORY, "no memory for a file name");
    if (f->direct) snprintf(f->temporary, n, "%s", name);
    else snprintf(f->temporary, n, "%s.%ld", name, (long)getpid());
    f->to = fopen(f->temporary, "wb");
    if (f->to) return 0;
    int code = fail_errno(why, E_FILE, "cannot write %s", f->temporary);
    free(f->temporary);
    f->temporary = 0;
    return code;
}

int output_file_close(struct output_file *f, int code, struct err *why)
{
    if (!f->to) return code;
    if (fclose(f->to) && !code) code = fail_errno(why, E_FILE, "cannot write %s", f->temporary);
    if (!code && !f->direct && rename(f->temporary, f->name)) code = fail_errno(why, E_FILE, "cannot name the file %s", f->name);
    if (code && !f->direct) unlink(f->temporary);
    free(f->temporary);
    *f = (struct output_file){0};
    return code;
}
