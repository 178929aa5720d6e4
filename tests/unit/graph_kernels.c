/* The kernels that a plan prefers against the plain C ones, on whole networks: loss, every gradient, every state. */
#include "graph_nets.h"

#include "base/mem.h"

/* Relative distance of two arrays in the maximum norm. */
static double distance(const float *a, const float *b, int64_t n)
{
    double apart = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        apart = fmax(apart, fabs((double)a[i] - b[i]));
        size = fmax(size, fabs((double)b[i]));
    }
    return size > 0 ? apart / size : apart;
}

static bool uses_kernel(const bnf_plan *plan, const char *name)
{
    bnf_plan_node_stat stat;
    for (int i = 0; bnf_plan_node(plan, i, &stat); i++)
        if (strcmp(stat.kernel, name) == 0)
            return true;
    return false;
}

static void test_preferred_equals_reference(void **unused)
{
    (void)unused;
    const double tolerance = 2e-5; /* a few hundred roundings of f32 */
    for (int net = 0; net < NETS; net++) {
        fixture fast, plain;
        bnf_plan_config cfg = {.threads = 2, .seed = 11};
        nets_open(&fast, net, BNF_F32, 3, 4, &cfg);
        cfg.reference = true;
        nets_open(&plain, net, BNF_F32, 3, 4, &cfg);
        assert_true(uses_kernel(fast.plan, "dnnl") && !uses_kernel(plain.plan, "dnnl"));
        double a = fixture_run(&fast), b = fixture_run(&plain);
        assert_true(isfinite(a) && fabs(a - b) <= tolerance * fabs(b));
        for (int p = 0; p < bnf_params_count(fast.params); p++) {
            const bnf_param_info *info = bnf_params_info(fast.params, p);
            const float *x = info->trainable ? fixture_gradient(&fast, p) : bnf_params_value(fast.params, p);
            const float *y = info->trainable ? fixture_gradient(&plain, p) : bnf_params_value(plain.params, p);
            double d = distance(x, y, bnf_desc_count(&info->desc));
            if (!(d <= tolerance))
                fail_msg("%s, %s: the kernels differ by %g", nets[net].name, info->name, d);
        }
        fixture_close(&fast);
        fixture_close(&plain);
    }
}

static void test_balance(void **unused)
{
    (void)unused;
    assert_int_equal(bnf_mem_live_blocks(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_preferred_equals_reference),
        cmocka_unit_test(test_balance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
