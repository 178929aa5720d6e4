/* Calls that all ranks make together. */
#include "comm/impl.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"

/* One rank needs no messages, only the same effect. */
static bool alone(const bnf_comm *comm)
{
    return comm == NULL || comm->size == 1;
}

static void copy(void *to, const void *from, int64_t bytes)
{
    if (bytes > 0)
        memcpy(to, from, (size_t)bytes);
}

/* ---- reductions ------------------------------------------------------------------------------------------------ */

static MPI_Op min_f64 = MPI_OP_NULL, max_f64 = MPI_OP_NULL;

static void reduce_min(void *in, void *inout, int *n, MPI_Datatype *type)
{
    (void)type;
    const double *a = in;
    double *b = inout;
    for (int i = 0; i < *n; i++)
        b[i] = isnan(a[i]) || a[i] < b[i] ? a[i] : b[i];
}

static void reduce_max(void *in, void *inout, int *n, MPI_Datatype *type)
{
    (void)type;
    const double *a = in;
    double *b = inout;
    for (int i = 0; i < *n; i++)
        b[i] = isnan(a[i]) || a[i] > b[i] ? a[i] : b[i];
}

bnf_status bnf_comm_ops_create(void)
{
    BNF_TRY(bnf_comm_check(NULL, MPI_Op_create(reduce_min, 1, &min_f64), "MPI_Op_create"));
    return bnf_comm_check(NULL, MPI_Op_create(reduce_max, 1, &max_f64), "MPI_Op_create");
}

void bnf_comm_ops_free(void)
{
    if (min_f64 != MPI_OP_NULL)
        MPI_Op_free(&min_f64);
    if (max_f64 != MPI_OP_NULL)
        MPI_Op_free(&max_f64);
}

MPI_Op bnf_comm_op_f64(bnf_comm_op op)
{
    return op == BNF_COMM_SUM ? MPI_SUM : op == BNF_COMM_MIN ? min_f64 : max_f64;
}

static bnf_status allreduce(const bnf_comm *comm, MPI_Op op, MPI_Datatype type, void *values, int64_t n)
{
    BNF_ASSERT(n >= 0 && bnf_comm_fits(n));
    if (alone(comm) || n == 0)
        return BNF_OK;
    int result;
    BNF_COMM_WAITS(result, MPI_Allreduce(MPI_IN_PLACE, values, (int)n, type, op, comm->mpi));
    return bnf_comm_check(comm, result, "MPI_Allreduce");
}

bnf_status bnf_comm_allreduce_i64(const bnf_comm *comm, bnf_comm_op op, int64_t *values, int64_t n)
{
    const MPI_Op mpi_op = op == BNF_COMM_SUM ? MPI_SUM : op == BNF_COMM_MIN ? MPI_MIN : MPI_MAX;
    return allreduce(comm, mpi_op, MPI_INT64_T, values, n);
}

bnf_status bnf_comm_allreduce_f64(const bnf_comm *comm, bnf_comm_op op, double *values, int64_t n)
{
    return allreduce(comm, bnf_comm_op_f64(op), MPI_DOUBLE, values, n);
}

/* ---- movement -------------------------------------------------------------------------------------------------- */

bnf_status bnf_comm_barrier(const bnf_comm *comm)
{
    int result;
    if (alone(comm))
        return BNF_OK;
    BNF_COMM_WAITS(result, MPI_Barrier(comm->mpi));
    return bnf_comm_check(comm, result, "MPI_Barrier");
}

bnf_status bnf_comm_bcast(const bnf_comm *comm, int root, void *data, int64_t bytes)
{
    BNF_ASSERT(root >= 0 && root < bnf_comm_size(comm));
    if (alone(comm) || bytes == 0)
        return BNF_OK;
    bnf_comm_span span;
    BNF_TRY(bnf_comm_span_make(comm, bytes, &span));
    int result;
    BNF_COMM_WAITS(result, MPI_Bcast(data, span.count, span.type, root, comm->mpi));
    bnf_comm_span_free(&span);
    return bnf_comm_check(comm, result, "MPI_Bcast");
}

bnf_status bnf_comm_allgather(const bnf_comm *comm, const void *send, int64_t bytes, void *recv)
{
    if (alone(comm)) {
        copy(recv, send, bytes);
        return BNF_OK;
    }
    bnf_comm_span span;
    BNF_TRY(bnf_comm_span_make(comm, bytes, &span));
    int result;
    BNF_COMM_WAITS(result, MPI_Allgather(send, span.count, span.type, recv, span.count, span.type, comm->mpi));
    bnf_comm_span_free(&span);
    return bnf_comm_check(comm, result, "MPI_Allgather");
}

/* Every rank's part in turn: for amounts that MPI_Allgatherv's int offsets cannot reach. */
static bnf_status allgatherv_in_turn(const bnf_comm *comm, const void *send, const int64_t *recv_bytes, char *recv)
{
    for (int r = 0; r < comm->size; recv += recv_bytes[r], r++) {
        if (r == comm->rank)
            copy(recv, send, recv_bytes[r]);
        BNF_TRY(bnf_comm_bcast(comm, r, recv, recv_bytes[r]));
    }
    return BNF_OK;
}

bnf_status bnf_comm_allgatherv(const bnf_comm *comm, const void *send, const int64_t *recv_bytes, void *recv)
{
    if (alone(comm)) {
        copy(recv, send, recv_bytes[0]);
        return BNF_OK;
    }
    int64_t total = 0;
    for (int r = 0; r < comm->size; r++)
        total += recv_bytes[r];
    if (!bnf_comm_fits(total))
        return allgatherv_in_turn(comm, send, recv_bytes, recv);
    int *counts = comm->counts, *at = comm->counts + comm->size;
    for (int r = 0; r < comm->size; r++) {
        counts[r] = (int)recv_bytes[r];
        at[r] = r == 0 ? 0 : at[r - 1] + counts[r - 1];
    }
    int result;
    BNF_COMM_WAITS(result, MPI_Allgatherv(send, counts[comm->rank], MPI_BYTE, recv, counts, at, MPI_BYTE, comm->mpi));
    return bnf_comm_check(comm, result, "MPI_Allgatherv");
}

/* Posts everything, waits for what was posted, and returns the first error. */
static bnf_status gather_at_root(const bnf_comm *comm, const void *send, const int64_t *recv_bytes, char *recv)
{
    bnf_status s = BNF_OK;
    int posted = 0;
    for (int r = 0; r < comm->size && s == BNF_OK; recv += recv_bytes[r], r++) {
        if (r == comm->rank)
            copy(recv, send, recv_bytes[r]);
        else if (recv_bytes[r] > 0)
            s = bnf_comm_irecv(comm, r, BNF_TAG_GATHER, recv, recv_bytes[r], &comm->requests[posted++]);
    }
    const bnf_status waited = bnf_comm_wait_all(comm->requests, posted);
    return s != BNF_OK ? s : waited;
}

bnf_status bnf_comm_gatherv(const bnf_comm *comm, int root, const void *send, int64_t send_bytes,
                            const int64_t *recv_bytes, void *recv)
{
    BNF_ASSERT(root >= 0 && root < bnf_comm_size(comm));
    if (bnf_comm_rank(comm) == root)
        BNF_ASSERT(recv_bytes[root] == send_bytes);
    if (alone(comm)) {
        copy(recv, send, send_bytes);
        return BNF_OK;
    }
    if (comm->rank == root)
        return gather_at_root(comm, send, recv_bytes, recv);
    return send_bytes == 0 ? BNF_OK : bnf_comm_send(comm, root, BNF_TAG_GATHER, send, send_bytes);
}

bnf_status bnf_comm_exchange(const bnf_comm *comm, const void *send, const int64_t *send_bytes,
                             const int64_t *send_offset, void *recv, const int64_t *recv_bytes,
                             const int64_t *recv_offset)
{
    const int size = bnf_comm_size(comm), me = bnf_comm_rank(comm);
    const char *from = send;
    char *to = recv;
    BNF_ASSERT(send_bytes[me] == recv_bytes[me]);
    if (send_bytes[me] > 0)
        copy(to + recv_offset[me], from + send_offset[me], send_bytes[me]);
    bnf_status s = BNF_OK;
    int posted = 0;
    /* Everyone starts with the next rank, so that not all talk to rank 0 first. */
    for (int i = 1; i < size && s == BNF_OK; i++) {
        const int r = (me + size - i) % size;
        if (recv_bytes[r] > 0)
            s = bnf_comm_irecv(comm, r, BNF_TAG_EXCHANGE, to + recv_offset[r], recv_bytes[r],
                               &comm->requests[posted++]);
    }
    for (int i = 1; i < size && s == BNF_OK; i++) {
        const int r = (me + i) % size;
        if (send_bytes[r] > 0)
            s = bnf_comm_isend(comm, r, BNF_TAG_EXCHANGE, from + send_offset[r], send_bytes[r],
                               &comm->requests[posted++]);
    }
    if (comm == NULL)
        return BNF_OK;
    const bnf_status waited = bnf_comm_wait_all(comm->requests, posted);
    return s != BNF_OK ? s : waited;
}
