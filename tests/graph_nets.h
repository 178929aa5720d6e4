/* tests/graph_nets.h - small networks that between them use every way in which values can live in a plan: across and
 * within segments, read by many, in place, through aliases, shared, batch-level. Sample shape: nets_sample. */
#ifndef BNF_TESTS_GRAPH_NETS_H
#define BNF_TESTS_GRAPH_NETS_H

#include "graph_fixture.h"

#define NETS_CLASSES 4

static inline bnf_desc nets_sample(void)
{
    return bnf_desc_4d(BNF_F32, 1, 8, 8, 4);
}

static inline bnf_val nets_conv(fixture *f, const char *name, bnf_val x, int64_t out)
{
    bnf_conv2d_layer conv = bnf_conv2d_layer_default(out);
    return bnf_nn_conv2d(&f->scope, name, x, &conv);
}

/* Without bias, for in front of a normalisation, which takes it away again. */
static inline bnf_val nets_bare_conv(fixture *f, const char *name, bnf_val x, int64_t out)
{
    bnf_conv2d_layer conv = bnf_conv2d_layer_default(out);
    conv.bias = false;
    return bnf_nn_conv2d(&f->scope, name, x, &conv);
}

static inline bnf_val nets_dense(fixture *f, const char *name, bnf_val x, int64_t out)
{
    bnf_lip none = bnf_lip_default(BNF_LIP_NONE);
    return bnf_nn_dense(&f->scope, name, x, out, true, &none);
}

static inline bnf_val nets_norm(fixture *f, const char *name, bnf_val x, bool per_leaf)
{
    bnf_batch_norm_layer norm = bnf_batch_norm_layer_default();
    norm.per_leaf = per_leaf;
    return bnf_nn_batch_norm(&f->scope, name, x, &norm);
}

static inline bnf_val nets_pool(fixture *f, bnf_val x, bnf_pool_kind kind)
{
    bnf_pool2d_attr pool = {.kind = kind, .window = {2, 2}, .stride = {2, 2}};
    return bnf_pool2d(f->scope.b, x, &pool);
}

static inline bnf_val nets_cross_entropy(fixture *f, bnf_val y)
{
    return bnf_loss_cross_entropy(&f->scope, nets_dense(f, "head", y, NETS_CLASSES), f->labels, 0.1);
}

static inline bnf_val nets_plain(fixture *f)
{
    bnf_builder *b = f->scope.b;
    bnf_val y = nets_pool(f, bnf_relu(b, nets_conv(f, "conv1", f->x, 8)), BNF_POOL_MAX);
    y = nets_pool(f, bnf_leaky_relu(b, nets_conv(f, "conv2", y, 16), 0.1), BNF_POOL_AVG);
    return nets_cross_entropy(f, y);
}

static inline bnf_val nets_residual(fixture *f)
{
    bnf_builder *b = f->scope.b;
    bnf_val y = bnf_relu(b, nets_norm(f, "norm1", nets_bare_conv(f, "conv1", f->x, 8), false));
    bnf_val z = bnf_relu(b, nets_norm(f, "norm2", nets_bare_conv(f, "conv2", y, 8), false));
    y = bnf_nn_residual(&f->scope, y, nets_norm(f, "norm3", nets_bare_conv(f, "conv3", z, 8), false), false);
    f->kept[f->n_kept++] = y; /* kept, read later and an input of the next operation */
    return nets_cross_entropy(f, bnf_global_avg(b, bnf_relu(b, y), 1));
}

static inline bnf_val nets_concat(fixture *f)
{
    bnf_builder *b = f->scope.b;
    bnf_val part[3] = {bnf_tanh(b, nets_conv(f, "conv1", f->x, 6)), bnf_sigmoid(b, nets_conv(f, "conv2", f->x, 5)),
                       f->x};
    bnf_val y = bnf_concat(b, part, 3);
    y = bnf_sub(b, bnf_slice(b, y, 1, 8), bnf_slice(b, y, 7, 8));
    bnf_val again[2] = {y, bnf_square(b, y)};
    return nets_cross_entropy(f, nets_pool(f, bnf_concat(b, again, 2), BNF_POOL_L2));
}

static inline bnf_val nets_dropout(fixture *f)
{
    bnf_builder *b = f->scope.b;
    bnf_val y = bnf_dropout(b, bnf_relu(b, nets_conv(f, "conv1", f->x, 8)), 0.25);
    y = bnf_dropout(b, bnf_relu(b, nets_dense(f, "dense1", bnf_flatten(b, y), 24)), 0.5);
    y = nets_norm(f, "norm1", y, true);
    return nets_cross_entropy(f, y);
}

static inline bnf_val nets_lipschitz(fixture *f, bnf_hkr_kind kind)
{
    bnf_builder *b = f->scope.b;
    bnf_hkr hkr = {.kind = kind, .form = BNF_HKR_SUM, .alpha = 10, .min_margin = 0.5, .temperature = 2, .penalty = 1};
    bnf_val y = nets_pool(f, bnf_groupsort2(b, nets_conv(f, "conv1", f->x, 8)), BNF_POOL_L2);
    y = bnf_fullsort(b, nets_dense(f, "dense1", bnf_flatten(b, bnf_pixel_unshuffle(b, y, 2)), 16));
    bnf_hkr_terms terms = bnf_loss_hkr(&f->scope, "loss", nets_dense(f, "head", y, NETS_CLASSES), f->labels, &hkr);
    f->kept[f->n_kept++] = terms.kr;
    f->kept[f->n_kept++] = terms.hinge;
    return terms.loss;
}

static inline bnf_val nets_hkr(fixture *f)
{
    return nets_lipschitz(f, BNF_HKR_MULTICLASS);
}

static inline bnf_val nets_hkr_soft(fixture *f)
{
    return nets_lipschitz(f, BNF_HKR_SOFT);
}

/* The same weights three times, twice in a row and once beside, one of them scaled by a batch-level function of
 * itself. */
static inline bnf_val nets_shared(fixture *f)
{
    bnf_builder *b = f->scope.b;
    bnf_val y = bnf_relu(b, nets_conv(f, "conv1", f->x, 4));
    y = bnf_add(b, bnf_tanh(b, nets_conv(f, "conv1", y, 4)), f->x);
    bnf_param_info info = {.name = "scale",
                           .desc = bnf_desc_1d(bnf_params_real(f->params), 4),
                           .trainable = true,
                           .init = {BNF_INIT_UNIFORM, 0.5, 1.5}};
    bnf_val scale = bnf_nn_param(&f->scope, &info);
    bnf_val norm = bnf_rsqrt(b, bnf_sum_all(b, bnf_square(b, scale)));
    y = bnf_mul(b, nets_conv(f, "conv1", y, 4), bnf_mul(b, scale, norm));
    return nets_cross_entropy(f, bnf_softplus(b, y));
}

/* Values that live long, are read in odd places, and broadcast. */
static inline bnf_val nets_tangled(fixture *f)
{
    bnf_builder *b = f->scope.b;
    bnf_val y = nets_conv(f, "conv1", f->x, 4), z = bnf_sigmoid(b, y), u = bnf_exp(b, bnf_affine(b, z, -2, 0));
    bnf_val mean = bnf_affine(b, bnf_sum_last(b, u), 0.25, 0); /* [N,H,W,1] */
    bnf_val centred = bnf_sub(b, u, mean), w = bnf_div(b, centred, bnf_affine(b, bnf_square(b, mean), 1, 1));
    bnf_val batch = bnf_batch_sum(b, bnf_sum_all(b, bnf_square(b, w)));
    w = bnf_mul(b, w, bnf_rsqrt(b, bnf_affine(b, batch, 1, 1)));
    bnf_val top = bnf_maximum(b, bnf_mul(b, z, y), bnf_add(b, w, bnf_clip(b, y, -0.5, 0.5)));
    f->kept[f->n_kept++] = bnf_reshape(b, top, 2, (int64_t[]){bnf_val_desc(b, top)->dim[0], 256});
    return nets_cross_entropy(f, bnf_add(b, top, bnf_mul(b, f->x, y)));
}

static const struct nets_case {
    const char *name;
    fixture_build build;
} nets[] = {
    {"plain", nets_plain}, {"residual", nets_residual}, {"concat", nets_concat}, {"dropout", nets_dropout},
    {"hkr", nets_hkr},     {"hkr_soft", nets_hkr_soft}, {"shared", nets_shared}, {"tangled", nets_tangled},
};
#define NETS ((int)(sizeof nets / sizeof *nets))

/* Opens net `i` with `per_leaf` samples in each of `leaves` leaves. */
static inline void nets_open(fixture *f, int i, bnf_dtype real, int64_t per_leaf, int64_t leaves,
                             const bnf_plan_config *cfg)
{
    bnf_desc sample = nets_sample();
    fixture_open(f, real, per_leaf * leaves, leaves, &sample, NETS_CLASSES, nets[i].build, cfg);
}

#endif
