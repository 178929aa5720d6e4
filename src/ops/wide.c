/* ops/wide.c - see ops/wide.h. */
#include "ops/wide.h"

#include "base/bf16.h"
#include "base/mem.h"

enum { PIECE = 2048 /* elements of the largest array of a piece, about: a few such arrays fit a 48 KiB cache */ };

/* One array of the use. */
typedef struct wide_array {
    bool convert, round; /* bf16; f32 that counts rounded to bf16 */
    int64_t step;        /* elements of a unit; 0: every piece reads all of it (it is f32 then, and not converted) */
    size_t item;         /* bytes of an element outside */
    size_t scratch;      /* where its f32 copy starts */
} wide_array;

typedef struct wide_state {
    bnf_op_inst inst;     /* in f32; of one piece of `units` */
    bnf_kernel_plan plan; /* for it */
    int64_t units, total; /* elements, rows or samples of a piece and of the use; whole uses are 1 unit */
    wide_array in[BNF_OP_MAX_IN], out[BNF_OP_MAX_OUT];
} wide_state;

bool bnf_inst_has_bf16(const bnf_op_inst *inst)
{
    bool any = false;
    for (int i = 0; i < inst->n_in; i++)
        any |= inst->in[i].dtype == BNF_BF16;
    for (int i = 0; i < inst->n_out; i++)
        any |= inst->out[i].dtype == BNF_BF16;
    return any;
}

static const bnf_desc *array_of(const bnf_op_inst *inst, int i)
{
    return i < inst->n_in ? &inst->in[i] : &inst->out[i - inst->n_in];
}

/* An input that every piece reads as a whole: a parameter or statistic, or another vector beside bf16 rows. */
static bool is_shared(const bnf_op_inst *inst, uint32_t flag, int i)
{
    if (i >= inst->n_in)
        return false;
    if (flag == BNF_OP_BY_ROW && i > 0 && inst->in[i].dtype == BNF_F32 && bnf_desc_rows(&inst->in[i]) == 1)
        return true;
    return flag & (BNF_OP_BY_ROW | BNF_OP_BY_SAMPLE) && inst->op->f32_in >> i & 1;
}

/* Pieces that the array has under a flag. */
static int64_t units_of(const bnf_desc *d, uint32_t flag)
{
    return flag == BNF_OP_BY_ELEMENT ? bnf_desc_count(d) : flag == BNF_OP_BY_ROW ? bnf_desc_rows(d) : d->dim[0];
}

/* Whether the pieces of d go with those of the use's first array. */
static bool can_follow(const bnf_desc *d, const bnf_desc *first, uint32_t flag)
{
    return flag == BNF_OP_BY_ELEMENT ? bnf_desc_same_shape(d, first) : units_of(d, flag) == units_of(first, flag);
}

/* How the use can be cut: a flag that all of its arrays allow, or 0. */
static uint32_t cut_of(const bnf_op_inst *inst)
{
    static const uint32_t flags[] = {BNF_OP_BY_ELEMENT, BNF_OP_BY_ROW, BNF_OP_BY_SAMPLE};
    for (int f = 0; f < 3; f++) {
        bool fits = inst->op->flags & flags[f];
        for (int i = 1; i < inst->n_in + inst->n_out && fits; i++)
            fits = is_shared(inst, flags[f], i) || can_follow(array_of(inst, i), array_of(inst, 0), flags[f]);
        if (fits)
            return flags[f];
    }
    return 0;
}

/* The array of `units` pieces. */
static void cut_desc(bnf_desc *d, uint32_t flag, int64_t units)
{
    if (flag == BNF_OP_BY_ELEMENT)
        *d = bnf_desc_1d(d->dtype, units);
    else if (flag == BNF_OP_BY_ROW)
        *d = bnf_desc_2d(d->dtype, units, bnf_desc_cols(d));
    else if (flag == BNF_OP_BY_SAMPLE)
        d->dim[0] = units;
}

static void set_units(bnf_op_inst *inst, uint32_t flag, int64_t units)
{
    for (int i = 0; i < inst->n_in; i++)
        if (!is_shared(inst, flag, i))
            cut_desc(&inst->in[i], flag, units);
    for (int i = 0; i < inst->n_out; i++)
        cut_desc(&inst->out[i], flag, units);
}

/* One array of the use: its place in scratch, behind *bytes, and the f32 form of its descriptor. */
static wide_array open_array(bnf_desc *d, bool weight, int64_t units, size_t *bytes)
{
    wide_array a = {.convert = d->dtype == BNF_BF16, .round = weight, .item = bnf_dtype_size(d->dtype)};
    a.step = units > 0 ? bnf_desc_count(d) / units : 0;
    if (a.convert)
        d->dtype = BNF_F32;
    if (a.convert || a.round) {
        a.scratch = *bytes;
        *bytes += (bnf_desc_bytes(d) + BNF_ALIGN - 1) / BNF_ALIGN * BNF_ALIGN;
    }
    return a;
}

/* The first kernel of the list that takes the piece; without state if there are several pieces, for the last may be
 * smaller. */
static bnf_status choose_inner(wide_state *s, bool reference)
{
    const bnf_kernel *k = s->inst.op->kernels;
    while (reference && k[1].name)
        k++;
    for (; k->name; k++) {
        s->plan = (bnf_kernel_plan){.kernel = k};
        bnf_status status = k->create ? k->create(&s->inst, &s->plan) : BNF_OK;
        if (status == BNF_OK && (s->units == s->total || !s->plan.state))
            return BNF_OK;
        if (status == BNF_OK && k->destroy)
            k->destroy(&s->plan);
        if (status != BNF_OK && status != BNF_ERR_UNSUPPORTED)
            return status;
        bnf_error_clear();
    }
    return BNF_ERR_UNSUPPORTED;
}

static bnf_status create(const bnf_op_inst *inst, bnf_kernel_plan *k, bool reference)
{
    if (!bnf_inst_has_bf16(inst))
        return BNF_ERR_UNSUPPORTED;
    wide_state *s;
    BNF_TRY(bnf_calloc(1, sizeof *s, "kernel by conversion", &s));
    s->inst = *inst;
    for (int i = 0; i < BNF_OP_MAX_IN; i++) /* packed layouts are not looked into */
        s->inst.in_is_param[i] = false;
    for (int i = 0; i < BNF_OP_MAX_OUT; i++)
        s->inst.out_may_pack[i] = false;
    uint32_t flag = cut_of(inst);
    s->total = s->units = 1;
    if (flag) {
        int64_t largest = 1;
        s->total = units_of(array_of(inst, 0), flag);
        for (int i = 0; i < inst->n_in + inst->n_out; i++) {
            int64_t size = is_shared(inst, flag, i) ? 1 : bnf_desc_count(array_of(inst, i)) / s->total;
            largest = size > largest ? size : largest;
        }
        s->units = PIECE / largest > 1 ? PIECE / largest : 1;
        s->units = s->units < s->total ? s->units : s->total;
        set_units(&s->inst, flag, s->units);
    }
    size_t bytes = 0;
    bool weight = inst->op->flags & BNF_OP_WEIGHT && inst->in[0].dtype == BNF_BF16;
    for (int i = 0; i < inst->n_in; i++)
        s->in[i] = open_array(&s->inst.in[i], weight && i == 1, is_shared(inst, flag, i) ? 0 : s->units, &bytes);
    for (int i = 0; i < inst->n_out; i++)
        s->out[i] = open_array(&s->inst.out[i], false, s->units, &bytes);
    bnf_status status = choose_inner(s, reference);
    if (status != BNF_OK) {
        bnf_free(s);
        return status;
    }
    k->state = s;
    k->scratch_bytes = bytes + s->plan.scratch_bytes; /* the kernel's own is behind the copies */
    return BNF_OK;
}

static bnf_status create_first(const bnf_op_inst *inst, bnf_kernel_plan *k)
{
    return create(inst, k, false);
}

static bnf_status create_ref(const bnf_op_inst *inst, bnf_kernel_plan *k)
{
    return create(inst, k, true);
}

/* Units [at, at + n). */
static void run_piece(const wide_state *s, const bnf_op_inst *inst, const bnf_run_ctx *ctx, int64_t at, int64_t n,
                      const void *const *in, void *const *out, char *scratch, char *inner)
{
    const void *src[BNF_OP_MAX_IN];
    void *dst[BNF_OP_MAX_OUT];
    for (int i = 0; i < inst->n_in; i++) {
        const wide_array *a = &s->in[i];
        src[i] = (const char *)in[i] + (size_t)(at * a->step) * a->item;
        if (a->convert)
            bnf_bf16_widen(n * a->step, src[i], (float *)(void *)(scratch + a->scratch));
        else if (a->round)
            bnf_bf16_round(n * a->step, src[i], (float *)(void *)(scratch + a->scratch));
        if (a->convert || a->round)
            src[i] = scratch + a->scratch;
    }
    for (int i = 0; i < inst->n_out; i++) {
        const wide_array *a = &s->out[i];
        dst[i] = a->convert ? scratch + a->scratch : (char *)out[i] + (size_t)(at * a->step) * a->item;
    }
    s->plan.kernel->run(inst, &s->plan, ctx, src, dst, inner);
    for (int i = 0; i < inst->n_out; i++) {
        const wide_array *a = &s->out[i];
        if (a->convert)
            bnf_bf16_narrow(n * a->step, dst[i], (uint16_t *)out[i] + at * a->step);
    }
}

static void run(const bnf_op_inst *outer, const bnf_kernel_plan *k, const bnf_run_ctx *ctx, const void *const *in,
                void *const *out, void *scratch)
{
    const wide_state *s = k->state;
    bnf_op_inst inst = s->inst;
    bnf_run_ctx here = *ctx;
    const uint32_t flag = s->units < s->total ? cut_of(outer) : 0;
    char *inner = (char *)scratch + (k->scratch_bytes - s->plan.scratch_bytes);
    for (int64_t at = 0; at < s->total; at += s->units) {
        int64_t n = s->total - at < s->units ? s->total - at : s->units;
        if (n < s->units)
            set_units(&inst, flag, n);
        here.first_sample = ctx->first_sample + (flag == BNF_OP_BY_SAMPLE ? at : 0);
        run_piece(s, &inst, &here, at, n, in, out, scratch, inner);
    }
}

static void destroy(bnf_kernel_plan *k)
{
    wide_state *s = k->state;
    if (s->plan.kernel->destroy)
        s->plan.kernel->destroy(&s->plan);
    bnf_free(s);
}

const bnf_kernel bnf_wide_kernels[] = {{"wide", create_first, run, destroy}, {0}};
const bnf_kernel bnf_wide_ref_kernels[] = {{"wide ref", create_ref, run, destroy}, {0}};
