/* coordinator/cmd/terminal.h — the terminal's modes: ours while somebody types to us, and as they were found whenever another program,
 * or nobody, comes after us: at the end, at Ctrl-Z, and when a signal ends us.
 *
 * There is one, on standard input, because signal handlers must find it. */
#pragma once

#include <stdbool.h>

/* Remembers the modes of standard input and asks the terminal, which is written to through `out`, to mark what is pasted. */
void terminal_open(int out);

/* Restores the modes. What was typed and not read is thrown away: it was not meant for whoever reads next. Nothing open: nothing. */
void terminal_close(void);

bool terminal_came_back(void); /* since this was last asked: it was somebody else's, and shows other things now */
bool terminal_resized(void);   /* since this was last asked */
