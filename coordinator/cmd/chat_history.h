/* coordinator/cmd/chat_history.h — what was typed before, from run to run.
 *
 * One line each in $XDG_STATE_HOME/gemmapipe/chat_history, which only its owner may read. Several chats add to it at once; the oldest
 * lines go when it is long. Where there can be no such file what was typed is remembered until the end of the run. */
#pragma once

#include <stddef.h>

struct chat_history;

struct chat_history *chat_history_open(void); /* NULL without memory, which all of these take for an empty one */
void chat_history_close(struct chat_history **h);

void chat_history_add(struct chat_history *h, const char *text); /* may have several lines */

size_t chat_history_size(const struct chat_history *h);
const char *chat_history_back(const struct chat_history *h, size_t steps); /* 1: the newest */
