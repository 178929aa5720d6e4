/* nn/loss.c - the usual losses. */
#include <banff/nn.h>

#include "ops/op.h"

bnf_val bnf_nn_batch_mean(bnf_scope *s, bnf_val x)
{
    bnf_builder *b = s->b;
    if (!bnf_val_ok(x))
        return BNF_NONE;
    if (bnf_val_ok(s->weight)) {
        bnf_val w = bnf_reshape(b, s->weight, 2, (int64_t[]){bnf_val_desc(b, x)->dim[0], 1});
        x = bnf_mul(b, x, w);
    }
    return bnf_div(b, bnf_batch_sum(b, bnf_sum_all(b, x)), s->count);
}

/* Mean over the elements of each sample: [N,1]. */
static bnf_val sample_mean(bnf_builder *b, bnf_val x)
{
    x = bnf_flatten(b, x);
    return bnf_val_ok(x) ? bnf_affine(b, bnf_sum_last(b, x), 1 / (double)bnf_desc_cols(bnf_val_desc(b, x)), 0)
                         : BNF_NONE;
}

bnf_val bnf_loss_cross_entropy(bnf_scope *s, bnf_val logits, bnf_val labels, double smoothing)
{
    if (!bnf_val_ok(logits))
        return BNF_NONE;
    bnf_builder *b = s->b;
    int64_t classes = bnf_desc_cols(bnf_val_desc(b, logits));
    bnf_val target = bnf_one_hot(b, labels, classes);
    if (smoothing > 0)
        target = bnf_affine(b, target, 1 - smoothing, smoothing / (double)classes);
    bnf_val per_sample = bnf_sum_last(b, bnf_mul(b, bnf_log_softmax(b, logits), target));
    return bnf_nn_batch_mean(s, bnf_affine(b, per_sample, -1, 0));
}

bnf_val bnf_loss_mse(bnf_scope *s, bnf_val x, bnf_val target)
{
    return bnf_nn_batch_mean(s, sample_mean(s->b, bnf_square(s->b, bnf_sub(s->b, x, target))));
}

bnf_val bnf_loss_bce_logits(bnf_scope *s, bnf_val logits, bnf_val target)
{
    bnf_builder *b = s->b;
    return bnf_nn_batch_mean(s, sample_mean(b, bnf_sub(b, bnf_softplus(b, logits), bnf_mul(b, target, logits))));
}
