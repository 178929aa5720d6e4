/* Messages that MPI's int counts cannot describe. */
#include "comm/impl.h"
#include "comm/limit.h"

#include "base/assert.h"

#define LARGEST (INT64_C(1) << 30)

static int64_t limit = LARGEST;

void bnf_comm_set_message_limit(int64_t bytes)
{
    BNF_ASSERT(bytes >= 1 && bytes <= LARGEST);
    limit = bytes;
}

bool bnf_comm_fits(int64_t bytes)
{
    return bytes <= limit;
}

bnf_status bnf_comm_span_make(const bnf_comm *comm, int64_t bytes, bnf_comm_span *span)
{
    BNF_ASSERT(bytes >= 0);
    *span = (bnf_comm_span){.type = MPI_BYTE, .count = 0};
    if (bnf_comm_fits(bytes)) {
        span->count = (int)bytes;
        return BNF_OK;
    }
    /* Whole pieces of `limit` bytes, then the rest, as one element. */
    int blocks[2] = {(int)(bytes / limit), (int)(bytes % limit)};
    MPI_Aint at[2] = {0, (MPI_Aint)(bytes - bytes % limit)};
    MPI_Datatype types[2] = {MPI_DATATYPE_NULL, MPI_BYTE};
    BNF_TRY(bnf_comm_check(comm, MPI_Type_contiguous((int)limit, MPI_BYTE, &types[0]), "MPI_Type_contiguous"));
    bnf_status s =
        bnf_comm_check(comm, MPI_Type_create_struct(2, blocks, at, types, &span->type), "MPI_Type_create_struct");
    MPI_Type_free(&types[0]);
    if (s != BNF_OK)
        return s;
    span->count = 1;
    s = bnf_comm_check(comm, MPI_Type_commit(&span->type), "MPI_Type_commit");
    if (s != BNF_OK)
        bnf_comm_span_free(span);
    return s;
}

void bnf_comm_span_free(bnf_comm_span *span)
{
    if (span->type != MPI_BYTE)
        MPI_Type_free(&span->type);
    span->type = MPI_BYTE;
}
