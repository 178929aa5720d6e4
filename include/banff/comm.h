/* banff/comm.h - processes that work together: communicators, collective and pairwise messages.
 *
 * A communicator may be NULL in every call: that is this process alone (rank 0 of 1), and no MPI is needed. All
 * sizes are bytes or elements in int64_t; messages above 2 GiB are legal. "Collective" means that all ranks of the
 * communicator make the call, in the same order. Errors are BNF_ERR_COMM unless said otherwise and hold MPI's own
 * description; after one, the communicator is of no further use, and bnf_comm_agree (comm/agree.h) is how ranks
 * learn of each other's failures.
 *
 * Sums of reals over ranks that end up in weights or results go along the tree of leaves (comm/tree.h): the sums here
 * depend on how many ranks take part. */
#ifndef BANFF_COMM_H
#define BANFF_COMM_H

#include <banff/base.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bnf_comm bnf_comm;

/* What threads may do with MPI: one thread only; the main thread only; any thread, one at a time; any thread. */
typedef enum bnf_thread_level {
    BNF_THREAD_SINGLE = 0,
    BNF_THREAD_FUNNELED,
    BNF_THREAD_SERIALIZED,
    BNF_THREAD_MULTIPLE
} bnf_thread_level;

/* ---- life ------------------------------------------------------------------------------------------------------ */

/* Starts MPI; also without mpirun, as one process. If the calling program has started MPI already, that is used and
 * bnf_comm_finalize leaves it running. Call once. Errors: BNF_ERR_UNSUPPORTED if MPI offers less than `level`. */
bnf_status bnf_comm_init(bnf_thread_level level);
/* The same, but asks MPI for `wish` and is content with `level`; bnf_comm_thread_level tells what was granted. */
bnf_status bnf_comm_init_wish(bnf_thread_level level, bnf_thread_level wish);

/* Ends MPI. Own communicators must have been destroyed. Does nothing if bnf_comm_init was not called. Collective. */
bnf_status bnf_comm_finalize(void);

/* All processes; this process. Borrowed. Before bnf_comm_init and after bnf_comm_finalize: NULL, which is this
 * process. */
const bnf_comm *bnf_comm_world(void);
const bnf_comm *bnf_comm_self(void);

/* The same ranks with messages of their own, e.g. for a communication thread. Collective. [out] copy owned, release
 * with bnf_comm_destroy; NULL if `comm` is. */
bnf_status bnf_comm_dup(const bnf_comm *comm, bnf_comm **copy);

/* Ranks with the same `color` >= 0 form a new communicator, ordered by (key, rank). A rank with color -1 joins
 * none: its *part is NULL and may not be passed on, since that would mean "this process alone". Collective. [out]
 * part owned. */
bnf_status bnf_comm_split(const bnf_comm *comm, int color, int key, bnf_comm **part);

/* Ranks that share memory, that is, one communicator per host. Collective. [out] part owned. */
bnf_status bnf_comm_split_host(const bnf_comm *comm, bnf_comm **part);

/* Collective. NULL is legal; world and self are not. */
void bnf_comm_destroy(bnf_comm *comm);

/* Ends all processes, at once, with an exit code. For when a rank cannot reach the next agreement. */
void bnf_comm_abort(int exit_code) __attribute__((noreturn));

/* ---- who am I -------------------------------------------------------------------------------------------------- */

int bnf_comm_rank(const bnf_comm *comm);
int bnf_comm_size(const bnf_comm *comm);

/* Name of this computer; of MPI's library with its version. Borrowed, never NULL. */
const char *bnf_comm_host(void);
const char *bnf_comm_library(void);

/* The thread level that MPI granted; BNF_THREAD_MULTIPLE for a process without MPI. */
bnf_thread_level bnf_comm_thread_level(void);

/* Address of the MPI_Comm inside, for libraries that want one (parallel HDF5, ScaLAPACK): *(const MPI_Comm *)it.
 * NULL if `comm` is NULL. Borrowed. */
const void *bnf_comm_mpi(const bnf_comm *comm);

/* ---- collective ------------------------------------------------------------------------------------------------ */

typedef enum bnf_comm_op { BNF_COMM_SUM = 0, BNF_COMM_MIN, BNF_COMM_MAX } bnf_comm_op;

bnf_status bnf_comm_barrier(const bnf_comm *comm);

/* data[bytes] of `root` to all. */
bnf_status bnf_comm_bcast(const bnf_comm *comm, int root, void *data, int64_t bytes);

/* values[n] [in,out] becomes the sum, minimum or maximum over the ranks, element by element; the same on every
 * rank. For counters, times and limits; n small. MIN and MAX of f64 with a NaN on any rank: NaN. */
bnf_status bnf_comm_allreduce_i64(const bnf_comm *comm, bnf_comm_op op, int64_t *values, int64_t n);
bnf_status bnf_comm_allreduce_f64(const bnf_comm *comm, bnf_comm_op op, double *values, int64_t n);

/* Every rank gives send[bytes], the same amount, and receives recv[size * bytes] in rank order. The two do not
 * overlap. */
bnf_status bnf_comm_allgather(const bnf_comm *comm, const void *send, int64_t bytes, void *recv);

/* The same with an amount per rank: rank r gives recv_bytes[r], they arrive one behind the other in rank order.
 * recv_bytes[size] is the same on every rank. */
bnf_status bnf_comm_allgatherv(const bnf_comm *comm, const void *send, const int64_t *recv_bytes, void *recv);

/* The same to `root` only; recv and recv_bytes are read on `root` alone (elsewhere NULL is legal), send_bytes on
 * every rank. */
bnf_status bnf_comm_gatherv(const bnf_comm *comm, int root, const void *send, int64_t send_bytes,
                            const int64_t *recv_bytes, void *recv);

/* Every rank sends send_bytes[r] from send + send_offset[r] to rank r and receives recv_bytes[r] from it at recv +
 * recv_offset[r] (all in bytes, all arrays [size]); zero sizes send nothing. Buffers do not overlap. Collective. */
bnf_status bnf_comm_exchange(const bnf_comm *comm, const void *send, const int64_t *send_bytes,
                             const int64_t *send_offset, void *recv, const int64_t *recv_bytes,
                             const int64_t *recv_offset);

/* ---- pairwise -------------------------------------------------------------------------------------------------- */

#define BNF_COMM_ANY (-1)      /* as source of a receive: whoever sends first */
#define BNF_COMM_MAX_TAG 16383 /* tags of callers: 0 to this */

/* A message under way. Lives in the caller's memory and may not move until it is done. Zeroed content counts as
 * done. */
typedef struct bnf_comm_request {
    union {
        void *pointer;
        int64_t number;
    } mpi;            /* the MPI_Request */
    int64_t expected; /* bytes to receive, -1 for a send */
    bool active;
} bnf_comm_request;

/* data[bytes] to `dest`, matched by tag. Blocks until data may be reused. Not legal to a rank itself without a
 * posted receive. */
bnf_status bnf_comm_send(const bnf_comm *comm, int dest, int tag, const void *data, int64_t bytes);

/* Blocks until data[bytes] arrived from `source`. A message of another size is an error. */
bnf_status bnf_comm_recv(const bnf_comm *comm, int source, int tag, void *data, int64_t bytes);

/* Blocks until a message from `source` (or BNF_COMM_ANY) can be received. [out] from its rank, [out] bytes its size. */
bnf_status bnf_comm_probe(const bnf_comm *comm, int source, int tag, int *from, int64_t *bytes);

/* The same without waiting. `data` belongs to the message until bnf_comm_wait, or bnf_comm_test with *done,
 * returned. No heap memory is used for messages below 2 GiB. */
bnf_status bnf_comm_isend(const bnf_comm *comm, int dest, int tag, const void *data, int64_t bytes,
                          bnf_comm_request *request);
bnf_status bnf_comm_irecv(const bnf_comm *comm, int source, int tag, void *data, int64_t bytes,
                          bnf_comm_request *request);

/* Waits for one or all; requests that are done already count. All are waited for even if one fails; the first error is
 * returned. */
bnf_status bnf_comm_wait(bnf_comm_request *request);
bnf_status bnf_comm_wait_all(bnf_comm_request *requests, int64_t n);

/* [out] done  whether it is finished; makes MPI progress. */
bnf_status bnf_comm_test(bnf_comm_request *request, bool *done);

#ifdef __cplusplus
}
#endif
#endif
