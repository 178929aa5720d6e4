/* comm/impl.h - what the files of this room share. Nobody outside of src/comm includes it: MPI stays in here. */
#ifndef BNF_COMM_IMPL_H
#define BNF_COMM_IMPL_H

#include <banff/comm.h>
#include <mpi.h>

#include "base/pulse.h"
#include "comm/tree.h"

/* Tags of this room, above those of callers. MPI promises at least 32767. */
enum {
    BNF_TAG_EXCHANGE = BNF_COMM_MAX_TAG + 1,
    BNF_TAG_GATHER,
    BNF_TAG_FLOW, /* and all above */
};

/* Working memory of the tree's sums, kept between calls so that a training step allocates nothing. Its size depends
 * only on arguments that are equal on every rank, so all ranks grow it in the same call (bnf_tree_workspace). */
typedef struct bnf_tree_space {
    int32_t leaves;       /* of the covers below; 0: none yet */
    int32_t *first;       /* [size + 1] index in nodes of the first one of a rank */
    bnf_tree_node *nodes; /* [first[size]] covers of all ranks */
    void **value;         /* [first[size]] */
    void *buffer;
    int64_t buffer_bytes;
} bnf_tree_space;

struct bnf_comm {
    MPI_Comm mpi;
    int rank, size;
    int *counts;                  /* [2 size] for MPI's int arrays */
    bnf_comm_request *requests;   /* [2 size] for collective calls made of pairwise messages */
    struct bnf_flow_board *flows; /* as `tree` */
    bnf_tree_space *tree; /* the pointer is set once, the content changes: collective calls take a const bnf_comm */
};

/* The result of an MPI call that waits for other ranks, with marks around it for the watchdog. */
#define BNF_COMM_WAITS(result, call) \
    do {                             \
        bnf_pulse_wait(true);        \
        (result) = (call);           \
        bnf_pulse_wait(false);       \
    } while (0)

/* BNF_OK, or BNF_ERR_COMM with "what on rank r of n: <MPI's text>". */
bnf_status bnf_comm_check(const bnf_comm *comm, int mpi_result, const char *what);

/* How MPI is told about `bytes` bytes: MPI_BYTE times a count, or once a type made for it where an int cannot count
 * them. Release with bnf_comm_span_free, at any time after the call that used it. */
typedef struct bnf_comm_span {
    MPI_Datatype type;
    int count;
} bnf_comm_span;
bnf_status bnf_comm_span_make(const bnf_comm *comm, int64_t bytes, bnf_comm_span *span);
void bnf_comm_span_free(bnf_comm_span *span);

/* Lets go of a message of a communicator that has failed: nothing is to arrive any more. Requests that are done
 * count. */
void bnf_comm_abandon(bnf_comm_request *request);

/* Whether MPI's int arguments can count so many bytes. */
bool bnf_comm_fits(int64_t bytes);

/* Minimum and maximum of MPI_DOUBLE that hand on a NaN. */
MPI_Op bnf_comm_op_f64(bnf_comm_op op);
bnf_status bnf_comm_ops_create(void);
void bnf_comm_ops_free(void);

void bnf_tree_space_destroy(bnf_tree_space *space);

#endif
