/* recipes/dark_showers/recipe.c - detector images that are not like those of QCD, by how badly an autoencoder
 * reconstructs them, spec 04. */
#include "recipes/dark_showers/dark_showers.h"
#include "recipes/dark_showers/net.h"
#include "recipes/dark_showers/report.h"
#include "recipes/dark_showers/score.h"
#include "recipes/dark_showers/vae.h"

#include "graph/graph_error.h"

#include <stddef.h>

static const char *const kind_names[] = {"codae", "autoencoder", "codvae", "supervised", NULL};

#define AT(field) offsetof(bnf_dark_model, field)
static const bnf_cfg_key model_keys[] = {
    {"kind", BNF_CFG_ENUM, AT(kind), "codae",
     "codae: conditional dual autoencoder; autoencoder: without auxiliary encoder and conditioning; codvae: a "
     "codae whose latent image is drawn from categories; supervised: the encoder and a classifier",
     .choices = kind_names},
    {"filters", BNF_CFG_INT_LIST, AT(filters), "[64, 128, 128, 256]",
     "channels of the encoder's stages, each of which halves height and width; the decoder's are the same in reverse "
     "order",
     .min = 1, .max = 65536},
    {"aux_filters", BNF_CFG_INT_LIST, AT(aux_filters), "[64, 128, 128, 256]",
     "channels of the auxiliary encoder's stages", .min = 1, .max = 65536},
    {"latent", BNF_CFG_INT, AT(latent), "64", "channels of the latent image Z; codvae: categories of each site",
     .min = 1, .max = 65536},
    {"aux", BNF_CFG_INT, AT(aux), "2", "components of the auxiliary latent vector Z_m", .min = 1, .max = 1024},
    {"groups", BNF_CFG_INT, AT(groups), "4", "of encoder's and decoder's convolutions, but for the first of either",
     .min = 1, .max = 65536},
    {"aux_groups", BNF_CFG_INT, AT(aux_groups), "2", "of the auxiliary encoder's convolutions, but for the first",
     .min = 1, .max = 65536},
    {"draws", BNF_CFG_INT, AT(draws), "10", "codvae: draws from which the divergence from the prior is estimated",
     .min = 1, .max = 10000},
    {"kl", BNF_CFG_REAL, AT(kl), "1", "codvae: weight of the divergence in the loss", .min = 0, .max = 1e6},
    {"slope", BNF_CFG_REAL, AT(slope), "0.2", "of leaky ReLU below 0", .min = 0, .max = 1},
};
#undef AT

static int sections(void *settings, bnf_cfg_section *s)
{
    bnf_dark_settings *set = settings;
    s[0] = (bnf_cfg_section){"model", "the network", BNF_CFG_KEYS(model_keys), &set->model};
    return 1;
}

static bnf_status check(const void *settings)
{
    const bnf_dark_model *m = &((const bnf_dark_settings *)settings)->model;
    const bnf_cfg_ints *lists[] = {&m->filters, &m->aux_filters};
    for (int i = 0; i < 2; i++)
        if (lists[i]->count < 1 || lists[i]->count > BNF_DARK_MAX_STAGES)
            return bnf_fail(BNF_ERR_CONFIG, "model.%s: %lld stages; 1 to %d are possible",
                            i ? "aux_filters" : "filters", (long long)lists[i]->count, BNF_DARK_MAX_STAGES);
    return BNF_OK;
}

/* [N,...] -> [N,1]: the sum over everything else. */
static bnf_val total(bnf_scope *s, bnf_val x)
{
    return bnf_sum_last(s->b, bnf_flatten(s->b, x));
}

static void metric(bnf_model_values *v, const char *name, bnf_val value)
{
    v->metrics[v->n_metrics].name = name;
    v->metrics[v->n_metrics++].value = value;
}

static void output(bnf_model_values *v, const char *name, bnf_val value)
{
    v->outputs[v->n_outputs].name = name;
    v->outputs[v->n_outputs++].value = value;
}

/* What scores of x[N,H,W,1] in [0,1] and its reconstruction p are made of (events.h): sums that add up over the
 * images of an event. */
static void scores(bnf_scope *s, bnf_val x, bnf_val p, bnf_model_values *v)
{
    bnf_builder *b = s->b;
    output(v, "hits", total(s, x));
    output(v, "energy", total(s, p));
    output(v, "mse", total(s, bnf_square(b, bnf_sub(b, p, x))));
    output(v, "squares", bnf_add(b, total(s, bnf_square(b, p)), total(s, bnf_square(b, x))));
    output(v, "overlap", total(s, bnf_mul(b, p, x)));
    output(v, "reconstruction", p);
}

/* Masks alone: the cells are numbers in [0,1], and hits are counted. */
static bool check_mask(bnf_scope *s, bnf_val x)
{
    int64_t channels = bnf_desc_cols(bnf_val_desc(s->b, x));
    if (channels == 1)
        return true;
    bnf_graph_fail(s->graph,
                   bnf_fail(BNF_ERR_CONFIG, "model.kind: an autoencoder takes masks of one channel, not images of %lld",
                            (long long)channels));
    return false;
}

/* The latent values of an autoencoder; BNF_NONE: it has none such. */
typedef struct latent {
    bnf_val z, z_m, kl;
} latent;

static latent encode(const bnf_dark_model *m, bnf_scope *s, bnf_val x)
{
    latent l = {BNF_NONE, BNF_NONE, BNF_NONE};
    if (m->kind == BNF_DARK_CODVAE) {
        bnf_dark_code code = bnf_dark_draw_code(s, m, bnf_dark_stages(s, m, x));
        l.z = code.z;
        l.kl = code.kl;
    } else {
        l.z = bnf_dark_encoder(s, m, x);
    }
    if (m->kind != BNF_DARK_AUTOENCODER)
        l.z_m = bnf_dark_aux_encoder(s, m, x);
    return l;
}

static void autoencoder(const bnf_dark_model *m, bnf_scope *s, bnf_val x, bnf_model_values *v)
{
    bnf_builder *b = s->b;
    if (!check_mask(s, x))
        return;
    int64_t height = bnf_val_desc(b, x)->dim[1], width = bnf_val_desc(b, x)->dim[2];
    latent l = encode(m, s, x);
    bnf_val logits = bnf_dark_decoder(s, m, l.z, l.z_m, height, width);
    if (!bnf_val_ok(logits))
        return;
    bnf_val bce = total(s, bnf_sub(b, bnf_softplus(b, logits), bnf_mul(b, x, logits)));
    bnf_val loss = bnf_val_ok(l.kl) ? bnf_add(b, bce, bnf_affine(b, l.kl, m->kl, 0)) : bce;
    v->loss = bnf_nn_batch_mean(s, loss);
    metric(v, "hits", bnf_nn_batch_mean(s, total(s, x)));
    if (bnf_val_ok(l.kl)) {
        metric(v, "bce", bnf_nn_batch_mean(s, bce));
        metric(v, "kl", bnf_nn_batch_mean(s, l.kl));
    }
    if (s->training)
        return;
    output(v, "bce", bce);
    scores(s, x, bnf_sigmoid(b, logits), v);
    output(v, "z", l.z);
    if (bnf_val_ok(l.z_m))
        output(v, "z_m", l.z_m);
    if (bnf_val_ok(l.kl))
        output(v, "kl", l.kl);
}

static void supervised(const bnf_dark_model *m, bnf_scope *s, bnf_val x, bnf_val labels, int64_t classes,
                       bnf_model_values *v)
{
    bnf_lip none = bnf_lip_default(BNF_LIP_NONE);
    bnf_val y = bnf_dark_stages(s, m, x);
    if (!bnf_val_ok(y))
        return;
    v->logits =
        bnf_nn_dense(s, "head", bnf_global_avg(s->b, y, 1), bnf_nn_outputs(s->params, "head", classes), true, &none);
    v->loss = bnf_loss_cross_entropy(s, v->logits, labels, 0);
    if (!s->training)
        output(v, "hits", total(s, x));
}

static void build(const void *settings, bnf_scope *scope, bnf_val x, bnf_val labels, int64_t classes,
                  bnf_model_values *values)
{
    const bnf_dark_model *m = &((const bnf_dark_settings *)settings)->model;
    *values = (bnf_model_values){.logits = BNF_NONE, .loss = BNF_NONE};
    if (m->kind == BNF_DARK_SUPERVISED)
        supervised(m, scope, x, labels, classes, values);
    else
        autoencoder(m, scope, x, values);
}

const bnf_recipe bnf_recipe_dark_showers = {
    .name = "dark_showers",
    .summary = "anomaly detection in detector images by conditional dual autoencoders",
    .settings_size = sizeof(bnf_dark_settings),
    .sections = sections,
    .check = check,
    .build = build,
    .score = bnf_dark_score_command,
    .report = bnf_dark_report,
};
