/* MPI's own sum, for comparison. */
#include "comm/measure.h"

#include <string.h>

#include "base/assert.h"
#include "comm/impl.h"

bnf_status bnf_comm_allreduce_f32_mpi(const bnf_comm *comm, const float *values, int64_t n, float *sum)
{
    BNF_ASSERT(n >= 0 && n <= INT32_MAX);
    if (comm == NULL) {
        memcpy(sum, values, (size_t)n * sizeof *sum);
        return BNF_OK;
    }
    return bnf_comm_check(comm, MPI_Allreduce(values, sum, (int)n, MPI_FLOAT, MPI_SUM, comm->mpi), "MPI_Allreduce");
}
