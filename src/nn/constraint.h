/* nn/constraint.h - the map from a raw parameter matrix to the effective one that a 1-Lipschitz layer uses, and its
 * derivative.
 *
 * One bnf_constraint belongs to one parameter matrix W[rows,cols], row-major, f32 (training) or f64. Convolution
 * kernels [out, in/groups, kh, kw] are such matrices as they lie, with rows = out. All functions are local (the owner
 * of the parameter calls them), single-threaded and deterministic: same bits for same input and state, whatever the
 * number of ranks and threads. Different constraints may run at the same time on different threads; one may not.
 * Nothing is allocated after creation.
 *
 *   kind            effective matrix (before the factor)
 *   none            W
 *   spectral        W / (sigma + eps), sigma from power iteration with a persistent vector u
 *   bjorck          the same, then up to k steps W <- (1 + beta) W - beta W W' W (Bjorck and Bowie 1971, order 1)
 *   frobenius_rows  each row divided by its norm (a row of zeros stays)
 *   frobenius       W / ||W||_F (a matrix of zeros stays)
 *
 * What holds in exact arithmetic: spectral gives ||W_eff||_2 <= factor whenever the power iteration's sigma is within
 * eps of the true one. Since x -> 1.5 x - 0.5 x^3 maps [0, 2] into [-1, 1], bjorck with beta = 0.5 and at least one
 * step gives ||W_eff||_2 <= factor as soon as sigma + eps is at least half of the true norm; with smaller beta, when
 * sigma is within eps. Rounding adds some 1e-7 in f32, up to 1e-5 for matrices of condition 1e4. Certificates do
 * not rely on any of this: they bound the exported weights (la/svd.h). */
#ifndef BNF_NN_CONSTRAINT_H
#define BNF_NN_CONSTRAINT_H

#include <banff/base.h>
#include <stdbool.h>

typedef enum bnf_constraint_kind {
    BNF_CONSTRAINT_NONE,
    BNF_CONSTRAINT_SPECTRAL,
    BNF_CONSTRAINT_BJORCK,
    BNF_CONSTRAINT_FROBENIUS_ROWS,
    BNF_CONSTRAINT_FROBENIUS
} bnf_constraint_kind;

/* How the Bjorck steps are computed; the results agree up to rounding.
 * eigen:  every iterate is W_k = A_k W_0 with A_k a polynomial of the smaller Gram matrix S = W W' (or W' W, from the
 *         right). One eigendecomposition S = V diag(l) V' turns all steps into scalar recursions, and their derivative
 *         into the divided differences of the scalar map (Daleckii-Krein), computed by a recursion without
 *         cancellation. Cost does not grow with the number of steps. The small matrices are f64 whatever the type of W.
 * direct: the products as written, with every iterate kept: the reference. */
typedef enum bnf_bjorck_form { BNF_BJORCK_EIGEN, BNF_BJORCK_DIRECT } bnf_bjorck_form;

typedef struct bnf_constraint_config {
    bnf_constraint_kind kind;
    bnf_bjorck_form form;
    int power_iterations;      /* at most this many per forward; 0 takes u as it is */
    int power_cold_iterations; /* at most this many in the first forward of a constraint without a state */
    double power_tolerance;    /* stop after the iteration that changed u by less */
    double eps;                /* added to sigma, > 0 or (for tests) 0 */
    int bjorck_iterations;     /* at most this many, >= 1 */
    double bjorck_beta;        /* in (0, 0.5] */
    double bjorck_tolerance;   /* stop after the step with ||W_new - W_old||_F below this; 0: run all */
    double factor;             /* multiplies the result, > 0; see nn/lip_factor.h */
} bnf_constraint_config;

/* The published settings: 10 power iterations to 1e-3, eps 1e-3, 15 steps of beta 0.5 to 1e-3; 100 power iterations
 * when cold (so that the first call has a good sigma, too), eigen form, factor 1. */
bnf_constraint_config bnf_constraint_config_default(bnf_constraint_kind kind);

/* Names in configurations ("none", "spectral", ...; "eigen", "direct"), and back. BNF_ERR_CONFIG lists the valid ones.
 * */
const char *bnf_constraint_kind_name(bnf_constraint_kind kind);
bnf_status bnf_constraint_kind_parse(const char *name, bnf_constraint_kind *kind);
const char *bnf_bjorck_form_name(bnf_bjorck_form form);
bnf_status bnf_bjorck_form_parse(const char *name, bnf_bjorck_form *form);

/* Rough cost of one forward and one backward in floating-point operations of the matrix type at full GEMM speed (slower
 * parts weighted up), for balancing owners. */
double bnf_constraint_cost(const bnf_constraint_config *config, int64_t rows, int64_t cols);

typedef struct bnf_constraint bnf_constraint;

/* [out] c  owned, release with bnf_constraint_destroy. t is BNF_F32 or BNF_F64.
 * Errors: BNF_ERR_ARG for extents, type or settings outside their range (the message names the setting);
 * BNF_ERR_MEMORY; BNF_ERR_UNSUPPORTED when the smaller Gram matrix is too large for the eigen form. */
bnf_status bnf_constraint_create(const bnf_constraint_config *config, bnf_dtype t, int64_t rows, int64_t cols,
                                 bnf_constraint **c);
void bnf_constraint_destroy(bnf_constraint *c); /* NULL is legal */

/* eff = constraint(raw), both [rows,cols], not overlapping; moves the state on by one call.
 * Errors (not for kind none, which looks at nothing): BNF_ERR_NUMERIC for NaN or infinity in raw or in the result, and
 * when the power iteration's sigma is so far below the norm that the Bjorck steps diverge; the message names the
 * extents; state and eff are then not to be used. */
bnf_status bnf_constraint_forward(bnf_constraint *c, const void *raw, void *eff);

/* grad_raw = (derivative of the last forward)' grad_eff, both [rows,cols], not overlapping. raw must hold what the last
 * forward saw. The derivative goes through the division by sigma, with u (and the iterations that led to it) held
 * constant, and through every Bjorck step that ran, and treats the number of steps as constant. May be called more than
 * once per forward. */
void bnf_constraint_backward(bnf_constraint *c, const void *raw, const void *grad_eff, void *grad_raw);

/* State that a checkpoint must hold: state[bnf_constraint_state_size()] f64, exact for both types; size 0 for kinds
 * without state. With BEFORE, the state in which the last forward began: set it and call forward on the same raw matrix
 * to get that forward's result and all later ones bit for bit (for checkpoints that do not hold the effective matrix).
 * With AFTER, the state that the next forward begins with. */
typedef enum bnf_constraint_moment { BNF_CONSTRAINT_BEFORE, BNF_CONSTRAINT_AFTER } bnf_constraint_moment;
int64_t bnf_constraint_state_size(const bnf_constraint *c);
void bnf_constraint_state_get(const bnf_constraint *c, bnf_constraint_moment moment, double *state);

/* Errors: BNF_ERR_FORMAT if the values cannot be a state (NaN, not a unit vector, count negative or not whole). */
bnf_status bnf_constraint_state_set(bnf_constraint *c, const double *state);

/* What the last forward did. Zeros where the kind has no such thing. */
typedef struct bnf_constraint_stats {
    double sigma; /* spectral norm of raw as the power iteration saw it */
    int power_iterations;
    int bjorck_iterations;
    double bjorck_change; /* ||W_new - W_old||_F of the last step */
} bnf_constraint_stats;
bnf_constraint_stats bnf_constraint_get_stats(const bnf_constraint *c);

#endif
