/* ops/bench.c - runs one kernel again and again. */
#include "ops/bench.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>
#include <time.h>

typedef struct bench_run {
    bnf_op_inst inst;
    bnf_kernel_plan plan;
    void *in[BNF_OP_MAX_IN], *out[BNF_OP_MAX_OUT], *scratch;
} bench_run;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Uniform in [-1, 1) by a linear congruence: only its being neither 0, huge nor denormal matters. */
static void fill(const bnf_desc *d, void *p)
{
    uint64_t r = 88172645463325252u;
    int64_t n = bnf_desc_count(d);
    for (int64_t i = 0; i < n; i++) {
        r = r * 6364136223846793005u + 1442695040888963407u;
        double v = (double)(r >> 40) / 8388608.0 - 1.0;
        if (d->dtype == BNF_F32)
            ((float *)p)[i] = (float)v;
        else if (d->dtype == BNF_F64)
            ((double *)p)[i] = v;
        else
            memset(p, 0, bnf_desc_bytes(d));
    }
}

/* Leaves the share of an f32 array that is not zero, here and there. */
static void thin_out(const bnf_desc *d, double share, float *p)
{
    uint64_t r = 2862933555777941757u;
    for (int64_t i = 0, n = bnf_desc_count(d); i < n && share > 0; i++) {
        r = r * 6364136223846793005u + 1442695040888963407u;
        if ((double)(r >> 40) / 16777216.0 >= share)
            p[i] = 0;
    }
}

static bnf_status choose_kernel(const bnf_op_bench *b, bench_run *r)
{
    for (const bnf_kernel *k = b->op->kernels; k->name; k++) {
        if (b->kernel && strcmp(k->name, b->kernel) != 0)
            continue;
        r->plan = (bnf_kernel_plan){.kernel = k};
        bnf_status s = k->create ? k->create(&r->inst, &r->plan) : BNF_OK;
        if (s == BNF_OK)
            return BNF_OK;
        r->plan = (bnf_kernel_plan){0}; /* nothing to destroy */
        if (s != BNF_ERR_UNSUPPORTED)
            return s;
    }
    return bnf_fail(BNF_ERR_UNSUPPORTED, "%s: no kernel '%s' for these shapes", b->op->name,
                    b->kernel ? b->kernel : "any");
}

static bnf_status allocate(bench_run *r)
{
    for (int i = 0; i < r->inst.n_in; i++) {
        const bnf_pack *p = r->plan.in_pack[i];
        BNF_TRY(bnf_alloc(bnf_desc_bytes(&r->inst.in[i]), "benchmark input", &r->in[i]));
        fill(&r->inst.in[i], r->in[i]);
        if (!p)
            continue;
        void *packed;
        BNF_TRY(bnf_calloc(1, p->bytes, "benchmark input", &packed));
        p->pack(p, r->in[i], packed);
        bnf_free(r->in[i]);
        r->in[i] = packed;
    }
    for (int i = 0; i < r->inst.n_out; i++) {
        const bnf_pack *p = r->plan.out_pack[i];
        BNF_TRY(bnf_calloc(1, p ? p->bytes : bnf_desc_bytes(&r->inst.out[i]), "benchmark output", &r->out[i]));
    }
    return bnf_alloc(r->plan.scratch_bytes, "benchmark scratch", &r->scratch);
}

static double time_of(bench_run *r, int64_t runs)
{
    bnf_run_ctx ctx = {.seed = 1};
    double t = now();
    for (int64_t i = 0; i < runs; i++)
        r->plan.kernel->run(&r->inst, &r->plan, &ctx, (const void *const *)r->in, r->out, r->scratch);
    return now() - t;
}

static void measure(bnf_op_bench *b, bench_run *r)
{
    enum { GROUPS = 10 };
    int64_t runs = 1;
    time_of(r, 1);
    while (time_of(r, runs) < b->seconds / GROUPS && runs < (int64_t)1 << 40)
        runs *= 2;
    b->best = 1e30;
    for (int i = 0; i < GROUPS; i++) {
        double t = time_of(r, runs) / (double)runs;
        b->best = t < b->best ? t : b->best;
    }
    b->used = r->plan.kernel->name;
    b->flops = b->op->flops ? b->op->flops(&r->inst) : 0;
}

bnf_status bnf_op_bench_run(bnf_op_bench *b)
{
    BNF_ASSERT(b->n_in >= b->op->n_in_min && b->n_in <= b->op->n_in_max);
    bench_run r = {.inst = {.op = b->op, .attr = b->attr, .n_in = b->n_in, .n_out = b->op->n_out, .threads = 1}};
    memcpy(r.inst.in, b->in, sizeof r.inst.in);
    r.inst.occupancy[0] = b->occupancy > 0 && b->kernel ? 1e-9 : b->occupancy;
    r.inst.in_is_param[1] = b->packed;
    r.inst.out_may_pack[0] = b->packed;
    bnf_status s;
    BNF_TRY_GOTO(s, b->op->infer(&r.inst), done);
    BNF_TRY_GOTO(s, choose_kernel(b, &r), done);
    BNF_TRY_GOTO(s, allocate(&r), done);
    if (b->in[0].dtype == BNF_F32)
        thin_out(&b->in[0], b->occupancy, r.in[0]);
    measure(b, &r);
done:
    if (r.plan.kernel && r.plan.kernel->destroy)
        r.plan.kernel->destroy(&r.plan);
    for (int i = 0; i < BNF_OP_MAX_IN; i++)
        bnf_free(r.in[i]);
    for (int i = 0; i < BNF_OP_MAX_OUT; i++)
        bnf_free(r.out[i]);
    bnf_free(r.scratch);
    return s;
}
