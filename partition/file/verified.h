/* partition/file/verified.h — which files were hashed from end to end since this machine started, so that it is done once.
 *
 * It is noted beside the file, in NAME.verified: the boot id, the file's device, inode, size and time of change, and what it was found
 * to be. Whatever of these is another makes the note worthless; where none can be written the file is hashed each time. The note's
 * own time of writing is when the file was last used. */
#pragma once

#include "base/mapped.h"

#define VERIFIED ".verified"

/* `as`: what the file was found to be. True: it is noted, and is noted to be used now. */
bool verified_before(const char *path, const struct file_state *state, uint64_t as);
/* A file that changed within the last second is not noted: it could change again and look the same. */
void verified_note(const char *path, const struct file_state *state, uint64_t as);
