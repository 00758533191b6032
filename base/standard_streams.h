/* base/standard_streams.h — descriptors 0 to 2: what a program is given, and how it ends with them. */
#pragma once

/* The first thing of every main.
 *
 * A descriptor that came closed (from cron, a daemon, `>&-`) is opened on nothing: input has ended, output cannot be written, what
 * stderr is told is lost. Else the next file that is opened would have its number, and a line of the log would stand in it.
 *
 * At the program's end, whoever brings it about, stdout is closed. A program that would have ended with status 0 although stdout did
 * not take everything ends with E_FILE and a sentence. */
void standard_streams_begin(void);
