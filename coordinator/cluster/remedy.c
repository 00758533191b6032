/* coordinator/cluster/remedy.c — see remedy.h. */
#include "coordinator/cluster/remedy.h"

/* A worker that is busy with somebody else's run (E_LINK) may be free later. Before the first loss it was asked for by name. */
static bool others_may_do_better(const struct situation *s)
{
    return s->outlived && s->patience_ns && (s->lost == E_WORKER || s->lost == E_WIRE || (s->lost == E_LINK && !s->first));
}

static enum remedy remedy_of_loss(const struct situation *s)
{
    if (!others_may_do_better(s)) return REMEDY_GIVE_UP;
    return s->working ? REMEDY_BEGIN_ANEW : REMEDY_CALL;
}

enum remedy remedy_of(const struct situation *s)
{
    if (s->lost) return remedy_of_loss(s);
    if (s->awaited) return REMEDY_NONE;
    const bool settled = s->hearing_ns >= SETTLE_NS;
    if (s->here && s->here >= s->wanted && !s->too_few) return !s->first || s->here == s->all || settled ? REMEDY_PLAN : REMEDY_NONE;
    if (s->first) return REMEDY_NONE;
    if (s->here && settled && !s->too_few) return REMEDY_PLAN;
    if (s->lost_ns >= s->patience_ns) return REMEDY_GIVE_UP;
    return settled ? REMEDY_WAIT : REMEDY_NONE;
}
