/* transport/links/keys.c — see keys.h. */
#define _GNU_SOURCE
#include "transport/links/keys.h"

#include "base/log.h"
#include "transport/links/zap.h"
#include "transport/wire/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MOST (1u << 20)
#define SECRET_PAGE 4096

struct pin {
    char address[WIRE_TEXT];
    uint8_t key[KEY_BYTES];
};
struct admitted {
    int node;
    uint8_t key[KEY_BYTES];
};

struct keys {
    uint8_t *secret; /* a page */
    uint8_t public[KEY_BYTES];
    char folder[PATH_MAX];
    pthread_mutex_t lock; /* for all that follows */
    struct key_list trusted;
    struct stat read; /* the list's file when it was read */
    struct pin *pins; /* [n_pins] */
    struct admitted *run; /* [n_run] */
    int n_pins, n_run;
};

/* ---- text ---- */

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool key_read_n(uint8_t out[KEY_BYTES], const char *text, size_t n)
{
    if (n != 2 * KEY_BYTES) return false;
    for (int i = 0; i < KEY_BYTES; i++) {
        const int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

bool key_read(uint8_t out[KEY_BYTES], const char *text)
{
    return key_read_n(out, text, strlen(text));
}

char *key_text(char out[KEY_TEXT], const uint8_t key[KEY_BYTES])
{
    for (int i = 0; i < KEY_BYTES; i++) sprintf(out + 2 * i, "%02x", key[i]);
    return out;
}

static bool same_key(const uint8_t *a, const uint8_t *b)
{
    uint8_t differ = 0;
    for (int i = 0; i < KEY_BYTES; i++) differ |= a[i] ^ b[i];
    return !differ;
}

bool key_is_none(const uint8_t key[KEY_BYTES])
{
    static const uint8_t none[KEY_BYTES];
    return same_key(key, none);
}

/* The pairs printed in ZeroMQ's manual, which everybody has. */
static bool is_published(const uint8_t public[KEY_BYTES])
{
    static const char *const published[] = {"54fcba24e93249969316fb617c872bb0c1d1ff14800427c594cbfacf1bc2d652", "bb88471d65e2659b30c55a5321cebb5aab2b70a398645c26dca2b2fcb43fc518"};
    uint8_t one[KEY_BYTES];
    bool is = false;
    for (int i = 0; i < 2; i++) is |= key_read(one, published[i]) && same_key(one, public);
    return is;
}

static bool good_name(const char *name, size_t n)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:[]-";
    if (!n || n >= KEY_NAME || (n == 4 && !memcmp(name, "self", 4))) return false;
    for (size_t i = 0; i < n; i++)
        if (!memchr(allowed, name[i], sizeof allowed - 1)) return false;
    return true;
}

/* The next line that is not empty and no comment, without blanks at its ends. False: there is none. */
static bool next_line(const char **at, const char *end, const char **line, size_t *n, int *number)
{
    while (*at < end) {
        const char *from = *at, *to = memchr(from, '\n', (size_t)(end - from));
        if (!to) to = end;
        *at = to < end ? to + 1 : end;
        ++*number;
        while (from < to && (*from == ' ' || *from == '\t')) from++;
        while (to > from && (to[-1] == ' ' || to[-1] == '\t' || to[-1] == '\r')) to--;
        if (from == to || *from == '#') continue;
        *line = from;
        *n = (size_t)(to - from);
        return true;
    }
    return false;
}

static int parse_line(struct known_key *out, const char *line, size_t n, const char *from, int number, struct err *why)
{
    size_t key = 0, name;
    while (key < n && line[key] != ' ' && line[key] != '\t') key++;
    for (name = key; name < n && (line[name] == ' ' || line[name] == '\t'); name++) continue;
    *out = (struct known_key){{0}, ""};
    if (!key_read_n(out->key, line, key))
        return fail(why, E_FILE, "%s, line %d: a line is a key of %d hexadecimal digits and a name", from, number, 2 * KEY_BYTES);
    if (!good_name(line + name, n - name))
        return fail(why, E_FILE, "%s, line %d: behind the key wanted a name of at most %d letters, digits and . _ : -, found %zu bytes", from, number,
                    KEY_NAME - 1, n - name);
    memcpy(out->name, line + name, n - name);
    return is_published(out->key) ? fail(why, E_FILE, "%s, line %d: this key stands in ZeroMQ's manual, everybody has it", from, number) : 0;
}

int key_list_parse(struct key_list *out, const char *text, size_t n, const char *from, struct err *why)
{
    const char *at = text, *line;
    int number = 0, code = 0;
    size_t length;
    *out = (struct key_list){0};
    while (!code && next_line(&at, text + n, &line, &length, &number)) {
        struct known_key *more = realloc(out->at, ((size_t)out->n + 1) * sizeof *more);
        if (more) out->at = more;
        code = more ? parse_line(&more[out->n++], line, length, from, number, why) : fail(why, E_MEMORY, "no memory to read %s", from);
    }
    if (!code) return 0;
    free(out->at);
    *out = (struct key_list){0};
    return code;
}

int key_secret_parse(uint8_t out[KEY_BYTES], const char *text, size_t n, const char *from, struct err *why)
{
    const char *at = text, *line;
    int number = 0;
    size_t length;
    if (!next_line(&at, text + n, &line, &length, &number) || !key_read_n(out, line, length) ||
        next_line(&at, text + n, &line, &length, &number))
        return fail(why, E_FILE, "%s holds no secret key: one line of %d hexadecimal digits", from, 2 * KEY_BYTES);
    return 0;
}

/* ---- files ---- */

int keys_folder(char out[PATH_MAX], const char *named, struct err *why)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    int n;
    if (named) n = snprintf(out, PATH_MAX, "%s", named);
    else if (config && *config == '/') n = snprintf(out, PATH_MAX, "%s/gemmapipe", config);
    else if (home && *home == '/') n = snprintf(out, PATH_MAX, "%s/.config/gemmapipe", home);
    else return fail(why, E_USAGE, "there is no home directory for keys; name a folder");
    return n < 1 || n > PATH_MAX - 32 ? fail(why, E_USAGE, "the name of the folder for keys has %d bytes", n) : 0;
}

static int path_in(char out[PATH_MAX], const char *folder, const char *name, struct err *why)
{
    return (size_t)snprintf(out, PATH_MAX, "%s/%s", folder, name) < PATH_MAX ? 0 : fail(why, E_USAGE, "the name of the folder for keys is too long");
}

/* `others`: the bits of its mode that it must not have. *there false, and no error, if there is no such file. */
static int read_guarded(const char *path, mode_t others, char **text, size_t *n, struct stat *st, bool *there, struct err *why)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    *there = fd >= 0;
    if (fd < 0) return errno == ENOENT ? 0 : fail_errno(why, E_FILE, "cannot open %s", path);
    int code = fstat(fd, st) ? fail_errno(why, E_FILE, "cannot look at %s", path) : 0;
    /* A secret that root hands to one without rights, as Kubernetes mounts them, can be for that one's group alone. */
    if (!code && st->st_uid == 0 && geteuid() != 0) others &= ~(mode_t)040;
    if (!code && !S_ISREG(st->st_mode)) code = fail(why, E_FILE, "%s is no file", path);
    if (!code && st->st_uid != geteuid() && st->st_uid != 0)
        code = fail(why, E_FILE, "%s belongs to user %u, and this is user %u", path, (unsigned)st->st_uid, (unsigned)geteuid());
    if (!code && st->st_mode & others)
        code = fail(why, E_FILE, "%s has mode %04o, so others may %s it: chmod %s %s", path, (unsigned)st->st_mode & 07777,
                    others & 044 ? "read" : "change", others & 044 ? "600" : "go-w", path);
    char *held = code ? NULL : malloc(FILE_MOST);
    ssize_t got = 0, k = 0;
    while (held && got < (ssize_t)FILE_MOST && (k = read(fd, held + got, FILE_MOST - (size_t)got)) > 0) got += k;
    close(fd);
    if (!code && !held) code = fail(why, E_MEMORY, "no memory to read %s", path);
    if (!code && k < 0) code = fail_errno(why, E_FILE, "cannot read %s", path);
    if (!code && got == (ssize_t)FILE_MOST) code = fail(why, E_FILE, "%s has %u bytes or more: it is no list of keys", path, FILE_MOST);
    if (code) return free(held), code;
    *text = held;
    *n = (size_t)got;
    return 0;
}

static int read_list(struct key_list *out, const char *folder, struct stat *st, struct err *why)
{
    char path[PATH_MAX], *text;
    size_t n;
    bool there;
    *out = (struct key_list){0};
    *st = (struct stat){0};
    TRY(path_in(path, folder, "trusted", why));
    TRY(read_guarded(path, 022, &text, &n, st, &there, why));
    if (!there) return 0;
    const int code = key_list_parse(out, text, n, path, why);
    free(text);
    return code;
}

int keys_trusted(struct key_list *out, const char *folder, struct err *why)
{
    struct stat st;
    return read_list(out, folder, &st, why);
}

/* With those above it, as `mkdir -p`. */
static int make_folder(const char *folder, struct err *why)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", folder);
    for (char *slash = path + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = 0;
        if (mkdir(path, 0755) && errno != EEXIST) return fail_errno(why, E_FILE, "cannot make the folder %s", path);
    }
    return mkdir(path, 0700) && errno != EEXIST ? fail_errno(why, E_FILE, "cannot make the folder %s", path) : 0;
}

/* `flags`: what open wants besides. Bytes are on the disk afterwards. A list is no secret, and may be written by root for a service. */
static int write_guarded(const char *path, int flags, mode_t mode, const char *text, struct err *why)
{
    const size_t n = strlen(text);
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, mode);
    if (fd < 0) return fail_errno(why, E_FILE, "cannot write %s", path);
    const bool bad = write(fd, text, n) != (ssize_t)n || fsync(fd);
    const int code = bad ? fail_errno(why, E_FILE, "cannot write %s", path) : 0;
    close(fd);
    return code;
}

int keys_new(const char *folder, struct err *why)
{
    char path[PATH_MAX], hex[KEY_TEXT], text[256];
    uint8_t secret[KEY_BYTES], public[KEY_BYTES];
    TRY(path_in(path, folder, "id.key", why));
    TRY(make_folder(folder, why));
    if (!access(path, F_OK)) return fail(why, E_FILE, "%s is there already: whoever knows this machine knows it by that key; remove it first", path);
    TRY(key_pair(public, secret, why));
    snprintf(text, sizeof text, "# The secret key of this machine. Whoever has it is taken for it: show it to nobody.\n%s\n", key_text(hex, secret));
    const int code = write_guarded(path, O_EXCL, 0600, text, why);
    explicit_bzero(secret, sizeof secret);
    explicit_bzero(hex, sizeof hex);
    explicit_bzero(text, sizeof text);
    return code;
}

int keys_trust(const char *folder, const char *name, const char *key, struct err *why)
{
    char path[PATH_MAX], line[KEY_TEXT + KEY_NAME + 2];
    struct known_key one;
    struct key_list list;
    bool known = false;
    if (!key_read(one.key, key)) return fail(why, E_USAGE, "\"%.80s\" is no key: wanted %d hexadecimal digits, as gemmapipe keys show prints them", key, 2 * KEY_BYTES);
    if (!good_name(name, strlen(name)))
        return fail(why, E_USAGE, "\"%.80s\" is no name for a key: wanted letters, digits and . _ : -, at most %d, and not \"self\"", name, KEY_NAME - 1);
    TRY(make_folder(folder, why));
    TRY(path_in(path, folder, "trusted", why));
    TRY(keys_trusted(&list, folder, why));
    for (int i = 0; i < list.n; i++) known |= same_key(list.at[i].key, one.key) && !strcmp(list.at[i].name, name);
    free(list.at);
    if (known) return 0;
    /* What an editor left without a last newline must not swallow the key. */
    snprintf(line, sizeof line, "\n%s %s\n", key, name);
    if (parse_line(&one, line + 1, strlen(line) - 2, "this", 1, why)) return E_USAGE;
    return write_guarded(path, O_APPEND, 0644, access(path, F_OK) ? line + 1 : line, why);
}

int keys_revoke(const char *folder, const char *name_or_key, int *revoked, struct err *why)
{
    char path[PATH_MAX], fresh[PATH_MAX], hex[KEY_TEXT];
    uint8_t key[KEY_BYTES] = {0};
    const bool by_key = key_read(key, name_or_key);
    struct key_list list;
    *revoked = 0;
    TRY(path_in(path, folder, "trusted", why));
    TRY(path_in(fresh, folder, "trusted.new", why));
    TRY(keys_trusted(&list, folder, why));
    char *text = calloc((size_t)list.n + 1, KEY_TEXT + KEY_NAME + 1), *at = text;
    for (int i = 0; text && i < list.n; i++) {
        const struct known_key *one = &list.at[i];
        if (by_key ? same_key(one->key, key) : !strcmp(one->name, name_or_key)) ++*revoked;
        else at += sprintf(at, "%s %s\n", key_text(hex, one->key), one->name);
    }
    free(list.at);
    int code = text ? 0 : fail(why, E_MEMORY, "no memory to write %s", path);
    if (!code && !*revoked) code = fail(why, E_USAGE, "%s has no key \"%.80s\"", path, name_or_key);
    if (!code) code = write_guarded(fresh, O_TRUNC, 0644, text, why);
    if (!code && rename(fresh, path)) code = fail_errno(why, E_FILE, "cannot write %s", path);
    free(text);
    return code;
}

/* ---- a process with keys ---- */

static int take_secret(struct keys *k, struct err *why)
{
    char path[PATH_MAX], *text;
    size_t n;
    struct stat st;
    bool there;
    k->secret = mmap(NULL, SECRET_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (k->secret == MAP_FAILED) return k->secret = NULL, fail_errno(why, E_MEMORY, "no memory for a key");
    madvise(k->secret, SECRET_PAGE, MADV_DONTDUMP);
    mlock(k->secret, SECRET_PAGE); /* if it may: keeps it from the swap */
    prctl(PR_SET_DUMPABLE, 0);     /* libzmq has copies */
    TRY(path_in(path, k->folder, "id.key", why));
    TRY(read_guarded(path, 077, &text, &n, &st, &there, why));
    if (!there) return fail(why, E_FILE, "there is no key in %s, and links to other machines are encrypted: gemmapipe keys new makes one", k->folder);
    const int code = key_secret_parse(k->secret, text, n, path, why);
    explicit_bzero(text, n);
    free(text);
    TRY(code);
    TRY(key_public(k->public, k->secret, why));
    return is_published(k->public) ? fail(why, E_FILE, "the key in %s stands in ZeroMQ's manual, everybody has it", path) : 0;
}

int keys_open(struct keys **out, const char *folder, struct err *why)
{
    char path[PATH_MAX];
    TRY(keys_folder(path, folder, why));
    struct keys *k = *out = calloc(1, sizeof *k);
    if (!k) return fail(why, E_MEMORY, "no memory for keys");
    pthread_mutex_init(&k->lock, NULL);
    memcpy(k->folder, path, sizeof path);
    int code = take_secret(k, why);
    if (!code) code = read_list(&k->trusted, k->folder, &k->read, why);
    if (code) keys_close(out);
    return code;
}

void keys_close(struct keys **pk)
{
    struct keys *k = *pk;
    *pk = NULL;
    if (!k) return;
    if (k->secret) explicit_bzero(k->secret, SECRET_PAGE), munmap(k->secret, SECRET_PAGE);
    pthread_mutex_destroy(&k->lock);
    free(k->trusted.at);
    free(k->pins);
    free(k->run);
    free(k);
}

const uint8_t *keys_public(const struct keys *k)
{
    return k->public;
}

const uint8_t *keys_secret(const struct keys *k)
{
    return k->secret;
}

/* Under the lock. A list that cannot be read any more lets nobody in. */
static void read_again(struct keys *k)
{
    char path[PATH_MAX];
    struct stat now = {0};
    struct err why = {0};
    if (path_in(path, k->folder, "trusted", NULL)) return;
    if (stat(path, &now)) {
        if (errno == EACCES) return; /* it was read by root, who became another user since */
        now = (struct stat){0};
    }
    if (now.st_ino == k->read.st_ino && now.st_size == k->read.st_size && now.st_mode == k->read.st_mode &&
        !memcmp(&now.st_mtim, &k->read.st_mtim, sizeof now.st_mtim))
        return;
    free(k->trusted.at);
    if (read_list(&k->trusted, k->folder, &k->read, &why)) log_warn("%s; until then nobody is let in", why.text);
}

bool keys_by_name(struct keys *k, const char *name, uint8_t out[KEY_BYTES])
{
    if (key_read(out, name)) return true;
    bool found = !strcmp(name, "self");
    if (found) memcpy(out, k->public, KEY_BYTES);
    pthread_mutex_lock(&k->lock);
    for (int i = 0; i < k->trusted.n; i++) {
        if (strcmp(k->trusted.at[i].name, name)) continue;
        memcpy(out, k->trusted.at[i].key, KEY_BYTES);
        found = true;
    }
    pthread_mutex_unlock(&k->lock);
    return found;
}

int keys_pin(struct keys *k, const char *address, const uint8_t key[KEY_BYTES], struct err *why)
{
    pthread_mutex_lock(&k->lock);
    int i = 0;
    while (i < k->n_pins && strcmp(k->pins[i].address, address)) i++;
    struct pin *more = i < k->n_pins ? k->pins : realloc(k->pins, ((size_t)k->n_pins + 1) * sizeof *more);
    if (more) {
        k->pins = more;
        k->n_pins += i == k->n_pins;
        snprintf(more[i].address, sizeof more[i].address, "%s", address);
        memcpy(more[i].key, key, KEY_BYTES);
    }
    pthread_mutex_unlock(&k->lock);
    return more ? 0 : fail(why, E_MEMORY, "no memory for the key of %s", address);
}

int keys_know(struct keys *k, const char *address, const char *said, struct err *why)
{
    char host[WIRE_TEXT];
    uint8_t key[KEY_BYTES];
    if (strncmp(address, "tcp://", 6)) return 0;
    snprintf(host, sizeof host, "%s", said ? said : address + 6);
    bool known = keys_by_name(k, host, key);
    char *colon = said ? NULL : strrchr(host, ':');
    if (colon) *colon = 0;
    if (!known && colon) known = keys_by_name(k, host, key);
    if (known) return keys_pin(k, address, key, why);
    return said ? fail_about(why, ABOUT_KEYS, E_USAGE, "no key is known by the name %.80s", said)
                : fail_about(why, ABOUT_KEYS, E_USAGE, "the key of the worker at %.200s is not known by the name %.80s", address, host);
}

bool keys_pinned(struct keys *k, const char *address, uint8_t out[KEY_BYTES])
{
    bool found = false;
    pthread_mutex_lock(&k->lock);
    for (int i = 0; i < k->n_pins; i++) {
        if (strcmp(k->pins[i].address, address)) continue;
        memcpy(out, k->pins[i].key, KEY_BYTES);
        found = true;
    }
    pthread_mutex_unlock(&k->lock);
    return found;
}

int keys_admit(struct keys *k, int node, const uint8_t key[KEY_BYTES], struct err *why)
{
    pthread_mutex_lock(&k->lock);
    struct admitted *more = realloc(k->run, ((size_t)k->n_run + 1) * sizeof *more);
    if (more) {
        k->run = more;
        more[k->n_run].node = node;
        memcpy(more[k->n_run++].key, key, KEY_BYTES);
    }
    pthread_mutex_unlock(&k->lock);
    return more ? 0 : fail(why, E_MEMORY, "no memory for the key of node %d", node);
}

void keys_forget_run(struct keys *k)
{
    pthread_mutex_lock(&k->lock);
    free(k->run);
    k->run = NULL;
    k->n_run = 0;
    pthread_mutex_unlock(&k->lock);
}

/* node -1: any. */
static bool fits(struct keys *k, const uint8_t key[KEY_BYTES], int node)
{
    bool listed = same_key(key, k->public), of_run = false;
    pthread_mutex_lock(&k->lock);
    read_again(k);
    for (int i = 0; i < k->trusted.n; i++) listed |= same_key(k->trusted.at[i].key, key);
    for (int i = 0; i < k->n_run; i++) of_run |= same_key(k->run[i].key, key) & (node < 0 || k->run[i].node == node);
    pthread_mutex_unlock(&k->lock);
    return node ? of_run || (node < 0 && listed) : listed;
}

bool keys_let_in(struct keys *k, const uint8_t key[KEY_BYTES])
{
    return fits(k, key, -1);
}

bool keys_may_be(struct keys *k, const uint8_t key[KEY_BYTES], int node)
{
    return fits(k, key, node);
}
