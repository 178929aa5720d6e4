/* ops/dnnl.c - oneDNN 2.x behind ops/dnnl.h. */
#include "ops/dnnl.h"

#include "base/assert.h"
#include "base/mem.h"

#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <pthread.h>
#include <string.h>

/* 2.x describes an operation in a "descriptor" struct and memory descriptors are plain structs; 3.x has neither.
 * make_desc(), memory descriptors held by value and layout_key() are what a port has to change. */
#if DNNL_VERSION_MAJOR != 2
#error "banff is written for the C interface of oneDNN 2.x: port src/ops/dnnl.c to this version"
#endif

enum { MAX_ARGS = BNF_DNNL_ROLES + 1 }; /* the last is the scratchpad */

/* What one thread passes to the primitive. The memory objects live here because they carry the data pointer. */
typedef struct slot {
    dnnl_stream_t stream;
    dnnl_exec_arg_t arg[MAX_ARGS];
    void *last[MAX_ARGS]; /* data pointer that arg[i].memory has */
    char line[BNF_ALIGN]; /* keeps neighbouring threads' slots in different cache lines */
} slot;

/* Conversion between plain and packed weights. */
typedef struct packer {
    dnnl_memory_desc_t plain, packed;
    dnnl_primitive_t to_packed, to_plain;
} packer;

struct bnf_dnnl {
    dnnl_primitive_t prim;
    const char *impl;
    int threads, n_args;
    int role[MAX_ARGS]; /* of arg[i]; BNF_DNNL_ROLES = scratchpad */
    size_t scratch_bytes;
    slot *slots;
    packer packer;
    bnf_pack pack; /* bytes 0 = weights are plain or there are none */
};

typedef union op_desc {
    dnnl_convolution_desc_t conv;
    dnnl_inner_product_desc_t dense;
    dnnl_pooling_desc_t pool;
} op_desc;

static pthread_once_t engine_once = PTHREAD_ONCE_INIT;
static dnnl_engine_t engine; /* the CPU; lives until the process ends */

static void engine_init(void)
{
    if (dnnl_engine_create(&engine, dnnl_cpu, 0) != dnnl_success)
        engine = NULL;
}

/* oneDNN decides at creation, and checks at execution, how many threads it may use: it asks OpenMP. Inside a
 * parallel region that is one; outside, this makes it one. Returns the setting to give back to leave_serial(). */
static int enter_serial(void)
{
    int n = omp_get_max_threads();
    if (n != 1)
        omp_set_num_threads(1);
    return n;
}

static void leave_serial(int n)
{
    if (n != 1)
        omp_set_num_threads(n);
}

static bnf_status status_of(dnnl_status_t s)
{
    switch (s) {
    case dnnl_success:
        return BNF_OK;
    case dnnl_out_of_memory:
        return bnf_fail(BNF_ERR_MEMORY, "oneDNN: out of memory while creating a primitive");
    default:
        return BNF_ERR_UNSUPPORTED; /* unimplemented, or arguments that oneDNN excludes: the next kernel is asked */
    }
}

static dnnl_status_t make_md(const bnf_dnnl_array *a, dnnl_memory_desc_t *md)
{
    static const dnnl_format_tag_t plain[] = {dnnl_format_tag_undef, dnnl_a, dnnl_ab, dnnl_abc, dnnl_abcd, dnnl_abcde};
    memset(md, 0, sizeof *md);
    if (a->ndim == 0)
        return dnnl_success;
    dnnl_dims_t dims = {0};
    for (int i = 0; i < a->ndim; i++)
        dims[i] = a->dim[i];
    dnnl_format_tag_t tag = a->layout == BNF_DNNL_ANY    ? dnnl_format_tag_any
                            : a->layout == BNF_DNNL_NHWC ? dnnl_nhwc
                                                         : plain[a->ndim];
    return dnnl_memory_desc_init_by_tag(md, a->ndim, dims, a->bf16 ? dnnl_bf16 : dnnl_f32, tag);
}

typedef struct md_set {
    dnnl_memory_desc_t md[BNF_DNNL_ROLES];
} md_set;

static dnnl_status_t make_conv(const bnf_dnnl_spec *s, bnf_dnnl_pass pass, const md_set *m, dnnl_convolution_desc_t *d)
{
    const dnnl_memory_desc_t *src = &m->md[BNF_DNNL_SRC], *w = &m->md[BNF_DNNL_WEIGHTS], *dst = &m->md[BNF_DNNL_DST];
    const dnnl_memory_desc_t *bias = s->bias.ndim ? &m->md[BNF_DNNL_BIAS] : NULL;
    dnnl_dims_t stride = {s->stride[0], s->stride[1]}, dilate = {s->dilation[0] - 1, s->dilation[1] - 1};
    dnnl_dims_t begin = {s->pad[0], s->pad[1]}, end = {s->pad[2], s->pad[3]};
    switch (pass) {
    case BNF_DNNL_FORWARD:
        return dnnl_dilated_convolution_forward_desc_init(d, dnnl_forward_training, dnnl_convolution_direct, src, w,
                                                          bias, dst, stride, dilate, begin, end);
    case BNF_DNNL_BWD_DATA:
        return dnnl_dilated_convolution_backward_data_desc_init(d, dnnl_convolution_direct, src, w, dst, stride, dilate,
                                                                begin, end);
    case BNF_DNNL_BWD_WEIGHTS:
        return dnnl_dilated_convolution_backward_weights_desc_init(d, dnnl_convolution_direct, src, w, bias, dst,
                                                                   stride, dilate, begin, end);
    }
    return dnnl_invalid_arguments;
}

static dnnl_status_t make_dense(const bnf_dnnl_spec *s, bnf_dnnl_pass pass, const md_set *m,
                                dnnl_inner_product_desc_t *d)
{
    const dnnl_memory_desc_t *src = &m->md[BNF_DNNL_SRC], *w = &m->md[BNF_DNNL_WEIGHTS], *dst = &m->md[BNF_DNNL_DST];
    const dnnl_memory_desc_t *bias = s->bias.ndim ? &m->md[BNF_DNNL_BIAS] : NULL;
    switch (pass) {
    case BNF_DNNL_FORWARD:
        return dnnl_inner_product_forward_desc_init(d, dnnl_forward_training, src, w, bias, dst);
    case BNF_DNNL_BWD_DATA:
        return dnnl_inner_product_backward_data_desc_init(d, src, w, dst);
    case BNF_DNNL_BWD_WEIGHTS:
        return dnnl_inner_product_backward_weights_desc_init(d, src, w, bias, dst);
    }
    return dnnl_invalid_arguments;
}

static dnnl_status_t make_pool(const bnf_dnnl_spec *s, bnf_dnnl_pass pass, const md_set *m, dnnl_pooling_desc_t *d)
{
    const dnnl_memory_desc_t *src = &m->md[BNF_DNNL_SRC], *dst = &m->md[BNF_DNNL_DST];
    dnnl_dims_t stride = {s->stride[0], s->stride[1]}, window = {s->window[0], s->window[1]};
    dnnl_dims_t begin = {s->pad[0], s->pad[1]}, end = {s->pad[2], s->pad[3]};
    dnnl_alg_kind_t alg = s->family == BNF_DNNL_POOL_MAX ? dnnl_pooling_max : dnnl_pooling_avg_include_padding;
    if (pass == BNF_DNNL_FORWARD) /* "inference": no workspace */
        return dnnl_pooling_forward_desc_init(d, dnnl_forward_inference, alg, src, dst, stride, window, begin, end);
    if (pass == BNF_DNNL_BWD_DATA && s->family == BNF_DNNL_POOL_AVG)
        return dnnl_pooling_backward_desc_init(d, alg, src, dst, stride, window, begin, end);
    return dnnl_unimplemented;
}

static dnnl_status_t make_desc(const bnf_dnnl_spec *s, bnf_dnnl_pass pass, const md_set *m, op_desc *d)
{
    switch (s->family) {
    case BNF_DNNL_CONV:
        return make_conv(s, pass, m, &d->conv);
    case BNF_DNNL_DENSE:
        return make_dense(s, pass, m, &d->dense);
    case BNF_DNNL_POOL_MAX:
    case BNF_DNNL_POOL_AVG:
        return make_pool(s, pass, m, &d->pool);
    }
    return dnnl_invalid_arguments;
}

/* The primitive descriptor of the pass. A backward pass is created with its forward pass as a hint. */
static dnnl_status_t make_pd(const bnf_dnnl_spec *s, const md_set *m, const_dnnl_primitive_attr_t attr,
                             dnnl_primitive_desc_t *pd)
{
    dnnl_primitive_desc_t hint = NULL;
    dnnl_status_t st = dnnl_success;
    op_desc d;
    if (s->pass != BNF_DNNL_FORWARD) {
        md_set forward = *m; /* its weights have the type of its source, whatever type their gradient has */
        forward.md[BNF_DNNL_WEIGHTS].data_type = m->md[BNF_DNNL_SRC].data_type;
        st = make_desc(s, BNF_DNNL_FORWARD, &forward, &d);
        if (st == dnnl_success)
            st = dnnl_primitive_desc_create(&hint, &d, NULL, engine, NULL);
    }
    if (st == dnnl_success)
        st = make_desc(s, s->pass, m, &d);
    if (st == dnnl_success)
        st = dnnl_primitive_desc_create(pd, &d, attr, engine, hint);
    if (hint)
        dnnl_primitive_desc_destroy(hint);
    return st;
}

static dnnl_status_t make_attr(dnnl_scratchpad_mode_t scratchpad, dnnl_primitive_attr_t *attr)
{
    dnnl_status_t st = dnnl_primitive_attr_create(attr);
    if (st != dnnl_success)
        return st;
    st = dnnl_primitive_attr_set_scratchpad_mode(*attr, scratchpad);
    if (st == dnnl_success) /* an environment variable could make bf16 the default */
        st = dnnl_primitive_attr_set_fpmath_mode(*attr, dnnl_fpmath_mode_strict);
    if (st != dnnl_success) {
        dnnl_primitive_attr_destroy(*attr);
        *attr = NULL;
    }
    return st;
}

/* Number that is equal for equal layouts: FNV-1a over everything that places and forms an element. */
static uint64_t layout_key(const dnnl_memory_desc_t *md)
{
    uint64_t h = 1469598103934665603u;
#define MIX(v) h = (h ^ (uint64_t)(v)) * 1099511628211u
    MIX(md->ndims);
    MIX(md->data_type);
    MIX(md->format_kind);
    for (int i = 0; i < md->ndims; i++) {
        MIX(md->dims[i]);
        MIX(md->padded_dims[i]);
        MIX(md->format_desc.blocking.strides[i]);
    }
    for (int i = 0; i < md->format_desc.blocking.inner_nblks; i++) {
        MIX(md->format_desc.blocking.inner_blks[i]);
        MIX(md->format_desc.blocking.inner_idxs[i]);
    }
#undef MIX
    return h;
}

static dnnl_status_t make_reorder(const dnnl_memory_desc_t *from, const dnnl_memory_desc_t *to, dnnl_primitive_t *prim)
{
    dnnl_primitive_attr_t attr;
    /* Scratch memory of the library: it keeps one per thread, and a reorder of f32 needs little or none. */
    dnnl_status_t st = make_attr(dnnl_scratchpad_mode_library, &attr);
    if (st != dnnl_success)
        return st;
    dnnl_primitive_desc_t pd = NULL;
    st = dnnl_reorder_primitive_desc_create(&pd, from, engine, to, engine, attr);
    if (st == dnnl_success)
        st = dnnl_primitive_create(prim, pd);
    if (pd)
        dnnl_primitive_desc_destroy(pd);
    dnnl_primitive_attr_destroy(attr);
    return st;
}

/* Nothing is shared between calls: memory objects and stream are made for this one. Once per parameter and step. */
static void reorder_run(dnnl_primitive_t prim, const dnnl_memory_desc_t *from, const void *src,
                        const dnnl_memory_desc_t *to, void *dst)
{
    dnnl_stream_t stream = NULL;
    dnnl_memory_t a = NULL, b = NULL;
    int n = enter_serial();
    dnnl_status_t st = dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
    if (st == dnnl_success)
        st = dnnl_memory_create(&a, from, engine, (void *)(uintptr_t)src);
    if (st == dnnl_success)
        st = dnnl_memory_create(&b, to, engine, dst);
    if (st == dnnl_success) {
        dnnl_exec_arg_t arg[] = {{DNNL_ARG_FROM, a}, {DNNL_ARG_TO, b}};
        st = dnnl_primitive_execute(prim, stream, 2, arg);
    }
    leave_serial(n);
    BNF_ASSERT(st == dnnl_success);
    dnnl_memory_destroy(a);
    dnnl_memory_destroy(b);
    dnnl_stream_destroy(stream);
}

static void pack_weights(const bnf_pack *p, const void *plain, void *packed)
{
    const packer *k = p->impl;
    reorder_run(k->to_packed, &k->plain, plain, &k->packed, packed);
}

static void unpack_weights(const bnf_pack *p, const void *packed, void *plain)
{
    const packer *k = p->impl;
    reorder_run(k->to_plain, &k->packed, packed, &k->plain, plain);
}

static dnnl_status_t make_pack(const bnf_dnnl_spec *s, const dnnl_memory_desc_t *packed, bnf_dnnl *d)
{
    bnf_dnnl_array w = s->weights;
    w.layout = BNF_DNNL_PLAIN;
    w.bf16 = false;
    packer *p = &d->packer;
    dnnl_status_t st = make_md(&w, &p->plain);
    if (st != dnnl_success || dnnl_memory_desc_equal(&p->plain, packed))
        return st;
    if (packed->format_kind != dnnl_blocked)
        return dnnl_unimplemented; /* layout_key would not tell such layouts apart */
    p->packed = *packed;
    st = make_reorder(&p->plain, &p->packed, &p->to_packed);
    if (st == dnnl_success)
        st = make_reorder(&p->packed, &p->plain, &p->to_plain);
    if (st == dnnl_success)
        d->pack = (bnf_pack){.bytes = dnnl_memory_desc_get_size(packed),
                             .key = layout_key(packed),
                             .impl = p,
                             .pack = pack_weights,
                             .unpack = unpack_weights};
    return st;
}

static int arg_of(bnf_dnnl_role role, bnf_dnnl_pass pass)
{
    bool dw = pass == BNF_DNNL_BWD_WEIGHTS;
    switch (role) {
    case BNF_DNNL_SRC:
        return pass == BNF_DNNL_BWD_DATA ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC;
    case BNF_DNNL_WEIGHTS:
        return dw ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS;
    case BNF_DNNL_BIAS:
        return dw ? DNNL_ARG_DIFF_BIAS : DNNL_ARG_BIAS;
    case BNF_DNNL_DST:
        return pass == BNF_DNNL_FORWARD ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST;
    default:
        return DNNL_ARG_SCRATCHPAD;
    }
}

static const dnnl_memory_desc_t *md_of(const_dnnl_primitive_desc_t pd, int arg)
{
    return dnnl_primitive_desc_query_md(pd, dnnl_query_exec_arg_md, arg);
}

static dnnl_status_t make_slot(const bnf_dnnl_spec *s, const_dnnl_primitive_desc_t pd, const bnf_dnnl *d, slot *t)
{
    dnnl_status_t st = dnnl_stream_create(&t->stream, engine, dnnl_stream_default_flags);
    for (int i = 0; i < d->n_args && st == dnnl_success; i++) {
        t->arg[i].arg = arg_of((bnf_dnnl_role)d->role[i], s->pass);
        st = dnnl_memory_create(&t->arg[i].memory, md_of(pd, t->arg[i].arg), engine, DNNL_MEMORY_NONE);
    }
    return st;
}

static dnnl_status_t make_prim(const bnf_dnnl_spec *s, const_dnnl_primitive_desc_t pd, bnf_dnnl *d)
{
    bool used[BNF_DNNL_ROLES] = {[BNF_DNNL_SRC] = true,
                                 [BNF_DNNL_WEIGHTS] = s->weights.ndim > 0,
                                 [BNF_DNNL_BIAS] = s->bias.ndim > 0 && s->pass != BNF_DNNL_BWD_DATA,
                                 [BNF_DNNL_DST] = true};
    for (int r = 0; r < BNF_DNNL_ROLES; r++)
        if (used[r])
            d->role[d->n_args++] = r;
    size_t scratch = dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0));
    if (scratch > 0)
        d->role[d->n_args++] = BNF_DNNL_ROLES;
    d->scratch_bytes = (scratch + BNF_ALIGN - 1) / BNF_ALIGN * BNF_ALIGN;
    dnnl_status_t st = dnnl_primitive_create(&d->prim, pd);
    if (st == dnnl_success)
        st = dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, (void *)&d->impl);
    for (int t = 0; t < d->threads && st == dnnl_success; t++)
        st = make_slot(s, pd, d, &d->slots[t]);
    if (st == dnnl_success && s->weights.ndim > 0)
        st = make_pack(s, md_of(pd, arg_of(BNF_DNNL_WEIGHTS, s->pass)), d);
    return st;
}

static dnnl_status_t make_all(const bnf_dnnl_spec *s, bnf_dnnl *d)
{
    md_set m;
    const bnf_dnnl_array *array[BNF_DNNL_ROLES] = {[BNF_DNNL_SRC] = &s->src,
                                                   [BNF_DNNL_WEIGHTS] = &s->weights,
                                                   [BNF_DNNL_BIAS] = &s->bias,
                                                   [BNF_DNNL_DST] = &s->dst};
    for (int r = 0; r < BNF_DNNL_ROLES; r++) {
        dnnl_status_t st = make_md(array[r], &m.md[r]);
        if (st != dnnl_success)
            return st;
    }
    dnnl_primitive_attr_t attr;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t st = make_attr(dnnl_scratchpad_mode_user, &attr);
    if (st != dnnl_success)
        return st;
    st = make_pd(s, &m, attr, &pd);
    if (st == dnnl_success)
        st = make_prim(s, pd, d);
    if (pd)
        dnnl_primitive_desc_destroy(pd);
    dnnl_primitive_attr_destroy(attr);
    return st;
}

bnf_status bnf_dnnl_create(const bnf_dnnl_spec *spec, int threads, bnf_dnnl **out)
{
    BNF_ASSERT(threads >= 1);
    pthread_once(&engine_once, engine_init);
    if (!engine)
        return BNF_ERR_UNSUPPORTED;
    bnf_dnnl *d = NULL;
    bnf_status s;
    BNF_TRY_GOTO(s, bnf_calloc(1, sizeof *d, "oneDNN primitive", &d), fail);
    BNF_TRY_GOTO(s, bnf_calloc((size_t)threads, sizeof *d->slots, "oneDNN arguments", &d->slots), fail);
    d->threads = threads;
    int n = enter_serial();
    dnnl_status_t st = make_all(spec, d);
    leave_serial(n);
    BNF_TRY_GOTO(s, status_of(st), fail);
    *out = d;
    return BNF_OK;
fail:
    bnf_dnnl_destroy(d);
    return s;
}

void bnf_dnnl_destroy(bnf_dnnl *d)
{
    if (!d)
        return;
    for (int t = 0; t < d->threads; t++) {
        for (int i = 0; i < d->n_args; i++)
            dnnl_memory_destroy(d->slots[t].arg[i].memory);
        dnnl_stream_destroy(d->slots[t].stream);
    }
    dnnl_primitive_destroy(d->packer.to_packed);
    dnnl_primitive_destroy(d->packer.to_plain);
    dnnl_primitive_destroy(d->prim);
    bnf_free(d->slots);
    bnf_free(d);
}

size_t bnf_dnnl_scratch_bytes(const bnf_dnnl *d)
{
    return d->scratch_bytes;
}

const char *bnf_dnnl_impl_name(const bnf_dnnl *d)
{
    return d->impl;
}

const bnf_pack *bnf_dnnl_pack(const bnf_dnnl *d)
{
    return d->pack.bytes > 0 ? &d->pack : NULL;
}

void bnf_dnnl_run(bnf_dnnl *d, int thread, void *const ptr[BNF_DNNL_ROLES], void *scratch)
{
    BNF_ASSERT(thread >= 0 && thread < d->threads);
    slot *t = &d->slots[thread];
    int n = enter_serial();
    dnnl_status_t st = dnnl_success;
    for (int i = 0; i < d->n_args && st == dnnl_success; i++) {
        void *p = d->role[i] == BNF_DNNL_ROLES ? scratch : ptr[d->role[i]];
        BNF_ASSERT(p);
        if (p == t->last[i])
            continue;
        /* Writes zeros into the padding of a packed layout. For packed weights, which several threads read, the
         * padding is zero already, so the bytes never change. */
        st = dnnl_memory_set_data_handle_v2(t->arg[i].memory, p, t->stream);
        t->last[i] = p;
    }
    if (st == dnnl_success)
        st = dnnl_primitive_execute(d->prim, t->stream, d->n_args, t->arg);
    leave_serial(n);
    BNF_ASSERT(st == dnnl_success);
}

void bnf_dnnl_gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                   const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
    int threads = enter_serial();
    dnnl_status_t st =
        dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k, 1.0f, a, lda, b, ldb, beta, c, ldc);
    leave_serial(threads);
    BNF_ASSERT(st == dnnl_success);
}

void bnf_dnnl_version(char *text, size_t size)
{
    const dnnl_version_t *v = dnnl_version();
    snprintf(text, size, "%d.%d.%d", v->major, v->minor, v->patch);
}
