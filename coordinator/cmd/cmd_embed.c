/* coordinator/cmd/cmd_embed.c — `gemmapipe embed-image`: the rows a picture becomes, float32 [rows, hidden]. No text model. */
#include "coordinator/picture/prompt_pictures.h"
#include "coordinator/cmd/commands.h"
#include "base/whole_file.h"
#include "coordinator/report/report.h"
#include "coordinator/engine/serve.h"
#include "coordinator/report/trace.h"

static int look(struct pipeline *p, struct server *s, struct album *a, const char *out, struct err *why)
{
    struct picture_span span = {.n = vision_tokens(&p->encoder->config)};
    struct request r = {.spans = {.span = &span, .n = 1}};
    struct whole_file *f = NULL;
    TRY(album_bind(a, serve_pictures(s), 0, &r, 0, why));
    int code = serve_look(s, why);
    const size_t bytes = (size_t)span.n * p->encoder->config.hidden * sizeof(float);
    if (!code) code = whole_file_open(&f, out, why);
    if (!code) code = whole_file_write(f, pictures_rows(serve_pictures(s), (uint32_t)span.picture), bytes, why);
    code = whole_file_close(&f, code, why);
    pictures_release(serve_pictures(s), (uint32_t)span.picture);
    return code;
}

int command_embed_image(const struct options *o, const struct cluster_wish *wish, struct port *mpi, struct err *why)
{
    struct pipeline *p = 0;
    struct server *s = 0;
    struct album a = {0};
    struct capacity none = {.context = 1, .sequences = 1, .rows = 1, .in_flight = 1};
    int code = open_pipeline(&p, o, wish, mpi, why);
    if (!code) a.side = p->encoder->config.image;
    if (!code) code = album_add(&a, o->images[0], why);
    if (!code) code = pipeline_launch(p, &none, why);
    if (!code) code = serve_open(&s, p, why);
    if (!code) code = look(p, s, &a, o->out, why);
    if (!code && o->report) code = report_pictures(p, why);
    if (!code) code = trace_finish(p, why);
    album_close(&a, s ? serve_pictures(s) : 0);
    serve_close(&s);
    pipeline_close(&p, code ? why : 0);
    return code;
}
