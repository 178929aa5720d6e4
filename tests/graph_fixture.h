/* tests/graph_fixture.h - a small graph in f64 over several leaves, run by one process, with finite differences of
 * its parameters. */
#ifndef BNF_TESTS_GRAPH_FIXTURE_H
#define BNF_TESTS_GRAPH_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <banff/nn.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OK(expr)                                            \
    do {                                                    \
        if ((expr) != BNF_OK)                               \
            fail_msg("%s: %s", #expr, bnf_error_message()); \
    } while (0)

typedef struct fixture {
    bnf_params *params;
    bnf_graph *graph;
    bnf_scope scope;
    bnf_plan *plan;
    bnf_val x, labels, weight, count, loss, kept[4];
    int n_kept;
    int64_t batch, leaves, classes;
    int64_t differences; /* finite differences per parameter; 0: 40 */
    void *x_data, *weight_data;
    int32_t *label_data;
} fixture;

/* Emits the network and its loss into f->scope; may set f->kept. */
typedef bnf_val (*fixture_build)(fixture *f);

static inline void *fixture_aligned(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64 + 64);
    assert_non_null(p);
    memset(p, 0, (bytes + 63) / 64 * 64 + 64);
    return p;
}

/* A smooth deterministic filling in about (-1, 1), without ties. */
static inline double fixture_value(int64_t i)
{
    return sin(1.7 * (double)i + 0.3) + 0.1 * cos(5.1 * (double)i);
}

static inline void fixture_open(fixture *f, bnf_dtype real, int64_t batch, int64_t leaves, const bnf_desc *sample,
                                int64_t classes, fixture_build build, const bnf_plan_config *cfg)
{
    memset(f, 0, sizeof *f);
    f->batch = batch;
    f->leaves = leaves;
    f->classes = classes;
    bnf_desc xd = *sample, yd = bnf_desc_1d(BNF_I32, batch / leaves), wd = bnf_desc_1d(real, batch / leaves);
    xd.dtype = real;
    xd.dim[0] = batch / leaves;
    OK(bnf_params_create(real, &f->params));
    OK(bnf_graph_create(f->params, leaves, true, &f->graph));
    f->x = bnf_graph_input(f->graph, "x", &xd);
    f->labels = bnf_graph_input(f->graph, "labels", &yd);
    f->weight = bnf_graph_input(f->graph, "weight", &wd);
    bnf_desc one = bnf_desc_1d(real, 1);
    f->count = bnf_graph_knob(f->graph, "count", &one);
    f->scope = (bnf_scope){f->params, f->graph, bnf_graph_builder(f->graph), f->weight, f->count, true};
    f->loss = build(f);
    OK(bnf_graph_status(f->graph));
    OK(bnf_graph_minimize(f->graph, f->loss));
    OK(bnf_params_init(f->params, 7));
    f->kept[f->n_kept++] = f->loss;
    OK(bnf_plan_create(cfg, f->graph, f->kept, f->n_kept, &f->plan));
    size_t size = bnf_dtype_size(real);
    int64_t n = bnf_desc_count(&xd) * leaves;
    f->x_data = fixture_aligned((size_t)n * size);
    f->weight_data = fixture_aligned((size_t)batch * size);
    f->label_data = fixture_aligned((size_t)batch * sizeof(int32_t));
    for (int64_t i = 0; i < n; i++) {
        if (real == BNF_F64)
            ((double *)f->x_data)[i] = fixture_value(i);
        else
            ((float *)f->x_data)[i] = (float)fixture_value(i);
    }
    for (int64_t i = 0; i < batch; i++) {
        f->label_data[i] = (int32_t)(i * i % classes);
        if (real == BNF_F64)
            ((double *)f->weight_data)[i] = 1;
        else
            ((float *)f->weight_data)[i] = 1;
    }
    double count = (double)batch;
    float count32 = (float)batch;
    OK(bnf_plan_set(f->plan, f->count, real == BNF_F64 ? (void *)&count : (void *)&count32));
    bool input_used = bnf_val_ok(f->x);
    assert_true(input_used);
    OK(bnf_plan_bind(f->plan, f->x, f->x_data));
    OK(bnf_plan_bind(f->plan, f->labels, f->label_data));
    OK(bnf_plan_bind(f->plan, f->weight, f->weight_data));
}

static inline void fixture_close(fixture *f)
{
    bnf_plan_destroy(f->plan);
    bnf_graph_destroy(f->graph);
    bnf_params_destroy(f->params);
    free(f->x_data);
    free(f->weight_data);
    free(f->label_data);
}

static inline double fixture_scalar(const fixture *f, bnf_val v)
{
    const void *p = bnf_plan_output(f->plan, v);
    return bnf_params_real(f->params) == BNF_F64 ? *(const double *)p : *(const float *)p;
}

static inline double fixture_run(fixture *f)
{
    OK(bnf_plan_run(f->plan, 0));
    return fixture_scalar(f, f->loss);
}

/* Gradient of parameter `index` after a run on one rank; borrowed. */
static inline const void *fixture_gradient(fixture *f, int index)
{
    size_t size = bnf_dtype_size(bnf_params_real(f->params));
    for (int g = 0; g < bnf_plan_grad_groups(f->plan); g++) {
        const bnf_grad_group *group = bnf_plan_grad_group(f->plan, g);
        for (int i = 0; i < group->n_params; i++)
            if (group->params[i] == index)
                return (const char *)group->partial[0] + (size_t)group->offset[i] * size;
    }
    return NULL;
}

/* Every parameter's gradient against central differences, f64. States are put back before every run. */
static inline void fixture_check_gradients(fixture *f, double tolerance)
{
    double *state[128], *grad;
    int n = bnf_params_count(f->params);
    assert_true(n <= 128);
    for (int i = 0; i < n; i++) {
        size_t bytes = bnf_desc_bytes(&bnf_params_info(f->params, i)->desc);
        state[i] = memcpy(malloc(bytes), bnf_params_value(f->params, i), bytes);
    }
    for (int p = 0; p < n; p++) {
        const bnf_param_info *info = bnf_params_info(f->params, p);
        if (!info->trainable)
            continue;
        int64_t count = bnf_desc_count(&info->desc), most = f->differences > 0 ? f->differences : 40;
        int64_t stride = count > most ? count / most + 1 : 1;
        fixture_run(f);
        const void *found = fixture_gradient(f, p);
        assert_non_null(found);
        grad = memcpy(malloc((size_t)count * sizeof(double)), found, (size_t)count * sizeof(double));
        for (int64_t i = 0; i < count; i += stride) {
            double *w = bnf_params_value(f->params, p), was = w[i], h = 1e-6, side[2];
            for (int k = 0; k < 2; k++) {
                for (int s = 0; s < n; s++)
                    memcpy(bnf_params_value(f->params, s), state[s],
                           bnf_desc_bytes(&bnf_params_info(f->params, s)->desc));
                w[i] = was + (k ? h : -h);
                bnf_params_touch(f->params);
                side[k] = fixture_run(f);
            }
            w[i] = was;
            double fd = (side[1] - side[0]) / (2 * h), error = fabs(fd - grad[i]) / (1 + fabs(fd));
            if (!(error < tolerance))
                fail_msg("%s[%lld] (batch %lld, leaves %lld): gradient %.12g, finite difference %.12g", info->name,
                         (long long)i, (long long)f->batch, (long long)f->leaves, grad[i], fd);
        }
        free(grad);
        bnf_params_touch(f->params);
    }
    for (int i = 0; i < n; i++)
        free(state[i]);
}

#endif
