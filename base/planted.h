/* base/planted.h — mistakes that are made on purpose, each to see that the simulated worlds find it (tests/worlds/planted_test.c). They are built
 * into that test alone: everywhere else PLANTED is false. */
#pragma once

#ifdef WITH_PLANTED
extern int planted; /* which one is made now; 0: none */
#define PLANTED(n) (planted == (n))
#else
#define PLANTED(n) false
#endif

enum planted_mistakes {
    EPOCH_NOT_CHECKED = 1,  /* a frame of an earlier epoch is taken */
    REPLAY_ONE_ID_TOO_LATE, /* after a loss a prompt is computed again from its second id on */
    TOKEN_TOLD_AGAIN,       /* and its last token is delivered a second time */
    SLOT_NOT_GIVEN_BACK,    /* what a slot keeps after an answer is forgotten, and its pages are not free */
    LEASE_NOT_CHECKED,      /* a worker that was given up sends all the same */
    HALF_A_RECORD_STAYS,    /* of a journal, where the next one is appended to it */
    RESULT_TOLD_TOO_EARLY,  /* before the journal is sure of it */
    PICTURE_FORGOTTEN,      /* whose rows were given up, though who holds it may need them again */
    PICTURE_NOT_SENT_AGAIN, /* after a loss, as if it were still under way */
    PLANTED_MISTAKES = PICTURE_NOT_SENT_AGAIN
};
