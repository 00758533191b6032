/* transport/links/keys.h — who this machine is, and which others it knows: keys in files that a person can read and copy.
 *
 *   FOLDER/id.key     the secret key, 64 hexadecimal digits; mode 0600, or it is refused; 0640 if it is root's and this is another user
 *   FOLDER/trusted    the public keys of others, a line each: key, name
 *
 * Both may have lines that begin with #. FOLDER is ~/.config/gemmapipe unless another is named. The public key is what others know
 * a machine by: a worker serves the coordinators on its list, a coordinator computes only with workers whose keys it has. Whoever
 * holds the secret key itself is served too: worker and coordinator of one person on one machine share a folder.
 *
 * The secret is on a page of its own that no core dump has, and the process is made one that dumps no core and that no other of the
 * same user may look into.
 * Threads: what is asked during a run takes a lock; the handshakes' thread (zap.h) asks too. */
#pragma once

#include "base/error.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_BYTES 32
#define KEY_TEXT (2 * KEY_BYTES + 1)
#define KEY_NAME 64

struct known_key {
    uint8_t key[KEY_BYTES];
    char name[KEY_NAME];
};
struct key_list {
    struct known_key *at; /* [n] */
    int n;
};

/* ---- text ---- */
bool key_read(uint8_t out[KEY_BYTES], const char *text); /* false: it is no key */
char *key_text(char out[KEY_TEXT], const uint8_t key[KEY_BYTES]);
bool key_is_none(const uint8_t key[KEY_BYTES]); /* all zeros: where a key may be, and is none */
int key_list_parse(struct key_list *out, const char *text, size_t n, const char *from, struct err *why);
int key_secret_parse(uint8_t out[KEY_BYTES], const char *text, size_t n, const char *from, struct err *why);

/* ---- files ---- */
int keys_folder(char out[PATH_MAX], const char *named, struct err *why); /* named NULL: the usual */
int keys_new(const char *folder, struct err *why);                       /* makes it; E_FILE if there is a key */
int keys_trust(const char *folder, const char *name, const char *key, struct err *why);
int keys_revoke(const char *folder, const char *name_or_key, int *revoked, struct err *why);
int keys_trusted(struct key_list *out, const char *folder, struct err *why); /* free out->at; none if there is no file */

/* ---- a process with keys ---- */
struct keys;
int keys_open(struct keys **out, const char *folder, struct err *why);
void keys_close(struct keys **k); /* sets *k to NULL; NULL is fine */
const uint8_t *keys_public(const struct keys *k);
const uint8_t *keys_secret(const struct keys *k);

/* The key known by this name, which may be a key itself, or "self"; of a name with several the newest. False: there is none. */
bool keys_by_name(struct keys *k, const char *name, uint8_t out[KEY_BYTES]);

/* Pins the key of whoever is at this address: the one of the name that was said, or NULL: of the address's host and port, or its host alone.
 * E_USAGE if none is known. A Unix socket needs none. */
int keys_know(struct keys *k, const char *address, const char *said, struct err *why);

/* From now on whoever is called at this address must have that key. */
int keys_pin(struct keys *k, const char *address, const uint8_t key[KEY_BYTES], struct err *why);
bool keys_pinned(struct keys *k, const char *address, uint8_t out[KEY_BYTES]);

/* For this run also who has that key may connect, and is that node. The run's list is empty at first. */
int keys_admit(struct keys *k, int node, const uint8_t key[KEY_BYTES], struct err *why);
void keys_forget_run(struct keys *k);

/* Whether this key may connect at all; and whether it may speak as that node: 0 is for coordinators that are on the list, others are for
 * whom the run's list names. The list is read again when its file has changed. All keys are compared, whichever fits. */
bool keys_let_in(struct keys *k, const uint8_t key[KEY_BYTES]);
bool keys_may_be(struct keys *k, const uint8_t key[KEY_BYTES], int node);
