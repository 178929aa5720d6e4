/* nn/layers.c - layers with parameters. */
#include <banff/nn.h>

#include "graph/graph_error.h"
#include "nn/lip_factor.h"
#include "nn/ortho_conv.h"
#include "nn/reparam.h"

#include <math.h>
#include <stdio.h>

bnf_val bnf_nn_enter(bnf_scope *s, bnf_val x)
{
    return s->bf16 ? bnf_cast(s->b, x, BNF_BF16) : x;
}

bnf_val bnf_nn_leave(bnf_scope *s, bnf_val x)
{
    return s->bf16 ? bnf_cast(s->b, x, s->b->real) : x;
}

bnf_val bnf_nn_param(bnf_scope *s, const bnf_param_info *info)
{
    int index = bnf_params_find(s->params, info->name);
    if (bnf_graph_status(s->graph) != BNF_OK)
        return BNF_NONE;
    if (index < 0) {
        bnf_status status = bnf_params_add(s->params, info, &index);
        if (status != BNF_OK) {
            bnf_graph_fail(s->graph, status);
            return BNF_NONE;
        }
    } else if (!bnf_desc_equal(&bnf_params_info(s->params, index)->desc, &info->desc)) {
        char have[96], want[96];
        bnf_graph_fail(s->graph, bnf_fail(BNF_ERR_ARG, "parameter '%s' is %s, a layer wants %s", info->name,
                                          bnf_desc_format(&bnf_params_info(s->params, index)->desc, have, sizeof have),
                                          bnf_desc_format(&info->desc, want, sizeof want)));
        return BNF_NONE;
    }
    return bnf_graph_param(s->graph, index);
}

bnf_lip bnf_lip_default(bnf_lip_kind kind)
{
    return (bnf_lip){.kind = kind,
                     .power_iterations = 10,
                     .power_tolerance = 1e-3,
                     .eps = 1e-3,
                     .bjorck_iterations = 15,
                     .bjorck_beta = 0.5,
                     .bjorck_tolerance = 1e-3};
}

/* NAME.weight with its start and constraint, NAME.bias. `fan_in`: inputs of one output neuron. */
static bnf_val weight(bnf_scope *s, const char *name, const bnf_desc *desc, const bnf_lip *lip, double factor)
{
    char full[128];
    snprintf(full, sizeof full, "%s.weight", name);
    bnf_param_info info = {.name = full, .desc = *desc, .trainable = true, .decay = true};
    double fan_in = (double)(bnf_desc_count(desc) / desc->dim[0]);
    info.init = lip->kind == BNF_LIP_NONE ? (bnf_init){BNF_INIT_NORMAL, 0, sqrt(2 / fan_in)}
                                          : (bnf_init){BNF_INIT_ORTHOGONAL, 1, 0};
    bnf_constraint_config config;
    bnf_reparam_describe(lip, factor, desc, &config, &info.reparam);
    return bnf_nn_param(s, &info);
}

static bnf_val bias(bnf_scope *s, const char *name, int64_t out)
{
    char full[128];
    snprintf(full, sizeof full, "%s.bias", name);
    return bnf_nn_param(s, &(bnf_param_info){.name = full, .desc = bnf_desc_1d(s->b->real, out), .trainable = true});
}

bnf_conv2d_layer bnf_conv2d_layer_default(int64_t out)
{
    return (bnf_conv2d_layer){.out = out,
                              .kernel = {3, 3},
                              .stride = {1, 1},
                              .pad = {-1, -1},
                              .dilation = {1, 1},
                              .groups = 1,
                              .bias = true,
                              .lip = bnf_lip_default(BNF_LIP_NONE)};
}

static double conv_factor(bnf_scope *s, const bnf_conv2d_layer *l, const bnf_desc *x)
{
    double factor = 1;
    bnf_conv_geometry g = {.kernel_h = l->kernel[0],
                           .kernel_w = l->kernel[1],
                           .stride_h = l->stride[0],
                           .stride_w = l->stride[1],
                           .dilation_h = l->dilation[0],
                           .dilation_w = l->dilation[1],
                           .in_h = x->dim[1],
                           .in_w = x->dim[2]};
    if (l->lip.kind != BNF_LIP_NONE)
        bnf_graph_fail(s->graph,
                       bnf_lip_factor(l->lip.published_factor ? BNF_LIP_FACTOR_PUBLISHED : BNF_LIP_FACTOR_EXACT_BOUND,
                                      &g, &factor));
    return factor;
}

/* NAME.weight of a convolution that is orthogonal as an operator. */
static bnf_val orthogonal_weight(bnf_scope *s, const char *name, const bnf_conv2d_layer *l, int64_t in,
                                 const bnf_desc *desc)
{
    char full[128];
    snprintf(full, sizeof full, "%s.weight", name);
    bnf_ortho_conv_config config = {.out = l->out, .in = in, .groups = l->groups};
    for (int i = 0; i < 2; i++) {
        config.kernel[i] = l->kernel[i];
        config.stride[i] = l->stride[i];
        config.dilation[i] = l->dilation[i];
    }
    bnf_status status = bnf_ortho_conv_check(&config);
    if (status != BNF_OK) {
        bnf_graph_fail(s->graph, bnf_fail_context(status, "%s", name));
        return BNF_NONE;
    }
    bnf_param_info info = {
        .name = full, .desc = *desc, .trainable = true, .decay = true, .init = {BNF_INIT_NORMAL, 0, 1}};
    bnf_ortho_conv_describe(&config, desc->dtype, &info.reparam);
    return bnf_nn_param(s, &info);
}

bnf_val bnf_nn_conv2d(bnf_scope *s, const char *name, bnf_val x, const bnf_conv2d_layer *layer)
{
    if (!bnf_val_ok(x))
        return BNF_NONE;
    const bnf_desc in = *bnf_val_desc(s->b, x);
    if (in.ndim != 4 || layer->groups < 1 || in.dim[3] % layer->groups || layer->out % layer->groups ||
        layer->out < 1) {
        char shape[96];
        bnf_graph_fail(s->graph,
                       bnf_fail(BNF_ERR_ARG, "%s: a convolution to %lld channels in %lld groups does not take %s", name,
                                (long long)layer->out, (long long)layer->groups,
                                bnf_desc_format(&in, shape, sizeof shape)));
        return BNF_NONE;
    }
    bnf_conv2d_attr attr = {.stride = {layer->stride[0], layer->stride[1]},
                            .dilation = {layer->dilation[0], layer->dilation[1]},
                            .groups = layer->groups};
    for (int i = 0; i < 4; i++) {
        int64_t same = (layer->kernel[i % 2] - 1) * layer->dilation[i % 2] / 2;
        attr.pad[i] = layer->pad[i % 2] >= 0 ? layer->pad[i % 2] : same;
    }
    bnf_desc wd = bnf_desc_make(s->b->real, 4,
                                (int64_t[]){layer->out, in.dim[3] / layer->groups, layer->kernel[0], layer->kernel[1]});
    bnf_val w = layer->lip.kind == BNF_LIP_ORTHOGONAL ? orthogonal_weight(s, name, layer, in.dim[3], &wd)
                                                      : weight(s, name, &wd, &layer->lip, conv_factor(s, layer, &in));
    return bnf_conv2d(s->b, x, w, layer->bias ? bias(s, name, layer->out) : BNF_NONE, &attr);
}

int64_t bnf_nn_outputs(const bnf_params *params, const char *name, int64_t otherwise)
{
    char full[128];
    snprintf(full, sizeof full, "%s.weight", name);
    int index = bnf_params_find(params, full);
    return index >= 0 ? bnf_params_info(params, index)->desc.dim[0] : otherwise;
}

bnf_val bnf_nn_dense(bnf_scope *s, const char *name, bnf_val x, int64_t out, bool with_bias, const bnf_lip *lip)
{
    if (!bnf_val_ok(x))
        return BNF_NONE;
    x = bnf_flatten(s->b, x);
    bnf_desc wd = bnf_desc_2d(s->b->real, out, bnf_desc_cols(bnf_val_desc(s->b, x)));
    bnf_val w = weight(s, name, &wd, lip, 1);
    return bnf_dense(s->b, x, w, with_bias ? bias(s, name, out) : BNF_NONE);
}

bnf_val bnf_nn_residual(bnf_scope *s, bnf_val x, bnf_val y, bool lipschitz)
{
    bnf_val sum = bnf_add(s->b, x, y);
    return lipschitz ? bnf_affine(s->b, sum, 0.5, 0) : sum;
}

bnf_val bnf_nn_mix(bnf_scope *s, const char *name, bnf_val x, bnf_val y)
{
    char full[128];
    snprintf(full, sizeof full, "%s.mix", name);
    const bnf_desc one = bnf_desc_1d(s->b->real, 1);
    bnf_val a = bnf_sigmoid(s->b, bnf_nn_param(s, &(bnf_param_info){.name = full, .desc = one, .trainable = true}));
    return bnf_add(s->b, bnf_mul(s->b, x, a), bnf_mul(s->b, y, bnf_affine(s->b, a, -1, 1)));
}
