/* coordinator/cmd/advice.h — what a person at the command line can do about a failure.
 *
 * Sentences from elsewhere name quantities and no options (base/error.h). Here the option that changes the quantity is
 * added, once, when the sentence is shown. */
#pragma once

#include "base/error.h"

/* Appends the advice to the sentence, as in "; --ctx raises it". The second call adds nothing. */
void advise(struct err *why);

/* Shows the sentence on stderr, with advice. */
void show_error(struct err *why);
