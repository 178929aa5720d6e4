/* ops/dnnl.h - the one door to oneDNN: a description in our terms in, a primitive that several threads may run out.
 *
 * dnnl.c is the only file of this room that includes oneDNN's header; what differs between its major versions stays
 * there.
 *
 * Every primitive is created for one thread (whatever OpenMP's setting is at that moment), uses the scratch memory
 * given to run(), and computes in strict f32, or multiplies bf16 and adds in f32. So its result depends on its inputs
 * only, not on how many threads work beside it. */
#ifndef BNF_OPS_DNNL_H
#define BNF_OPS_DNNL_H

#include "ops/op.h"

typedef enum bnf_dnnl_layout {
    BNF_DNNL_PLAIN = 0, /* row-major in the order of dim[] */
    BNF_DNNL_NHWC,      /* dim[] = n, c, h, w; stored channels-last */
    BNF_DNNL_ANY        /* weights only: oneDNN chooses, bnf_dnnl_pack() converts */
} bnf_dnnl_layout;

/* An array; ndim 0 = absent. The f32 parameter or gradient that bf16 weights stand for is what bnf_dnnl_pack() reads
 * and writes. */
typedef struct bnf_dnnl_array {
    int ndim;
    int64_t dim[BNF_MAX_DIMS];
    bnf_dnnl_layout layout;
    bool bf16; /* else f32 */
} bnf_dnnl_array;

typedef enum bnf_dnnl_family {
    BNF_DNNL_CONV = 0, /* src n,i,h,w; weights o,i,kh,kw or g,o/g,i/g,kh,kw; bias o; dst n,o,oh,ow */
    BNF_DNNL_DENSE,    /* src n,i; weights o,i; bias o; dst n,o */
    BNF_DNNL_POOL_MAX, /* src n,c,h,w; dst n,c,oh,ow; forward only: backward would need a workspace */
    BNF_DNNL_POOL_AVG  /* divides by the cells of the whole window, padding included */
} bnf_dnnl_family;

typedef enum bnf_dnnl_pass { BNF_DNNL_FORWARD = 0, BNF_DNNL_BWD_DATA, BNF_DNNL_BWD_WEIGHTS } bnf_dnnl_pass;

typedef struct bnf_dnnl_spec {
    bnf_dnnl_family family;
    bnf_dnnl_pass pass;
    bnf_dnnl_array src, weights, bias, dst;
    int64_t window[2];         /* pooling */
    int64_t stride[2], pad[4]; /* convolution, pooling; pad: top, left, bottom, right */
    int64_t dilation[2];       /* convolution; 1 = dense */
} bnf_dnnl_spec;

/* What an argument of run() is. In a backward pass the name stands for its gradient where the gradient is what the
 * pass reads or writes: BWD_DATA reads DST (dy) and WEIGHTS, writes SRC (dx); BWD_WEIGHTS reads SRC (x) and DST
 * (dy), writes WEIGHTS, BIAS. */
typedef enum bnf_dnnl_role {
    BNF_DNNL_SRC = 0,
    BNF_DNNL_WEIGHTS,
    BNF_DNNL_BIAS,
    BNF_DNNL_DST,
    BNF_DNNL_ROLES
} bnf_dnnl_role;

typedef struct bnf_dnnl bnf_dnnl;

/* Makes a primitive that threads 0 ... threads-1 may run at the same time, each with its own number.
 * [out] d  owned by the caller, release with bnf_dnnl_destroy.
 * Errors: BNF_ERR_UNSUPPORTED without a message (oneDNN has no implementation for this case), BNF_ERR_MEMORY. */
bnf_status bnf_dnnl_create(const bnf_dnnl_spec *spec, int threads, bnf_dnnl **d);
void bnf_dnnl_destroy(bnf_dnnl *d); /* NULL is legal */

/* Bytes of scratch memory that run() needs, a multiple of 64. */
size_t bnf_dnnl_scratch_bytes(const bnf_dnnl *d);

/* Name of oneDNN's implementation, for reports. Borrowed from oneDNN, lives as long as d. */
const char *bnf_dnnl_impl_name(const bnf_dnnl *d);

/* How the weights of a BNF_DNNL_ANY or bf16 description are laid out; NULL if they are plain f32. Borrowed from d.
 * The padding that a packed layout may contain is always zero. */
const bnf_pack *bnf_dnnl_pack(const bnf_dnnl *d);

/* Runs on the calling thread. ptr[role] = data of that argument, NULL where the description has none. `scratch` may
 * be NULL if none is needed. Never fails: a refusal by oneDNN at this point is a bug. */
void bnf_dnnl_run(bnf_dnnl *d, int thread, void *const ptr[BNF_DNNL_ROLES], void *scratch);

/* c[m,n] = op(a) op(b) + beta c for row-major matrices with row lengths lda, ldb, ldc; op transposes where the flag
 * says so: a is [m,k], or [k,m] if transposed; b is [k,n] or [n,k]. One thread, a fixed order of summation. */
void bnf_dnnl_gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                   const float *b, int64_t ldb, float beta, float *c, int64_t ldc);

/* The library's version, "2.6.3". */
void bnf_dnnl_version(char *text, size_t size);

#endif
