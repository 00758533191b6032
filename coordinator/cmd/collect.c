/* coordinator/cmd/collect.c — see collect.h. */
#include "coordinator/cmd/collect.h"

static bool take_token(void *user, const struct said *said)
{
    struct collected *c = user;
    return ids_push(&c->ids, said->id, NULL) == 0; /* without memory: offered again, until there is some */
}

static void take_end(void *user, const struct ended *ended)
{
    struct collected *c = user;
    c->ended = *ended;
    c->ended.why = NULL;
    if (ended->why) c->why = *ended->why;
}

struct listener collect_into(struct collected *c)
{
    return (struct listener){.token = take_token, .finished = take_end, .user = c};
}

void collected_free(struct collected *c)
{
    ids_free(&c->ids);
}
