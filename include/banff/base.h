/* banff/base.h - status codes, error messages, element types, version.
 *
 * The lowest public header: it needs nothing but the C library. */
#ifndef BANFF_BASE_H
#define BANFF_BASE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BNF_VERSION_MAJOR 0
#define BNF_VERSION_MINOR 1
#define BNF_VERSION_PATCH 0
#define BNF_VERSION_STRING "0.1.0"

/* Result of every call that can fail for a reason outside the program: environment, input, memory. A bug in the program
 * is no status: it ends in BNF_ASSERT (base/assert.h). */
typedef enum bnf_status {
    BNF_OK = 0,
    BNF_ERR_ARG,         /* the caller gave a value that the function's contract excludes */
    BNF_ERR_MEMORY,      /* an allocation failed */
    BNF_ERR_IO,          /* the operating system refused: open, read, write, sync, rename */
    BNF_ERR_FORMAT,      /* a file's content is not what its format says: truncated, corrupt, wrong shape */
    BNF_ERR_CONFIG,      /* unknown key, mistyped value, impossible combination of settings */
    BNF_ERR_COMM,        /* MPI reported an error */
    BNF_ERR_NUMERIC,     /* NaN or infinity where none may be; an iteration that did not converge */
    BNF_ERR_UNSUPPORTED, /* asked for something that this build or kernel does not do */
    BNF_ERR_INTERRUPTED, /* a signal asked to stop; state was saved */
    BNF_ERR_REMOTE,      /* another rank failed; this rank had no error of its own */
    BNF_ERR_FENCED,      /* a newer job has taken over the run folder */
    BNF_ERR_LATE,        /* a rank did not arrive in time */
    BNF_STATUS_COUNT
} bnf_status;

/* Short fixed name of a status, e.g. "out of memory". Never NULL. */
const char *bnf_status_name(bnf_status s);

/* Records a message (printf format) for the calling thread and returns `code`, so that a failing function can end
 * with `return bnf_fail(BNF_ERR_IO, "cannot open '%s': %s", path, strerror(errno));`. The message of the innermost
 * failure is kept: a later bnf_fail on the same thread replaces it only after bnf_error_clear(). `code` must not be
 * BNF_OK. */
bnf_status bnf_fail(bnf_status code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "context: " before the recorded message (outermost last call first) and returns `code`. */
bnf_status bnf_fail_context(bnf_status code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The recorded message of the calling thread; "" if there is none. Borrowed, valid until the next bnf_fail. */
const char *bnf_error_message(void);

/* Forgets the recorded message of the calling thread. */
void bnf_error_clear(void);

/* Returns from the enclosing function with the status of `expr` unless it is BNF_OK. */
#define BNF_TRY(expr)                   \
    do {                                \
        bnf_status bnf_try_s_ = (expr); \
        if (bnf_try_s_ != BNF_OK)       \
            return bnf_try_s_;          \
    } while (0)

/* Stores the status of `expr` in `status` and jumps to `label` unless it is BNF_OK. For functions that clean up. */
#define BNF_TRY_GOTO(status, expr, label) \
    do {                                  \
        (status) = (expr);                \
        if ((status) != BNF_OK)           \
            goto label;                   \
    } while (0)

/* Element types. BNF_F32 and BNF_F64 are the "real" types that sums and gradients may have. BNF_BF16 (the upper half of
 * an f32) is one that values between operations may have: operations compute in f32 and round their results to it. No
 * file holds it. */
typedef enum bnf_dtype { BNF_F32 = 0, BNF_F64, BNF_I32, BNF_I64, BNF_U8, BNF_BF16, BNF_DTYPE_COUNT } bnf_dtype;

/* Bytes of one element; name such as "f32". */
size_t bnf_dtype_size(bnf_dtype t);
const char *bnf_dtype_name(bnf_dtype t);

/* Version as "major.minor.patch" of the library that is loaded (BNF_VERSION_STRING is the header's). */
const char *bnf_version(void);

#ifdef __cplusplus
}
#endif
#endif
