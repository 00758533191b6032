/* tests/support/world.c — see world.h. */
#include "tests/support/world.h"

#include "base/limits.h"
#include "partition/model/memory.h"
#include "partition/model/vision_memory.h"
#include "transport/links/faulty.h"

#include <stdlib.h>

#define MS 1000000ull
#define SETTLES_NS (180000 * MS) /* once it is calm, until all who live are at work */

/* ---- the story ---- */

void world_note(struct world *w, const char *who, int number, const char *what, uint64_t a, uint64_t b)
{
    const uint64_t now = clock_now(sim_clock(w->sim)), parts[] = {w->story, now, (uint64_t)number, hash64(what, strlen(what)), a, b};
    w->story = hash64(parts, sizeof parts);
    if (w->tells)
        printf("%12.6f s  %s %d %s %llu %llu\n", (double)(now - w->begun_ns) / 1e9, who, number, what, (unsigned long long)a,
               (unsigned long long)b);
}

static void worker_note(void *user, const struct obedient *o, const char *what, uint64_t a, uint64_t b)
{
    struct world *w = user;
    world_note(w, "worker", (int)(o - w->worker) + 1, what, a, b);
}

/* A worker that fell silent must know by itself that it is not counted on any more, before the coordinator does without it. */
static void worker_sends(void *user, const struct obedient *o)
{
    struct world *w = user;
    struct err *broken = &w->obedience.broken;
    for (int i = 0; i < w->leaders && !broken->code; i++)
        if (leader_gave_up(&w->leader[i], o->run, o->greet.node))
            fail(broken, E_INTERNAL, "worker %td sends, and was given up because it was silent", o - w->worker + 1);
}

/* ---- links ---- */

static uint64_t held_ns(void *user, int from, int to)
{
    const struct world *w = user;
    const uint64_t now = clock_now(sim_clock(w->sim));
    const int a = w->machine[from], b = w->machine[to];
    const uint64_t cut = w->cut_until_ns[a][b] > now ? w->cut_until_ns[a][b] - now : 0;
    return cut + (w->slow_until_ns[a][b] > now ? w->slow_ns : 0);
}

static void between(struct world *w, uint64_t until[WORLD_MACHINES][WORLD_MACHINES], const struct world_fault *f)
{
    const uint64_t end = clock_now(sim_clock(w->sim)) + f->lasts_ns;
    for (int a = 0; a < WORLD_MACHINES; a++)
        for (int b = 0; b < WORLD_MACHINES; b++) {
            const bool from = f->group >> a & 1, to = f->group >> b & 1;
            if (from != to && (from || !f->one_way) && until[a][b] < end) until[a][b] = end;
        }
}

/* ---- faults ---- */

static void again(void *user)
{
    const struct world_fault *f = user;
    (void)obedient_restart(&f->world->worker[f->who], &(struct err){0});
}

/* At once, or in the middle of what it writes. */
static void leader_dies(struct leader *l, struct world *w)
{
    if (l->has_job && dice(&w->dice, 2)) l->job.disk.stops_in = 1 + dice(&w->dice, 12);
    else l->kill_due = true;
}

static void fault_comes(void *user)
{
    struct world_fault *f = user;
    struct world *w = f->world;
    struct obedient *o = &w->worker[f->who];
    struct leader *l = &w->leader[f->who % w->leaders];
    const uint64_t now = clock_now(sim_clock(w->sim));
    w->of[f->kind]++;
    world_note(w, "fault", (int)f->kind, "of ms, who", f->lasts_ns / MS, (uint64_t)f->who);
    switch (f->kind) {
    case FAULT_KILL:
        obedient_kill(o);
        (void)sim_at(w->sim, now + f->lasts_ns, again, f, NULL);
        break;
    case FAULT_TOLD_TO_END:
        obedient_leave(o);
        (void)sim_at(w->sim, now + f->lasts_ns, again, f, NULL);
        break;
    case FAULT_STOP: obedient_stop(o, now + f->lasts_ns, false); break;
    case FAULT_SLEEP: obedient_stop(o, now + f->lasts_ns, true); break;
    case FAULT_PARTITION: between(w, w->cut_until_ns, f); break;
    case FAULT_SLOW: between(w, w->slow_until_ns, f); break;
    case FAULT_BREAK: sim_break(w->sim, o->number, f->other < w->workers ? w->worker[f->other].number : l->process[f->other % l->replicas]); break;
    case FAULT_LEADER_KILL: leader_dies(l, w); break;
    case FAULT_LEADER_STOP: l->stands_until_ns = now + f->lasts_ns; break;
    case FAULT_CLOCK: l->stepped_ns += f->lasts_ns; break;
    case FAULT_DISK: l->job.disk.full = true; break;
    case FAULT_TWICE:
    case FAULT_KINDS: break;
    }
}

static void calm(void *user)
{
    struct world *w = user;
    world_note(w, "world", 0, "is calm", 0, 0);
    for (int i = 0; i < w->leaders; i++) w->leader[i].job.disk.full = false;
}

/* Some kinds of fault in each world, few or many. */
static int draw_faults(struct world *w, struct err *why)
{
    const uint64_t span = (3 + dice(&w->dice, 20)) * 1000 * MS;
    w->calm_ns = w->begun_ns + span;
    w->kinds = dice(&w->dice, 1u << FAULT_KINDS) & (dice(&w->dice, 2) ? dice(&w->dice, 1u << FAULT_KINDS) : ~0u);
    w->slow_ns = (20 + dice(&w->dice, 600)) * MS;
    for (int n = (int)dice(&w->dice, WORLD_FAULTS + 1); n; n--) {
        const uint32_t any = dice(&w->dice, FAULT_KINDS + 4);
        const enum fault_kind kind = any < FAULT_KINDS ? any : FAULT_KILL;
        if (!(w->kinds >> kind & 1) || kind == FAULT_TWICE) continue;
        struct world_fault *f = &w->fault[w->faults++];
        *f = (struct world_fault){.world = w, .kind = kind, .who = (int)dice(&w->dice, (uint32_t)w->workers),
                                  .other = (int)dice(&w->dice, (uint32_t)w->workers + 2), .group = dice(&w->dice, 1u << WORLD_MACHINES), .one_way = dice(&w->dice, 2)};
        /* Early rather than late. */
        f->at_ns = w->begun_ns + dice(&w->dice, 1 + dice(&w->dice, (uint32_t)(span / MS))) * MS + dice(&w->dice, (uint32_t)MS);
        f->lasts_ns = (dice(&w->dice, 2) ? 100 + dice(&w->dice, 2000) : 100 + dice(&w->dice, 12000)) * MS;
        if (kind == FAULT_LEADER_STOP && !dice(&w->dice, 3)) f->lasts_ns *= 4;
        if (f->at_ns + f->lasts_ns > w->calm_ns) f->lasts_ns = w->calm_ns - f->at_ns;
        TRY(sim_at(w->sim, f->at_ns, fault_comes, f, why));
    }
    w->obedience.twice = w->kinds >> FAULT_TWICE & 1;
    return sim_at(w->sim, w->calm_ns, calm, w, why);
}

/* ---- a world ---- */

/* Enough for a plan with all that are not to spare, and perhaps for one with fewer. */
static uint64_t draw_memory(struct world *w, const struct capacity *cap, int workers)
{
    const struct model_config *c = &w->model->config;
    const uint32_t layers = (c->layers - 1) / (uint32_t)workers + 1 + (dice(&w->dice, 2) ? 0 : dice(&w->dice, c->layers));
    const struct part part = {0, layers < c->layers ? layers : c->layers, 0, HEAD_PARTS, false};
    static struct tensor t[OBEDIENT_WEIGHTS];
    text_part_tensors(w->model, part, t);
    const uint64_t all = text_part_bytes(c, part, t, cap, 1).total;
    uint64_t encoder = 0;
    const struct vision_model *e = w->things->encoder;
    const struct part sees = {0, e->config.layers, 0, 1, true};
    if (w->leader[0].sees || w->leader[1].sees) {
        vision_part_tensors(e, sees, t);
        encoder = vision_part_bytes(&e->config, sees, t, VISION_AS_FILE, IN_FLIGHT_MOST, 1).total;
    }
    return encoder + all + (all - RUNTIME_BYTES) / 3 + (256 << 10); /* who is in the middle has other buffers, and a head may be divided */
}

static int open_workers(struct world *w, struct err *why)
{
    struct capacity least = w->leader[0].wanted;
    for (int i = 1; i < w->leaders; i++) {
        const struct capacity *c = &w->leader[i].wanted;
        if (c->context > least.context) least.context = c->context;
        if (c->rows > least.rows) least.rows = c->rows;
        if (c->sequences > least.sequences) least.sequences = c->sequences;
        if (c->blocks > least.blocks) least.blocks = c->blocks;
    }
    if (least.blocks < capacity_blocks_least(&least)) least.blocks = capacity_blocks_least(&least);
    if (!least.in_flight) least.in_flight = WORLD_WORKERS + 1;
    const bool one_machine = dice(&w->dice, 2);
    int wanted = w->workers;
    for (int i = 0; i < w->leaders; i++)
        if (leader_least_workers(&w->leader[i]) < wanted) wanted = leader_least_workers(&w->leader[i]);
    for (int i = 0; i < w->workers; i++) {
        struct obedient *o = &w->worker[i];
        TRY(obedient_open(o, &w->obedience, why));
        w->machine[o->number] = WORLD_LEADERS + i;
        snprintf(o->host, sizeof o->host, "machine%d", one_machine ? 0 : i);
        o->memory = draw_memory(w, &least, wanted);
        o->has_file = !dice(&w->dice, 3);
        o->slow_ns = (1 + dice(&w->dice, dice(&w->dice, 2) ? 60 : 200)) * MS / 10;
    }
    return 0;
}

static int world_open(struct world *w, struct err *why)
{
    const struct sim_links links = {.seed = mix(w->seed + 1), .delay_ns = (1 + dice(&w->dice, 40)) * MS / 20,
                                    .jitter_ns = dice(&w->dice, 4) * MS, .bytes_per_second = dice(&w->dice, 2) ? 0 : 1e7, .cut_ns = held_ns, .user = w};
    TRY(sim_open(&w->sim, &links, why));
    w->begun_ns = clock_now(sim_clock(w->sim));
    w->obedience = (struct obedience){.sim = w->sim, .model = w->model, .encoder = w->things->encoder,
                                      .counts = dice(&w->dice, 3) == 0, .dice = &w->dice, .note = worker_note, .sends = worker_sends, .user = w};
    w->workers = 1 + (int)dice(&w->dice, WORLD_WORKERS);
    w->leaders = dice(&w->dice, 6) ? 1 : 2;
    if (w->poisoned) w->leaders = 1, w->obedience.poison = w->things->picture[0].patches;
    if (w->wrong) w->workers = 3 + (int)dice(&w->dice, WORLD_WORKERS - 2), w->leaders = 1;
    TRY(tokenizer_open(&w->tokens, w->model->file, w->model->config.vocab, why));
    for (int i = 0; i < w->leaders; i++) TRY(leader_draw(&w->leader[i], w, i, why));
    TRY(open_workers(w, why));
    w->calm_ns = w->begun_ns;
    if (w->poisoned) return 0;
    if (!w->wrong) return draw_faults(w, why);
    struct leader *l = &w->leader[0];
    l->verify = 1, l->spare = 0, l->fewer = false;
    if (l->replicas < 3) l->replicas = 1; /* two that differ tell nothing */
    for (int i = 0; i < w->workers; i++) w->worker[i].memory = 1 << 30;
    w->worker[dice(&w->dice, (uint32_t)w->workers)].wrong = true;
    w->calm_ns = w->begun_ns + 600000 * MS; /* it comes back, and is found again */
    if (l->lines > 4) l->lines = 4;
    return 0;
}

static bool all_over(const struct world *w)
{
    for (int i = 0; i < w->leaders; i++)
        if (w->leader[i].state != LEADER_OVER) return false;
    return true;
}

/* As if the slowest of them computed all of it alone, three times. */
static uint64_t takes_at_most(const struct world *w)
{
    uint64_t rows = 0, slowest = 0;
    for (int i = 0; i < w->leaders; i++)
        for (int k = 0; k < w->leader[i].lines; k++) rows += (w->leader[i].line[k].n + w->leader[i].line[k].most) * JOB_CHOICES;
    for (int i = 0; i < w->workers; i++)
        if (w->worker[i].slow_ns > slowest) slowest = w->worker[i].slow_ns;
    return SETTLES_NS + 3 * rows * slowest * (1 + w->model->config.layers);
}

/* Each in turn; whoever waits lets time pass for all. */
static int live(struct world *w, struct err *why)
{
    w->ends_ns = w->calm_ns + takes_at_most(w);
    for (;;) {
        int acting = 0;
        uint64_t now = clock_now(sim_clock(w->sim));
        for (int i = 0; i < w->workers; i++) {
            const struct err *end = sim_why(w->sim, w->worker[i].number);
            if (end->code) return fail(why, E_INTERNAL, "worker %d ended: %.400s", i + 1, end->text);
            if (now >= w->calm_ns) TRY(obedient_restart(&w->worker[i], why)); /* who was told to end may do so late */
        }
        if (all_over(w)) return 0;
        if (now > w->ends_ns)
            return fail(why, E_INTERNAL, "it is calm since %llu s, and not all is done",
                        (unsigned long long)(now - w->calm_ns) / 1000 / MS);
        for (int i = 0; i < w->leaders; i++) {
            struct leader *l = &w->leader[i];
            acting += l->state != LEADER_OVER && l->state != LEADER_AWAY && l->stands_until_ns <= now;
        }
        for (int i = 0; i < w->leaders; i++) {
            struct leader *l = &w->leader[i];
            if (l->kill_due) TRY(leader_killed(l, why));
            l->kill_due = false;
            if (l->stands_until_ns > clock_now(sim_clock(w->sim))) continue;
            TRY(leader_step(l, acting > 1 ? 2 : 50, why));
        }
        if (!acting) sim_pass(w->sim, now + 20 * MS);
    }
}

static int world_close(struct world *w, struct world_sums *sums, struct err *why)
{
    const uint64_t now = clock_now(sim_clock(w->sim)), calm_s = now > w->calm_ns ? (now - w->calm_ns) / 1000 / MS : 0;
    struct err later;
    int code = 0;
    sums->simulated_s += (now - w->begun_ns) / 1000 / MS;
    if (calm_s > sums->calm_s) sums->calm_s = calm_s;
    for (int i = 0; i < w->leaders; i++) {
        struct leader *l = &w->leader[i];
        if (leader_close(l, code ? &later : why)) code = E_INTERNAL;
        sums->losses += l->losses, sums->epochs += l->epochs, sums->tokens += l->tokens, sums->busy += l->busy, sums->lives += l->lives;
        sums->alone += l->alone, sums->verified += l->verified, sums->moved += l->moved, sums->named += l->named;
        sums->blamed += l->blamed, sums->torn += l->job.disk.torn, sums->holes += l->job.disk.holes, sums->refused += l->job.disk.refused;
        sums->replayed += l->rows, sums->pictures += l->pictures, sums->poisoned += l->poisoned;
    }
    for (int k = 0; k < FAULT_KINDS; k++) sums->fault[k] += (uint64_t)w->of[k];
    for (int i = 0; i < w->workers; i++) obedient_kill(&w->worker[i]);
    obedience_end(&w->obedience);
    sim_close(&w->sim);
    tokenizer_close(&w->tokens);
    sums->worlds++;
    return code;
}

static int run(struct world *w, uint64_t seed, const struct world_things *things, const char *folder, bool tells, struct world_sums *sums, struct err *why)
{
    w->seed = seed;
    w->dice = mix(seed ^ 0x5eed);
    w->things = things;
    w->model = things->model;
    w->folder = folder;
    w->tells = tells;
    int code = world_open(w, why);
    if (!code) code = live(w, why);
    if (!code && w->obedience.broken.code) *why = w->obedience.broken, code = why->code;
    struct err later;
    const int last = w->sim ? world_close(w, sums, code ? &later : why) : 0;
    return code ? code : last;
}

static struct world world; /* large */

int world_run(uint64_t seed, const struct world_things *things, const char *folder, bool tells, struct world_sums *sums, uint64_t *story,
              struct err *why)
{
    const uint64_t named = sums->named;
    memset(&world, 0, sizeof world);
    int code = run(&world, seed, things, folder, tells, sums, why);
    if (!code && sums->named != named) code = fail(why, E_INTERNAL, "somebody is found to compute wrongly");
    *story = world.story;
    return code;
}

int world_with_one_wrong(uint64_t seed, const struct world_things *things, const char *folder, bool tells, struct world_sums *sums, struct err *why)
{
    const uint64_t named = sums->named;
    memset(&world, 0, sizeof world);
    world.wrong = true;
    TRY(run(&world, seed, things, folder, tells, sums, why));
    return sums->named > named ? 0 : fail(why, E_INTERNAL, "nobody is found to compute wrongly, of %d workers in %d replicas", world.workers, world.leader[0].replicas);
}

int world_with_poison(uint64_t seed, const struct world_things *things, const char *folder, bool tells, struct world_sums *sums,
                      uint64_t *failed, struct err *why)
{
    const uint64_t before = sums->poisoned;
    memset(&world, 0, sizeof world);
    world.poisoned = true;
    const int code = run(&world, seed, things, folder, tells, sums, why);
    *failed = sums->poisoned - before;
    return code;
}
