/* op/ops.c - runs the cases of every operation in ops/table.inc; op/op_case.h says what is checked. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "op/case_run.h"
#include "op/immediate.h"

#include "base/mem.h"
#include "ops/wide.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

struct entry {
    const bnf_op *op;
    const bnf_op_case_list *list;
};

static const bnf_dtype reals[] = {BNF_F64, BNF_F32};

/* --- kernels against the reference -------------------------------------------------------------------------------- */

/* Of one element `want`; `largest` is that of its array. bf16 is computed in f32, then rounded by up to 2^-8 of
 * itself. */
static double tolerance(const bnf_op_case *c, bnf_dtype real, double largest, double want)
{
    double eps = real == BNF_F64 ? DBL_EPSILON : (double)FLT_EPSILON, terms = c->terms ? (double)c->terms : 1.0;
    double computed = 4.0 * eps * (4.0 + sqrt(terms)) * fmax(1.0, largest);
    return real == BNF_BF16 ? computed + 0x1p-8 * (fabs(want) + computed) : computed;
}

static void compare(const bnf_op_inst *inst, const bnf_op_case *c, const char *kernel, const bnf_case_values *want,
                    const bnf_case_values *got)
{
    for (int o = 0; o < inst->n_out; o++) {
        int64_t n = bnf_desc_count(&inst->out[o]);
        bool integer = inst->out[o].dtype == BNF_I32;
        double largest = 0.0;
        for (int64_t i = 0; i < n; i++)
            largest = fmax(largest, fabs(want->v[o][i]));
        for (int64_t i = 0; i < n; i++) {
            double allowed = integer ? 0.0 : tolerance(c, inst->out[o].dtype, largest, want->v[o][i]);
            if (!(fabs(got->v[o][i] - want->v[o][i]) <= allowed))
                fail_msg("%s, case '%s', kernel %s (%s): output %d, element %lld is %.9g, reference %.9g, allowed %.3g",
                         inst->op->name, c->label, kernel, bnf_dtype_name(inst->in[0].dtype), o, (long long)i,
                         got->v[o][i], want->v[o][i], allowed);
        }
    }
}

static void same_bits(const bnf_op_inst *inst, const bnf_op_case *c, const char *kernel, const char *how,
                      const bnf_case_values *a, const bnf_case_values *b)
{
    for (int o = 0; o < inst->n_out; o++)
        if (memcmp(a->v[o], b->v[o], (size_t)bnf_desc_count(&inst->out[o]) * sizeof(double)) != 0)
            fail_msg("%s, case '%s', kernel %s: other bits in output %d %s", inst->op->name, c->label, kernel, o, how);
}

/* One kernel: plain, packed, in place. `last`: it must not refuse. */
static void check_kernel(const bnf_op_inst *inst, const bnf_op_case *c, const bnf_kernel *kernel, bool last,
                         const bnf_case_values *in, const bnf_case_values *want)
{
    bnf_case_values plain, other;
    if (!bnf_case_run(inst, kernel, (bnf_case_mode){.inplace = -1}, in, &plain)) {
        if (last)
            fail_msg("%s, case '%s': the reference kernel refuses", inst->op->name, c->label);
        return;
    }
    compare(inst, c, kernel->name, want, &plain);
    for (int i = 0; i < inst->n_in; i++)
        if (inst->op->inplace >> i & 1 && bnf_desc_bytes(&inst->in[i]) == bnf_desc_bytes(&inst->out[0])) {
            assert_true(bnf_case_run(inst, kernel, (bnf_case_mode){.inplace = i}, in, &other));
            same_bits(inst, c, kernel->name, "in place", &plain, &other);
            bnf_case_values_free(&other);
        }
    bool wants_pack = inst->out_may_pack[0];
    for (int i = 0; i < inst->n_in; i++)
        wants_pack = wants_pack || inst->in_is_param[i];
    if (wants_pack && bnf_case_run(inst, kernel, (bnf_case_mode){.packed = true, .inplace = -1}, in, &other)) {
        compare(inst, c, kernel->name, want, &other);
        bnf_case_values_free(&other);
    }
    bnf_case_values_free(&plain);
}

static void infer_case(const bnf_op *op, const bnf_op_case *c, bnf_dtype real, bnf_op_inst *inst)
{
    if (bnf_case_inst(op, c, real, inst) != BNF_OK)
        fail_msg("case '%s': %s", c->label, bnf_error_message());
    for (int i = 0; i < c->n_in; i++)
        inst->in_is_param[i] = c->in[i].param;
    inst->out_may_pack[0] = c->pack_out;
}

static void kernels_of_case(const bnf_op *op, const bnf_op_case *c)
{
    bnf_op_inst inst64, inst;
    bnf_case_values in, want;
    infer_case(op, c, BNF_F64, &inst64);
    if (!bnf_case_reference(op)) {
        assert_true(op->flags & (BNF_OP_ALIAS | BNF_OP_BATCH_SUM));
        assert_int_equal(bnf_desc_bytes(&inst64.in[0]), bnf_desc_bytes(&inst64.out[0]));
        return;
    }
    bnf_case_fill(op, c, &in);
    assert_true(bnf_case_run(&inst64, bnf_case_reference(op), (bnf_case_mode){.inplace = -1}, &in, &want));
    for (int r = 0; r < 2; r++) {
        infer_case(op, c, reals[r], &inst);
        for (const bnf_kernel *k = op->kernels; k->name; k++)
            check_kernel(&inst, c, k, k == bnf_case_reference(op), &in, &want);
    }
    bnf_case_values_free(&in);
    bnf_case_values_free(&want);
}

/* The same in bf16, on inputs rounded to it: the operation's own kernels, and its f32 kernels by conversion. */
static void bf16_kernels_of_case(const bnf_op *op, const bnf_op_case *c)
{
    bnf_op_inst inst64, inst;
    bnf_case_values in, want;
    infer_case(op, c, BNF_F64, &inst64);
    bnf_case_fill(op, c, &in);
    bnf_case_round(c, &in);
    assert_true(bnf_case_run(&inst64, bnf_case_reference(op), (bnf_case_mode){.inplace = -1}, &in, &want));
    infer_case(op, c, BNF_BF16, &inst);
    for (const bnf_kernel *k = op->bf16_kernels; k && k->name; k++)
        check_kernel(&inst, c, k, false, &in, &want);
    check_kernel(&inst, c, bnf_wide_kernels, bnf_inst_has_bf16(&inst), &in, &want);
    check_kernel(&inst, c, bnf_wide_ref_kernels, bnf_inst_has_bf16(&inst), &in, &want);
    bnf_case_values_free(&in);
    bnf_case_values_free(&want);
}

static void test_kernels(void **state)
{
    const struct entry *e = *state;
    int64_t blocks = bnf_mem_live_blocks();
    for (int i = 0; i < e->list->count; i++)
        if (!e->list->cases[i].refused) {
            kernels_of_case(e->op, &e->list->cases[i]);
            if (bnf_case_reference(e->op))
                bf16_kernels_of_case(e->op, &e->list->cases[i]);
        }
    assert_int_equal(bnf_mem_live_blocks(), blocks);
}

/* --- what the outputs are ----------------------------------------------------------------------------------------- */

static void test_values(void **state)
{
    const struct entry *e = *state;
    const bnf_kernel *ref = bnf_case_reference(e->op);
    if (!ref || !e->list->check)
        return;
    for (int i = 0; i < e->list->count; i++) {
        const bnf_op_case *c = &e->list->cases[i];
        bnf_op_inst inst;
        bnf_case_values in, out;
        if (c->refused)
            continue;
        infer_case(e->op, c, BNF_F64, &inst);
        bnf_case_fill(e->op, c, &in);
        assert_true(bnf_case_run(&inst, ref, (bnf_case_mode){.inplace = -1}, &in, &out));
        e->list->check(&inst, (const double *const *)in.v, (const double *const *)out.v);
        bnf_case_values_free(&in);
        bnf_case_values_free(&out);
    }
}

/* --- gradients ---------------------------------------------------------------------------------------------------- */

/* Everything about one case whose gradient is checked. weight: the projection's coefficients, one array per output. */
struct gradient {
    const bnf_op *op;
    const bnf_op_case *c;
    bnf_op_inst inst;
    bnf_case_values in, weight;
    uint32_t outputs; /* bit o: output o takes part in the projection */
};

static void copy_input(const bnf_op_inst *inst, const bnf_case_values *in, void *out)
{
    memcpy(out, in->v[0], bnf_desc_bytes(&inst->in[0]));
}

/* Sum of weight times output. */
static double project(const struct gradient *g)
{
    const bnf_op_inst *inst = &g->inst;
    bnf_case_values out = {.n = 1};
    double sum = 0.0;
    if (bnf_case_reference(g->op)) {
        bnf_case_run(inst, bnf_case_reference(g->op), (bnf_case_mode){.inplace = -1, .once = true}, &g->in, &out);
    } else {
        assert_int_equal(bnf_alloc(bnf_desc_bytes(&inst->out[0]), "alias", &out.v[0]), BNF_OK);
        copy_input(inst, &g->in, out.v[0]);
    }
    for (int o = 0; o < inst->n_out; o++)
        if (g->outputs >> o & 1)
            for (int64_t i = 0, n = bnf_desc_count(&inst->out[o]); i < n; i++)
                sum += g->weight.v[o][i] * out.v[o][i];
    bnf_case_values_free(&out);
    return sum;
}

static double difference(struct gradient *g, int input, int64_t element)
{
    const double h = 2e-5, x = g->in.v[input][element];
    g->in.v[input][element] = x + h;
    double above = project(g);
    g->in.v[input][element] = x - h;
    double below = project(g);
    g->in.v[input][element] = x;
    return (above - below) / (2.0 * h);
}

static void draw_weights(struct gradient *g)
{
    g->weight = (bnf_case_values){.n = g->inst.n_out};
    for (int o = 0; o < g->inst.n_out; o++) {
        int64_t n = bnf_desc_count(&g->inst.out[o]);
        assert_int_equal(bnf_alloc((size_t)n * sizeof(double), "weights", &g->weight.v[o]), BNF_OK);
        for (int64_t i = 0; i < n; i++)
            g->weight.v[o][i] = 2.0 * bnf_case_random(99, (uint32_t)o, (uint64_t)i, 4) - 1.0;
    }
}

static bnf_val input_value(bnf_immediate *im, const bnf_desc *d, const double *v, bool needs_grad)
{
    int32_t ints[512];
    if (d->dtype != BNF_I32)
        return bnf_immediate_value(im, d, v, needs_grad);
    int64_t n = bnf_desc_count(d);
    assert_in_range(n, 1, 512);
    for (int64_t i = 0; i < n; i++)
        ints[i] = (int32_t)v[i];
    return bnf_immediate_value(im, d, ints, needs_grad);
}

/* Asserts that din of one input is the finite difference, element by element, at most 64 of them. */
static void check_input_gradient(struct gradient *g, bnf_immediate *im, int input, bnf_val din)
{
    const bnf_desc *d = &g->inst.in[input];
    int64_t n = bnf_desc_count(d), step = n > 64 ? n / 61 : 1;
    if (!bnf_val_ok(din)) { /* legal only where nothing flows */
        for (int64_t i = 0; i < n; i += step)
            if (difference(g, input, i) != 0.0)
                fail_msg("%s, case '%s': no gradient of input %d", g->op->name, g->c->label, input);
        return;
    }
    if (!bnf_desc_equal(bnf_val_desc(bnf_immediate_builder(im), din), d)) {
        char text[96];
        bnf_desc_format(bnf_val_desc(bnf_immediate_builder(im), din), text, sizeof text);
        fail_msg("%s, case '%s': gradient of input %d has shape %s", g->op->name, g->c->label, input, text);
    }
    const double *grad = bnf_immediate_data(im, din);
    double largest = 1.0;
    for (int64_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(grad[i]));
    for (int64_t i = 0; i < n; i += step) {
        double want = difference(g, input, i);
        if (!(fabs(grad[i] - want) <= 1e-6 * largest))
            fail_msg("%s, case '%s': gradient of input %d, element %lld is %.9g, difference quotient %.9g", g->op->name,
                     g->c->label, input, (long long)i, grad[i], want);
    }
}

/* Runs the vjp with gradients wanted for the inputs in `mask` only and checks those. */
static void check_vjp(struct gradient *g, uint32_t mask)
{
    bnf_immediate *im;
    bnf_val in[BNF_OP_MAX_IN], out[BNF_OP_MAX_OUT], dout[BNF_OP_MAX_OUT], din[BNF_OP_MAX_IN];
    assert_int_equal(bnf_immediate_create(BNF_F64, &im), BNF_OK);
    bnf_builder *b = bnf_immediate_builder(im);
    bnf_immediate_locate(im, 42, 3, 6); /* where case_run.c runs kernels */
    bnf_immediate_set_layer(im, g->inst.layer);
    for (int i = 0; i < g->c->n_in; i++) {
        in[i] = input_value(im, &g->inst.in[i], g->in.v[i], mask >> i & 1);
        din[i] = BNF_NONE;
    }
    bnf_emit_multi(b, g->op, g->c->attr, g->c->n_in, in, out);
    assert_int_equal(bnf_immediate_status(im), BNF_OK);
    for (int o = 0; o < g->inst.n_out; o++)
        dout[o] = g->outputs >> o & 1 ? bnf_immediate_value(im, &g->inst.out[o], g->weight.v[o], false) : BNF_NONE;
    g->op->vjp(b, bnf_immediate_inst(im, out[0]), in, out, dout, din);
    if (bnf_immediate_status(im) != BNF_OK)
        fail_msg("%s, case '%s': vjp: %s", g->op->name, g->c->label, bnf_error_message());
    for (int i = 0; i < g->c->n_in; i++)
        if (mask >> i & 1)
            check_input_gradient(g, im, i, din[i]);
    bnf_immediate_destroy(im);
}

/* Gradients of all inputs at once and of each alone. */
static void check_inputs(struct gradient *g, uint32_t all)
{
    check_vjp(g, all);
    for (uint32_t i = 0; i < BNF_OP_MAX_IN; i++)
        if (all >> i & 1 && all != UINT32_C(1) << i)
            check_vjp(g, UINT32_C(1) << i);
}

static void gradient_of_case(const bnf_op *op, const bnf_op_case *c)
{
    struct gradient g = {.op = op, .c = c};
    uint32_t all = 0;
    for (int i = 0; i < c->n_in; i++)
        all |= (uint32_t)c->in[i].diff << i;
    if (!all)
        return;
    if (!op->vjp)
        fail_msg("%s, case '%s': the operation has no gradient", op->name, c->label);
    infer_case(op, c, BNF_F64, &g.inst);
    bnf_case_fill(op, c, &g.in);
    draw_weights(&g);
    uint32_t real = 0;
    for (int o = 0; o < op->n_out; o++)
        real |= (uint32_t)(g.inst.out[o].dtype == BNF_F64) << o;
    g.outputs = real;
    check_inputs(&g, all);
    for (int o = 0; o < op->n_out; o++)
        if (real >> o & 1 && real != UINT32_C(1) << o) {
            g.outputs = UINT32_C(1) << o;
            check_vjp(&g, all);
        }
    bnf_case_values_free(&g.in);
    bnf_case_values_free(&g.weight);
}

static void test_gradients(void **state)
{
    const struct entry *e = *state;
    int64_t blocks = bnf_mem_live_blocks();
    for (int i = 0; i < e->list->count; i++)
        if (!e->list->cases[i].refused)
            gradient_of_case(e->op, &e->list->cases[i]);
    assert_int_equal(bnf_mem_live_blocks(), blocks);
}

/* --- refusals ----------------------------------------------------------------------------------------------------- */

static void test_refusals(void **state)
{
    const struct entry *e = *state;
    int accepted = 0;
    for (int i = 0; i < e->list->count; i++) {
        const bnf_op_case *c = &e->list->cases[i];
        bnf_op_inst inst;
        if (!c->refused) {
            accepted++;
            continue;
        }
        bnf_error_clear();
        bnf_status s = bnf_case_inst(e->op, c, BNF_F32, &inst);
        if (s != BNF_ERR_ARG)
            fail_msg("%s, case '%s': the shape rule says %s", e->op->name, c->label, bnf_status_name(s));
        if (!strstr(bnf_error_message(), e->op->name))
            fail_msg("%s, case '%s': message '%s' does not name the operation", e->op->name, c->label,
                     bnf_error_message());
        bnf_error_clear();
    }
    if (accepted == 0)
        fail_msg("%s has no case that runs", e->op->name);
    if (strcmp(bnf_op_find(e->op->name)->name, e->op->name) != 0 || bnf_op_find(e->op->name) != e->op)
        fail_msg("%s is not found by its name", e->op->name);
}

/* --- all of them -------------------------------------------------------------------------------------------------- */

#define BNF_OP(name) extern const bnf_op bnf_op_##name;
#include "ops/table.inc"
#undef BNF_OP

static struct entry entries[] = {
#define BNF_OP(name) {&bnf_op_##name, &bnf_op_cases_##name},
#include "ops/table.inc"
#undef BNF_OP
};

enum { ENTRIES = sizeof entries / sizeof entries[0], PARTS = 4 };

int main(void)
{
    static const char *const part_names[PARTS] = {"kernels", "values", "gradients", "refusals"};
    static const CMUnitTestFunction parts[PARTS] = {test_kernels, test_values, test_gradients, test_refusals};
    static struct CMUnitTest tests[ENTRIES * PARTS];
    static char names[ENTRIES * PARTS][64];
    for (int i = 0; i < ENTRIES * PARTS; i++) {
        snprintf(names[i], sizeof names[i], "%s: %s", entries[i / PARTS].op->name, part_names[i % PARTS]);
        tests[i] = (struct CMUnitTest){names[i], parts[i % PARTS], NULL, NULL, &entries[i / PARTS]};
    }
    return cmocka_run_group_tests_name("operations", tests, NULL, NULL);
}
