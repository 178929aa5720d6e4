/* op/harness/case_run.c - see op/case_run.h. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "op/case_run.h"

#include "base/bf16.h"
#include "base/mem.h"
#include "base/philox.h"

#include <math.h>
#include <string.h>

enum { GUARD = 64, THREADS = 2 };
static const unsigned char guard_byte = 0xA5, unset_byte = 0xFF;        /* reals of 0xFF bytes are NaN */
static const unsigned char scratch_byte[1 + THREADS] = {0xFF, 0, 0x41}; /* what run t finds in its scratch memory */

/* --- inputs ------------------------------------------------------------------------------------------------------- */

double bnf_case_random(uint64_t seed, uint32_t a, uint64_t b, uint32_t c)
{
    bnf_philox_block block = bnf_philox(bnf_philox_key_make(seed, BNF_STREAM_TEST), bnf_philox_counter(a, b, c));
    return bnf_philox_unit_f32(block.v[0]);
}

static bnf_dtype input_dtype(const bnf_op *op, const bnf_op_case *c, int i, bnf_dtype real)
{
    if (c->in[i].values == BNF_VALUES_LABELS || c->in[i].values == BNF_VALUES_PLACES)
        return BNF_I32;
    return real == BNF_BF16 && op->f32_in >> i & 1 ? BNF_F32 : real;
}

bnf_status bnf_case_inst(const bnf_op *op, const bnf_op_case *c, bnf_dtype real, bnf_op_inst *inst)
{
    *inst =
        (bnf_op_inst){.op = op, .attr = c->attr, .n_in = c->n_in, .n_out = op->n_out, .layer = 11, .threads = THREADS};
    for (int i = 0; i < c->n_in; i++) {
        inst->in[i] = bnf_desc_make(input_dtype(op, c, i, real), c->in[i].ndim, c->in[i].dim);
        inst->occupancy[i] = c->in[i].occupancy > 0 ? 0.001 : 0;
    }
    return op->infer(inst);
}

static uint64_t seed_of(const bnf_op *op, const bnf_op_case *c)
{
    uint64_t h = 1469598103934665603u;
    for (const char *s = op->name; *s; s++)
        h = (h ^ (unsigned char)*s) * 1099511628211u;
    for (const char *s = c->label; *s; s++)
        h = (h ^ (unsigned char)*s) * 1099511628211u;
    return h;
}

/* A random order of the n values 0 ... n-1. */
static void shuffle(uint64_t seed, uint32_t stream, int64_t first, int64_t n, double *order)
{
    for (int64_t i = 0; i < n; i++)
        order[i] = (double)i;
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = (int64_t)(bnf_case_random(seed, stream, (uint64_t)(first + i), 1) * (double)(i + 1));
        double t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
}

static double one_value(const bnf_op_input *in, double u, double v)
{
    switch (in->values) {
    case BNF_VALUES_AWAY:
        return (v < 0.5 ? -1.0 : 1.0) * (0.3 + 1.7 * u);
    case BNF_VALUES_POSITIVE:
        return 0.3 + 1.7 * u;
    case BNF_VALUES_TIED:
        return floor(5.0 * u) - 2.0;
    case BNF_VALUES_LABELS:
        return floor((double)in->classes * u);
    case BNF_VALUES_WEIGHTS:
        return u < 0.7 ? 1.0 : 0.0;
    default:
        return 4.0 * u - 2.0;
    }
}

static void fill_input(uint64_t seed, int which, const bnf_op_input *in, double *v)
{
    bnf_desc d = bnf_desc_make(BNF_F32, in->ndim, in->dim);
    int64_t n = bnf_desc_count(&d), cols = bnf_desc_cols(&d);
    uint32_t stream = (uint32_t)which;
    if (in->values == BNF_VALUES_PLACES) {
        for (int64_t i = 0; i < n; i += cols)
            shuffle(seed, stream, i, cols, v + i);
        return;
    }
    if (in->values == BNF_VALUES_DISTINCT) {
        shuffle(seed, stream, 0, n, v);
        for (int64_t i = 0; i < n; i++) /* grids of different inputs are shifted against each other */
            v[i] = (float)(-2.0 + 4.0 * (v[i] + 0.2 + 0.17 * which) / (double)n);
        return;
    }
    for (int64_t i = 0; i < n; i++)
        v[i] = (float)one_value(in, bnf_case_random(seed, stream, (uint64_t)i, 2),
                                bnf_case_random(seed, stream, (uint64_t)i, 3));
    for (int64_t i = 0; i < n && in->occupancy > 0; i++)
        if (bnf_case_random(seed, stream, (uint64_t)i, 4) >= in->occupancy)
            v[i] = 0;
    if (in->values == BNF_VALUES_WEIGHTS)
        v[0] = 1.0;
}

static double *new_doubles(int64_t n)
{
    double *v;
    assert_int_equal(bnf_alloc((size_t)n * sizeof *v, "test values", &v), BNF_OK);
    return v;
}

void bnf_case_fill(const bnf_op *op, const bnf_op_case *c, bnf_case_values *in)
{
    *in = (bnf_case_values){.n = c->n_in};
    for (int i = 0; i < c->n_in; i++) {
        bnf_desc d = bnf_desc_make(BNF_F32, c->in[i].ndim, c->in[i].dim);
        in->v[i] = new_doubles(bnf_desc_count(&d));
        fill_input(seed_of(op, c), i, &c->in[i], in->v[i]);
    }
}

void bnf_case_round(const bnf_op_case *c, bnf_case_values *in)
{
    for (int i = 0; i < c->n_in; i++) {
        bnf_desc d = bnf_desc_make(BNF_F32, c->in[i].ndim, c->in[i].dim);
        bool integer = c->in[i].values == BNF_VALUES_LABELS || c->in[i].values == BNF_VALUES_PLACES;
        for (int64_t k = 0; k < bnf_desc_count(&d) && !integer; k++)
            in->v[i][k] = (double)bnf_bf16_wide(bnf_bf16_of((float)in->v[i][k]));
    }
}

void bnf_case_values_free(bnf_case_values *values)
{
    for (int i = 0; i < values->n; i++)
        bnf_free(values->v[i]);
    *values = (bnf_case_values){0};
}

/* --- arrays in the instance's types ------------------------------------------------------------------------------- */

static void from_doubles(const bnf_desc *d, const double *v, void *array)
{
    int64_t n = bnf_desc_count(d);
    for (int64_t i = 0; i < n; i++)
        switch (d->dtype) {
        case BNF_F32:
            ((float *)array)[i] = (float)v[i];
            break;
        case BNF_F64:
            ((double *)array)[i] = v[i];
            break;
        case BNF_I32:
            ((int32_t *)array)[i] = (int32_t)v[i];
            break;
        case BNF_BF16:
            ((uint16_t *)array)[i] = bnf_bf16_of((float)v[i]);
            break;
        default:
            fail_msg("no test values of type %s", bnf_dtype_name(d->dtype));
        }
}

static void to_doubles(const bnf_desc *d, const void *array, double *v)
{
    int64_t n = bnf_desc_count(d);
    for (int64_t i = 0; i < n; i++)
        v[i] = d->dtype == BNF_F32    ? (double)((const float *)array)[i]
               : d->dtype == BNF_F64  ? ((const double *)array)[i]
               : d->dtype == BNF_BF16 ? (double)bnf_bf16_wide(((const uint16_t *)array)[i])
                                      : (double)((const int32_t *)array)[i];
}

/* `bytes` between two guards; release with guarded_free. */
static void *guarded_alloc(size_t bytes)
{
    unsigned char *p;
    assert_int_equal(bnf_alloc(bytes + 2 * GUARD, "guarded test array", &p), BNF_OK);
    memset(p, guard_byte, bytes + 2 * GUARD);
    memset(p + GUARD, unset_byte, bytes);
    return p + GUARD;
}

static void guarded_free(void *array, size_t bytes)
{
    unsigned char *p = (unsigned char *)array - GUARD;
    for (size_t i = 0; i < GUARD; i++)
        if (p[i] != guard_byte || p[GUARD + bytes + i] != guard_byte)
            fail_msg("array of %zu bytes: written outside, %zu bytes from its %s", bytes, i,
                     p[i] != guard_byte ? "start" : "end");
    bnf_free(p);
}

/* Buffers of one call: own outputs, scratch and, for the input that is overwritten in place, input. */
struct buffers {
    const void *in[BNF_OP_MAX_IN];
    void *out[BNF_OP_MAX_OUT], *scratch, *own_in[BNF_OP_MAX_IN];
    size_t in_bytes[BNF_OP_MAX_IN], out_bytes[BNF_OP_MAX_OUT], scratch_bytes;
    int inplace;
};

static void buffers_open(const bnf_op_inst *inst, const bnf_kernel_plan *k, int inplace, const bnf_case_values *in,
                         struct buffers *b)
{
    *b = (struct buffers){.inplace = inplace, .scratch_bytes = k->scratch_bytes};
    for (int i = 0; i < inst->n_in; i++) {
        size_t plain = bnf_desc_bytes(&inst->in[i]);
        const bnf_pack *pack = k->in_pack[i];
        void *array = guarded_alloc(plain);
        from_doubles(&inst->in[i], in->v[i], array);
        b->own_in[i] = array;
        b->in_bytes[i] = plain;
        if (pack) {
            b->own_in[i] = guarded_alloc(pack->bytes);
            b->in_bytes[i] = pack->bytes;
            pack->pack(pack, array, b->own_in[i]);
            guarded_free(array, plain);
        }
        b->in[i] = b->own_in[i];
    }
    for (int i = 0; i < inst->n_out; i++) {
        b->out_bytes[i] = k->out_pack[i] ? k->out_pack[i]->bytes : bnf_desc_bytes(&inst->out[i]);
        b->out[i] = i == 0 && inplace >= 0 ? b->own_in[inplace] : guarded_alloc(b->out_bytes[i]);
    }
    b->scratch = guarded_alloc(b->scratch_bytes);
}

static void buffers_close(const bnf_op_inst *inst, struct buffers *b)
{
    for (int i = 0; i < inst->n_out; i++)
        if (i > 0 || b->inplace < 0)
            guarded_free(b->out[i], b->out_bytes[i]);
    for (int i = 0; i < inst->n_in; i++)
        guarded_free(b->own_in[i], b->in_bytes[i]);
    guarded_free(b->scratch, b->scratch_bytes);
}

/* --- running ------------------------------------------------------------------------------------------------------ */

const bnf_kernel *bnf_case_reference(const bnf_op *op)
{
    const bnf_kernel *k = op->kernels;
    if (!k || !k->name)
        return NULL;
    while (k[1].name)
        k++;
    return k;
}

static void collect(const bnf_op_inst *inst, const bnf_kernel_plan *k, const struct buffers *b, bnf_case_values *out)
{
    out->n = inst->n_out;
    for (int i = 0; i < inst->n_out; i++) {
        const bnf_pack *pack = k->out_pack[i];
        void *plain = b->out[i];
        if (pack) {
            plain = guarded_alloc(bnf_desc_bytes(&inst->out[i]));
            pack->unpack(pack, b->out[i], plain);
        }
        out->v[i] = new_doubles(bnf_desc_count(&inst->out[i]));
        to_doubles(&inst->out[i], plain, out->v[i]);
        if (pack)
            guarded_free(plain, bnf_desc_bytes(&inst->out[i]));
    }
}

static void run_threads(const bnf_op_inst *inst, const bnf_kernel_plan *k, int runs, struct buffers *b)
{
    bnf_run_ctx ctx = {.leaf = 1, .first_sample = 6, .seed = 42, .step = 3};
    k->kernel->run(inst, k, &ctx, b[0].in, b[0].out, b[0].scratch);
    if (runs == 1)
        return;
#pragma omp parallel num_threads(THREADS)
    {
#pragma omp for schedule(static, 1)
        for (int t = 0; t < THREADS; t++) {
            bnf_run_ctx mine = {.thread = t, .leaf = 1, .first_sample = 6, .seed = 42, .step = 3};
            k->kernel->run(inst, k, &mine, b[1 + t].in, b[1 + t].out, b[1 + t].scratch);
        }
    }
}

static void check_buffers(const bnf_op_inst *inst, const bnf_kernel_plan *k, const struct buffers *first,
                          const struct buffers *b)
{
    const char *op = inst->op->name, *kernel = k->kernel->name;
    for (int i = 0; i < inst->n_out; i++)
        if (memcmp(first->out[i], b->out[i], first->out_bytes[i]) != 0)
            fail_msg("%s: kernel %s gave other bits in output %d when run again", op, kernel, i);
}

/* Inputs other than the one worked on in place still hold what they held. */
static void check_inputs(const bnf_op_inst *inst, const bnf_kernel_plan *k, const struct buffers *b,
                         const bnf_case_values *in)
{
    for (int i = 0; i < inst->n_in; i++) {
        if (i == b->inplace || k->in_pack[i])
            continue;
        double *now = new_doubles(bnf_desc_count(&inst->in[i]));
        to_doubles(&inst->in[i], b->in[i], now);
        if (memcmp(now, in->v[i], (size_t)bnf_desc_count(&inst->in[i]) * sizeof *now) != 0)
            fail_msg("%s: kernel %s changed input %d", inst->op->name, k->kernel->name, i);
        bnf_free(now);
    }
}

bool bnf_case_run(const bnf_op_inst *inst, const bnf_kernel *kernel, bnf_case_mode mode, const bnf_case_values *in,
                  bnf_case_values *out)
{
    bnf_op_inst use = *inst;
    bnf_kernel_plan k = {.kernel = kernel};
    struct buffers b[1 + THREADS];
    if (!mode.packed) {
        memset(use.in_is_param, 0, sizeof use.in_is_param);
        memset(use.out_may_pack, 0, sizeof use.out_may_pack);
    }
    bnf_status s = kernel->create ? kernel->create(&use, &k) : BNF_OK;
    if (s == BNF_ERR_UNSUPPORTED) {
        bnf_error_clear();
        return false;
    }
    if (s != BNF_OK)
        fail_msg("%s: create of kernel %s: %s", inst->op->name, kernel->name, bnf_error_message());
    const int runs = mode.once ? 1 : 1 + THREADS;
    for (int t = 0; t < runs; t++) {
        buffers_open(&use, &k, mode.inplace, in, &b[t]);
        memset(b[t].scratch, scratch_byte[t], b[t].scratch_bytes);
    }
    run_threads(&use, &k, runs, b);
    for (int t = 1; t < runs; t++)
        check_buffers(&use, &k, &b[0], &b[t]);
    check_inputs(&use, &k, &b[0], in);
    collect(&use, &k, &b[0], out);
    for (int t = 0; t < runs; t++)
        buffers_close(&use, &b[t]);
    if (kernel->destroy)
        kernel->destroy(&k);
    return true;
}
