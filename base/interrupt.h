/* base/interrupt.h — Ctrl-C and SIGTERM as something a program looks at when it is ready to. */
#ifndef BASE_INTERRUPT_H
#define BASE_INTERRUPT_H

#include <stdbool.h>

void interrupt_catch(void); /* from now on the two are remembered; SIGPIPE is ignored */
bool interrupt_seen(void);  /* one of them came; stays true */

#endif
