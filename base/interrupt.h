/* base/interrupt.h — Ctrl-C, SIGTERM, SIGUSR1 (mpirun passes it on, and dies of the others) and the end of the terminal (SIGHUP) as
 * something a program looks at when it is ready to. */
#pragma once

#include <signal.h>
#include <stdbool.h>

/* From now on they are remembered and end nothing; SIGPIPE is ignored, and SIGHUP if it was before (nohup). Once, from the
 * program's main. */
void interrupt_catch(void);

bool interrupt_seen(void); /* one of them came; stays true */
const char *interrupt_reason(void); /* which was the first, as a sentence: "interrupted" is Ctrl-C */

/* For a conversation with somebody at a terminal: from now on a Ctrl-C asks to stop what is done for them, and only the next one is
 * seen, unless the first was forgotten in between. Other signals are seen as before, but `too`, if it is not 0, is treated in the same way. */
void interrupt_ask_first(int too);
bool interrupt_asked(void);
void interrupt_forget(void); /* they went on: the next is a first one again */

/* Becomes readable when one comes and stays so, for poll beside other descriptors: who waits there is woken at once.
 * -1 before interrupt_catch, or if the system had no descriptor left. Nobody reads or closes it. */
int interrupt_fd(void);

/* The flag itself, for code that must not know where its order to stop comes from. */
const volatile sig_atomic_t *interrupt_flag(void);
