/* base/inputs.h — the files this process has read: base/whole_file.h gives no result the place of one.
 *
 * A result named like an input, over whatever links, is a slip of the hand, and would cost a model or a photograph. So whoever
 * opens what a person named for reading tells here. Threads: any. */
#pragma once

#include <sys/stat.h>

/* Once read, an input to the process's end. Without memory it is forgotten. */
void inputs_add(const char *path);

/* Under which name the file was read, or NULL: it was not. Device and number decide, so links are seen through. */
const char *inputs_name(const struct stat *of);
