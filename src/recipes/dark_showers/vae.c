/* recipes/dark_showers/vae.c - the categorical variational form. */
#include "recipes/dark_showers/vae.h"

#include "recipes/dark_showers/net.h"

#include <math.h>
#include <stdio.h>

enum { COMPONENTS = 5 };

/* log of the sum of exp over the last dimension, kept as extent 1: v minus its log softmax is that everywhere. */
static bnf_val log_sum_exp(bnf_scope *s, bnf_val v)
{
    return bnf_slice(s->b, bnf_sub(s->b, v, bnf_log_softmax(s->b, v)), 0, 1);
}

bnf_val bnf_dark_relaxed_log_density(bnf_scope *s, bnf_val log_y, bnf_val logits, bnf_val temperature)
{
    bnf_builder *b = s->b;
    if (!bnf_val_ok(log_y))
        return BNF_NONE;
    double k = (double)bnf_desc_cols(bnf_val_desc(b, log_y));
    bnf_val powers = bnf_sub(b, logits, bnf_mul(b, log_y, temperature));
    bnf_val density =
        bnf_sub(b, bnf_sum_last(b, bnf_sub(b, powers, log_y)), bnf_affine(b, log_sum_exp(s, powers), k, 0));
    return bnf_add(b, density, bnf_affine(b, bnf_log(b, temperature), k - 1, lgamma(k)));
}

static bnf_val prior_state(bnf_scope *s, const char *what, int i, int64_t n, bnf_init init)
{
    char name[64];
    snprintf(name, sizeof name, "prior.%s%d", what, i + 1);
    return bnf_nn_param(
        s, &(bnf_param_info){.name = name, .desc = bnf_desc_1d(bnf_params_real(s->params), n), .init = init});
}

/* log of the mixture's density at y. */
static bnf_val prior_log_density(bnf_scope *s, bnf_val log_y, int64_t categories)
{
    bnf_val parts[COMPONENTS];
    for (int i = 0; i < COMPONENTS; i++) {
        bnf_val logits = prior_state(s, "logits", i, categories, (bnf_init){BNF_INIT_NORMAL, 0, 1}),
                temperature = prior_state(s, "temperature", i, 1, (bnf_init){BNF_INIT_UNIFORM, 0.1, 1});
        parts[i] = bnf_dark_relaxed_log_density(s, log_y, logits, temperature);
    }
    return bnf_affine(s->b, log_sum_exp(s, bnf_concat(s->b, parts, COMPONENTS)), 1, -log(COMPONENTS));
}

/* log of draws with these logits and temperatures. */
static bnf_val draw_log(bnf_scope *s, bnf_val logits, bnf_val temperature)
{
    return bnf_log_softmax(s->b, bnf_div(s->b, bnf_gumbel(s->b, logits), temperature));
}

bnf_dark_code bnf_dark_draw_code(bnf_scope *s, const bnf_dark_model *m, bnf_val y)
{
    bnf_builder *b = s->b;
    bnf_val logits = bnf_dark_conv(s, "encoder.latent", y, m->latent, 1, 0);
    bnf_val temperature = bnf_affine(b, bnf_softplus(b, bnf_dark_conv(s, "encoder.temperature", y, 1, 1, 0)), 1, 1);
    if (!bnf_val_ok(logits) || !bnf_val_ok(temperature))
        return (bnf_dark_code){BNF_NONE, BNF_NONE};
    const bnf_desc d = *bnf_val_desc(b, logits);
    int64_t sites = d.dim[1] * d.dim[2];
    bnf_desc all = bnf_desc_4d(d.dtype, d.dim[0], m->draws, sites, d.dim[3]);
    bnf_dark_code code = {.z = bnf_exp(b, draw_log(s, logits, temperature))};
    bnf_val many = bnf_broadcast_to(b, bnf_reshape(b, logits, 4, (int64_t[]){d.dim[0], 1, sites, d.dim[3]}), &all);
    bnf_val t = bnf_reshape(b, temperature, 4, (int64_t[]){d.dim[0], 1, sites, 1});
    bnf_val log_y = draw_log(s, many, t);
    bnf_val ratio = bnf_sub(b, bnf_dark_relaxed_log_density(s, log_y, many, t), prior_log_density(s, log_y, d.dim[3]));
    code.kl = bnf_affine(b, bnf_sum_last(b, bnf_flatten(b, ratio)), 1 / (double)m->draws, 0);
    return code;
}
