/* Messages between two ranks. */
#include "comm/impl.h"

#include <string.h>

#include "base/assert.h"

_Static_assert(sizeof(MPI_Request) <= sizeof(((bnf_comm_request *)0)->mpi),
               "bnf_comm_request has to hold an MPI_Request");

static MPI_Request load_request(const bnf_comm_request *request)
{
    MPI_Request mpi;
    memcpy(&mpi, &request->mpi, sizeof mpi);
    return mpi;
}

static void store_request(bnf_comm_request *request, MPI_Request mpi, int64_t expected)
{
    memcpy(&request->mpi, &mpi, sizeof mpi);
    request->expected = expected;
    request->active = true;
}

static int mpi_source(const bnf_comm *comm, int source)
{
    BNF_ASSERT(comm != NULL && source >= BNF_COMM_ANY && source < comm->size);
    return source == BNF_COMM_ANY ? MPI_ANY_SOURCE : source;
}

/* A message that is not as long as agreed means that two ranks disagree about what they do: worth an error, not a
 * guess. */
static bnf_status check_size(const bnf_comm *comm, const MPI_Status *status, int64_t expected)
{
    MPI_Count got = 0;
    BNF_TRY(bnf_comm_check(comm, MPI_Get_elements_x(status, MPI_BYTE, &got), "MPI_Get_elements_x"));
    if ((int64_t)got == expected)
        return BNF_OK;
    return bnf_fail(BNF_ERR_COMM, "message from rank %d has %lld bytes, not the expected %lld", status->MPI_SOURCE,
                    (long long)got, (long long)expected);
}

bnf_status bnf_comm_send(const bnf_comm *comm, int dest, int tag, const void *data, int64_t bytes)
{
    BNF_ASSERT(comm != NULL && dest >= 0 && dest < comm->size);
    bnf_comm_span span;
    BNF_TRY(bnf_comm_span_make(comm, bytes, &span));
    int result;
    BNF_COMM_WAITS(result, MPI_Send(data, span.count, span.type, dest, tag, comm->mpi));
    bnf_comm_span_free(&span);
    return bnf_comm_check(comm, result, "MPI_Send");
}

bnf_status bnf_comm_recv(const bnf_comm *comm, int source, int tag, void *data, int64_t bytes)
{
    const int from = mpi_source(comm, source);
    bnf_comm_span span;
    MPI_Status status;
    BNF_TRY(bnf_comm_span_make(comm, bytes, &span));
    int result;
    BNF_COMM_WAITS(result, MPI_Recv(data, span.count, span.type, from, tag, comm->mpi, &status));
    bnf_comm_span_free(&span);
    BNF_TRY(bnf_comm_check(comm, result, "MPI_Recv"));
    return check_size(comm, &status, bytes);
}

bnf_status bnf_comm_probe(const bnf_comm *comm, int source, int tag, int *from, int64_t *bytes)
{
    MPI_Status status;
    MPI_Count got = 0;
    int result;
    BNF_COMM_WAITS(result, MPI_Probe(mpi_source(comm, source), tag, comm->mpi, &status));
    BNF_TRY(bnf_comm_check(comm, result, "MPI_Probe"));
    BNF_TRY(bnf_comm_check(comm, MPI_Get_elements_x(&status, MPI_BYTE, &got), "MPI_Get_elements_x"));
    *from = status.MPI_SOURCE;
    *bytes = (int64_t)got;
    return BNF_OK;
}

bnf_status bnf_comm_isend(const bnf_comm *comm, int dest, int tag, const void *data, int64_t bytes,
                          bnf_comm_request *request)
{
    BNF_ASSERT(comm != NULL && dest >= 0 && dest < comm->size);
    bnf_comm_span span;
    MPI_Request mpi;
    request->active = false;
    BNF_TRY(bnf_comm_span_make(comm, bytes, &span));
    const int result = MPI_Isend(data, span.count, span.type, dest, tag, comm->mpi, &mpi);
    bnf_comm_span_free(&span);
    BNF_TRY(bnf_comm_check(comm, result, "MPI_Isend"));
    store_request(request, mpi, -1);
    return BNF_OK;
}

bnf_status bnf_comm_irecv(const bnf_comm *comm, int source, int tag, void *data, int64_t bytes,
                          bnf_comm_request *request)
{
    const int from = mpi_source(comm, source);
    bnf_comm_span span;
    MPI_Request mpi;
    request->active = false;
    BNF_TRY(bnf_comm_span_make(comm, bytes, &span));
    const int result = MPI_Irecv(data, span.count, span.type, from, tag, comm->mpi, &mpi);
    bnf_comm_span_free(&span);
    BNF_TRY(bnf_comm_check(comm, result, "MPI_Irecv"));
    store_request(request, mpi, bytes);
    return BNF_OK;
}

static bnf_status finished(bnf_comm_request *request, int result, const MPI_Status *status, const char *what)
{
    request->active = false;
    BNF_TRY(bnf_comm_check(NULL, result, what));
    return request->expected < 0 ? BNF_OK : check_size(NULL, status, request->expected);
}

bnf_status bnf_comm_wait(bnf_comm_request *request)
{
    if (!request->active)
        return BNF_OK;
    MPI_Request mpi = load_request(request);
    MPI_Status status;
    int result;
    BNF_COMM_WAITS(result, MPI_Wait(&mpi, &status));
    return finished(request, result, &status, "MPI_Wait");
}

bnf_status bnf_comm_wait_all(bnf_comm_request *requests, int64_t n)
{
    bnf_status first = BNF_OK;
    for (int64_t i = 0; i < n; i++) {
        const bnf_status s = bnf_comm_wait(&requests[i]);
        if (first == BNF_OK)
            first = s;
    }
    return first;
}

bnf_status bnf_comm_test(bnf_comm_request *request, bool *done)
{
    *done = true;
    if (!request->active)
        return BNF_OK;
    MPI_Request mpi = load_request(request);
    MPI_Status status;
    int flag = 0;
    const int result = MPI_Test(&mpi, &flag, &status);
    if (result == MPI_SUCCESS && !flag) {
        *done = false;
        store_request(request, mpi, request->expected);
        return BNF_OK;
    }
    return finished(request, result, &status, "MPI_Test");
}

void bnf_comm_abandon(bnf_comm_request *request)
{
    if (!request->active)
        return;
    MPI_Request mpi = load_request(request);
    if (request->expected >= 0)
        MPI_Cancel(&mpi);
    MPI_Request_free(&mpi);
    request->active = false;
}
