/* coordinator/cmd/cmd_embed.c — `gemmapipe embed-image`: the rows a picture becomes, float32 [rows, hidden]. No text model. */
#include "base/whole_file.h"
#include "coordinator/cmd/commands.h"
#include "coordinator/cmd/session.h"
#include "coordinator/engine/give_pictures.h"

static int look(struct session *s, struct prompt_pictures *all, struct whole_file *out, struct err *why)
{
    struct pictures *pictures = fleet_pictures(s->fleet);
    struct picture_span span = {.n = vision_tokens(&s->pipe->encoder->config)};
    struct picture_spans spans = {.span = &span, .n = 1};
    TRY(prompt_pictures_give(all, pictures, 0, &spans, 0, why));
    while (pictures_underway(pictures)) TRY(fleet_turn(s->fleet, TURN_MS, why));
    const size_t floats = span.n * s->pipe->encoder->config.hidden;
    return whole_file_write(out, pictures_rows(pictures, (uint32_t)span.picture), floats * sizeof(float), why);
}

static int look_to_file(struct session *s, struct prompt_pictures *all, struct err *why)
{
    const struct capacity none = {.context = 1, .sequences = 1, .rows = 1, .in_flight = 1};
    struct whole_file *out;
    TRY(whole_file_open(&out, s->options->out, why));
    int code = session_launch(s, &none, why);
    if (!code) code = look(s, all, out, why);
    return whole_file_close(&out, code, why);
}

int command_embed_image(const struct options *o, const struct cluster_wish *wish, struct port *mpi, struct err *why)
{
    struct session s = {0};
    struct prompt_pictures all = {0};
    int code = session_open(&s, o, wish, mpi, why);
    if (!code) all.side = s.pipe->encoder->config.image;
    all.memory = o->picture_memory;
    if (!code) code = prompt_pictures_add(&all, o->images[0], why);
    if (!code) code = look_to_file(&s, &all, why);
    if (!code) code = session_finish(&s, why);
    if (s.fleet) prompt_pictures_take_back(&all, fleet_pictures(s.fleet));
    prompt_pictures_close(&all);
    session_close(&s, code ? why : NULL);
    return code;
}
