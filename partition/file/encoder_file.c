/* partition/file/encoder_file.c — an encoder's GGUF file holds exactly the tensors of the architecture, or is refused. */
#include "partition/file/encoder_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The name under which the file has this role. */
static void name_of(char out[80], enum vision_role role, uint32_t layer, bool swapped)
{
    if (swapped && role >= V_UP && role <= V_DOWN_BIAS)
        role = role < V_DOWN ? role + (V_DOWN - V_UP) : role - (V_DOWN - V_UP);
    if (role < V_LAYER_ROLES) snprintf(out, 80, "v.blk.%u.%s", layer, vision_role_name(role));
    else snprintf(out, 80, "%s", vision_role_name(role));
}

static int check_dims(const char *path, const struct gguf_tensor *found, const struct tensor *t, uint32_t patch,
                      struct err *why)
{
    uint64_t wanted[4] = {t->cols, t->rows, 1, 1};
    uint32_t rank = vision_role_is_vector(t->role) ? 1 : 2;
    if (t->role == V_PATCH) {
        wanted[0] = wanted[1] = patch, wanted[2] = 3, wanted[3] = t->rows;
        rank = 4;
    }
    if (found->n_dims != rank)
        return fail(why, E_FILE, "%s: tensor %s has %u dimensions, wanted %u", path, found->name, found->n_dims, rank);
    for (uint32_t i = 0; i < rank; i++)
        if (found->dims[i] != wanted[i])
            return fail(why, E_FILE, "%s: dimension %u of tensor %s is %" PRIu64 ", by the metadata it is %" PRIu64,
                        path, i, found->name, found->dims[i], wanted[i]);
    return 0;
}

static int bind(struct tensor *t, const struct vision_model *m, bool swapped, struct err *why)
{
    char name[80];
    name_of(name, t->role, t->layer, swapped);
    const struct gguf_tensor *found = gguf_tensor(m->file, name);
    if (!found) return fail(why, E_FILE, "%s has no tensor %s", gguf_path(m->file, 0), name);
    const char *path = gguf_path(m->file, (int)found->file);
    TRY(check_dims(path, found, t, m->config.patch, why));
    t->type = found->type;
    t->data = found->data;
    if (!vision_type_is_possible(t))
        return fail(why, E_FILE, "%s: tensor %s is %s; %s", path, name, block_info(found->type)->name,
                    vision_role_is_vector(t->role) ? "norms and biases are F32"
                                                   : "wanted F32, F16 or BF16, for matrices also Q8_0 or Q4_0");
    return 0;
}

/* In older files `ffn_down` is the matrix that takes rows of `width`. */
static bool names_are_swapped(const struct vision_model *m)
{
    const struct gguf_tensor *down = gguf_tensor(m->file, "v.blk.0.ffn_down.weight");
    return down && m->config.width != m->config.ffn && down->dims[0] == m->config.width;
}

/* Called when all that is wanted is there, each once: another count means an unknown one. */
static int check_nothing_else(const struct vision_model *m, struct err *why)
{
    for (size_t i = 0; i < gguf_tensor_count(m->file); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(m->file, i);
        uint32_t layer = 0;
        int at = 0;
        bool known = false;
        bool in_layer = sscanf(t->name, "v.blk.%" SCNu32 ".%n", &layer, &at) == 1 && at && layer < m->config.layers;
        for (int role = 0; role < V_ROLES && !known; role++) {
            char wanted[80];
            if (role < V_LAYER_ROLES && !in_layer) continue;
            name_of(wanted, (enum vision_role)role, layer, false);
            known = !strcmp(t->name, wanted);
        }
        if (!known)
            return fail(why, E_FILE, "%s holds the tensor %s, which is not part of a Gemma 3 picture encoder of %u layers",
                        gguf_path(m->file, (int)t->file), t->name, m->config.layers);
    }
    return 0;
}

static int bind_all(struct vision_model *m, struct err *why)
{
    const struct vision_config *c = &m->config;
    const bool swapped = names_are_swapped(m);
    m->layer_tensors = calloc((size_t)c->layers * V_LAYER_ROLES, sizeof *m->layer_tensors);
    if (!m->layer_tensors) return fail(why, E_MEMORY, "no memory for the tensors of %u vision layers", c->layers);
    for (uint32_t i = 0; i < c->layers * V_LAYER_ROLES; i++) {
        m->layer_tensors[i] = vision_tensor(c, (enum vision_role)(i % V_LAYER_ROLES), i / V_LAYER_ROLES);
        TRY(bind(&m->layer_tensors[i], m, swapped, why));
    }
    for (int role = V_LAYER_ROLES; role < V_ROLES; role++) {
        m->rest[role - V_LAYER_ROLES] = vision_tensor(c, (enum vision_role)role, 0);
        TRY(bind(&m->rest[role - V_LAYER_ROLES], m, swapped, why));
    }
    return check_nothing_else(m, why);
}

static int open_encoder(struct vision_model *m, const char *path, struct err *why)
{
    TRY(gguf_open(&m->file, path, why));
    TRY(vision_config_read(&m->config, m->file, why));
    TRY(bind_all(m, why));
    m->fingerprint = gguf_fingerprint(m->file);
    return 0;
}

int vision_open(struct vision_model **out, const char *path, struct err *why)
{
    *out = NULL;
    struct vision_model *m = calloc(1, sizeof *m);
    if (!m) return fail(why, E_MEMORY, "no memory to open %s", path);
    int code = open_encoder(m, path, why);
    if (code) vision_close(&m);
    *out = m;
    return code;
}

void vision_close(struct vision_model **model)
{
    struct vision_model *m = *model;
    *model = NULL;
    if (!m) return;
    gguf_close(&m->file);
    free(m->layer_tensors);
    free(m);
}
