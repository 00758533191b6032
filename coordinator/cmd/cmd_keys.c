/* coordinator/cmd/cmd_keys.c — gemmapipe keys: who this machine is, and which others it knows. Not under mpirun: files are all it is about. */
#include "base/arguments.h"
#include "coordinator/cmd/commands.h"
#include "transport/links/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char manual[] =
    "gemmapipe keys new                 makes this machine's key, once\n"
    "gemmapipe keys show                prints its public half, which others have to trust\n"
    "gemmapipe keys trust NAME KEY      from now on the machine with this public key may use workers here, and is used as a worker\n"
    "gemmapipe keys revoke NAME|KEY     no more\n"
    "gemmapipe keys list                whom this machine trusts\n"
    "\n"
    "Links between machines are encrypted, and nobody is served or used who was not trusted before. So each machine needs a key\n"
    "(new), each worker's machine has to trust the coordinator's, and the coordinator's those of the workers: under the host name or\n"
    "number that --connect has for them, or under any name, and then --connect NAME@tcp://HOST:PORT. \"self\" is always this machine.\n"
    "A worker that runs learns at once of keys that are trusted or revoked; a run that goes on is not cut off.\n"
    "\n"
    "A name may have several keys, so that one can be changed without a gap: all are served, the newest is called. The files are\n"
    "id.key, which nobody else may read, and trusted, which nobody else may write.\n"
    "\n";

struct words {
    const char *verb, *first, *second, *folder;
    bool help;
};

#define INTO struct words
static const struct argument table[] = {
    {"keys", "FOLDER", 0, TEXT(folder), "where the keys are (default: $XDG_CONFIG_HOME/gemmapipe or ~/.config/gemmapipe)"},
    {"help", NULL, 0, FLAG(help), "this text"},
    {"h", NULL, 0, FLAG(help), NULL},
    {NULL, NULL, 0, TEXT(verb), NULL},
    {NULL, NULL, 0, TEXT(first), NULL},
    {NULL, NULL, 0, TEXT(second), NULL},
};

static int show(const char *folder, struct err *why)
{
    struct keys *keys;
    char text[KEY_TEXT];
    TRY(keys_open(&keys, folder, why));
    puts(key_text(text, keys_public(keys)));
    keys_close(&keys);
    return 0;
}

static int list(const char *folder, struct err *why)
{
    struct key_list all;
    char text[KEY_TEXT];
    TRY(keys_trusted(&all, folder, why));
    for (int i = 0; i < all.n; i++) printf("%s %s\n", key_text(text, all.at[i].key), all.at[i].name);
    free(all.at);
    return 0;
}

static int make(const char *folder, struct err *why)
{
    TRY(keys_new(folder, why));
    return show(folder, why);
}

int command_keys(int argc, char **argv, struct err *why)
{
    const struct arguments of = ARGUMENTS("gemmapipe keys", table);
    struct words w = {0};
    char folder[PATH_MAX];
    int revoked;
    TRY(arguments_read(&of, &w, argc, argv, why));
    if (w.help) {
        fputs(manual, stdout);
        arguments_help(&of, stdout);
        return 0;
    }
    TRY(keys_folder(folder, w.folder, why));
    const int words = !!w.verb + !!w.first + !!w.second;
    if (words == 1 && !strcmp(w.verb, "new")) return make(folder, why);
    if (words == 1 && !strcmp(w.verb, "show")) return show(folder, why);
    if (words == 1 && !strcmp(w.verb, "list")) return list(folder, why);
    if (words == 3 && !strcmp(w.verb, "trust")) return keys_trust(folder, w.first, w.second, why);
    if (words == 2 && !strcmp(w.verb, "revoke")) return keys_revoke(folder, w.first, &revoked, why);
    return fail(why, E_USAGE, "keys wants one of: new, show, list, trust NAME KEY, revoke NAME (gemmapipe keys --help says more)");
}
