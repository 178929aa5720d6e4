/* A program outside Banff's tree that uses the installed library: trains a small 1-Lipschitz network on two noisy
 * rings, on any number of ranks, and prints the loss before and after, which is the same text for every number of
 * them. */
#include <banff/comm.h>
#include <banff/dist.h>
#include <banff/nn.h>
#include <banff/optim.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { LEAVES = 4, SAMPLES = 8, STEPS = 200 }; /* SAMPLES per leaf */

/* The optimiser that owners use. */
static void update(void *self, int param, float *value, const float *grad, float *const *state, int64_t n, double scale,
                   int64_t step, const double *sums)
{
    (void)param;
    (void)sums;
    bnf_optim_update(self, value, grad, state, n, 0.01, 0, scale, step + 1);
}

static const char *state_name(void *self, int i)
{
    return bnf_optim_state_name(self, i);
}

static double clip(void *self, double total)
{
    (void)self;
    return bnf_optim_clip_scale(total, 0);
}

/* x[N,2] -> score [N,1], binary hKR loss. */
static bnf_val build(bnf_scope *s, bnf_val x, bnf_val labels)
{
    const bnf_lip lip = bnf_lip_default(BNF_LIP_BJORCK), head = bnf_lip_default(BNF_LIP_FROBENIUS_ROWS);
    const bnf_hkr hkr = {.kind = BNF_HKR_BINARY, .alpha = 10, .min_margin = 0.2};
    bnf_val y = bnf_groupsort2(s->b, bnf_nn_dense(s, "dense1", x, 32, true, &lip));
    y = bnf_groupsort2(s->b, bnf_nn_dense(s, "dense2", y, 32, true, &lip));
    return bnf_loss_hkr(s, "loss", bnf_nn_dense(s, "head", y, 1, true, &head), labels, &hkr).loss;
}

/* Points on two circles; sample i of the global batch, whatever rank has it. */
static void fill(int first, int count, float *x, int32_t *labels)
{
    for (int i = 0; i < count; i++) {
        const double angle = 0.7 * (first + i), radius = (first + i) % 2 ? 1 : 0.4;
        x[2 * i] = (float)(radius * cos(angle));
        x[2 * i + 1] = (float)(radius * sin(angle));
        labels[i] = (first + i) % 2;
    }
}

static bnf_status train(const bnf_comm *world, bnf_params *params, bnf_graph *graph)
{
    const bnf_desc xd = bnf_desc_2d(BNF_F32, SAMPLES, 2), yd = bnf_desc_1d(BNF_I32, SAMPLES);
    const bnf_val x = bnf_graph_input(graph, "x", &xd), labels = bnf_graph_input(graph, "labels", &yd);
    bnf_builder *b = bnf_graph_builder(graph);
    bnf_scope scope = {params, graph, b, BNF_NONE, bnf_const(b, LEAVES * SAMPLES), true};
    const bnf_val loss = build(&scope, x, labels);
    BNF_TRY(bnf_graph_minimize(graph, loss));
    BNF_TRY(bnf_params_init(params, 1));

    int owner[16], lo, hi;
    BNF_TRY(bnf_owners_assign(params, bnf_comm_size(world), owner));
    const bnf_plan_config cfg = {.comm = world, .threads = 1, .owner = owner};
    bnf_plan *plan;
    BNF_TRY(bnf_plan_create(&cfg, graph, &loss, 1, &plan));
    bnf_plan_leaves(plan, &lo, &hi);
    float *points = aligned_alloc(64, LEAVES * SAMPLES * 2 * sizeof(float));
    int32_t *classes = aligned_alloc(64, LEAVES * SAMPLES * sizeof(int32_t));
    if (!points || !classes)
        return bnf_fail(BNF_ERR_MEMORY, "out of memory");
    fill(lo * SAMPLES, (hi - lo) * SAMPLES, points, classes);
    BNF_TRY(bnf_plan_bind(plan, x, points));
    BNF_TRY(bnf_plan_bind(plan, labels, classes));

    bnf_optim_rule adam = bnf_optim_rule_default(BNF_OPTIM_ADAM);
    const bnf_update_rule rule = {.self = &adam,
                                  .n_states = bnf_optim_state_count(&adam),
                                  .state_name = state_name,
                                  .update = update,
                                  .sumsq = bnf_optim_sumsq,
                                  .clip = clip};
    bnf_updater *updater;
    bnf_update_stats stats;
    BNF_TRY(bnf_updater_create(world, params, owner, &rule, 1, &updater));
    double first = 0, last = 0;
    for (int step = 0; step < STEPS; step++) {
        BNF_TRY(bnf_plan_run(plan, step));
        last = *(const float *)bnf_plan_output(plan, loss);
        first = step == 0 ? last : first;
        BNF_TRY(bnf_updater_step(updater, plan, step, &stats));
    }
    if (bnf_comm_rank(world) == 0)
        printf("example: loss %.9g, after %d steps %.9g (Banff %s)\n", first, STEPS, last, bnf_version());
    bnf_updater_destroy(updater);
    bnf_plan_destroy(plan);
    free(points);
    free(classes);
    return last < first - 0.1 ? BNF_OK
                              : bnf_fail(BNF_ERR_NUMERIC, "training did not reduce the loss: %g, then %g", first, last);
}

static bnf_status run(void)
{
    bnf_params *params;
    bnf_graph *graph;
    BNF_TRY(bnf_params_create(BNF_F32, &params));
    BNF_TRY(bnf_graph_create(params, LEAVES, true, &graph));
    const bnf_status s = train(bnf_comm_world(), params, graph);
    bnf_graph_destroy(graph);
    bnf_params_destroy(params);
    return s;
}

int main(void)
{
    bnf_status s = bnf_comm_init(BNF_THREAD_FUNNELED);
    if (s == BNF_OK)
        s = run();
    if (s != BNF_OK) {
        fprintf(stderr, "example: %s: %s\n", bnf_status_name(s), bnf_error_message());
        bnf_comm_abort(1);
    }
    return bnf_comm_finalize() == BNF_OK ? 0 : 1;
}
