/* comm/handle.c */
#include "comm/handle.h"

#include "comm/impl.h"

int bnf_comm_blacs_handle(const bnf_comm *comm)
{
    int running = 0, ended = 0;
    if (MPI_Initialized(&running) != MPI_SUCCESS || MPI_Finalized(&ended) != MPI_SUCCESS || !running || ended)
        return -1;
    return (int)MPI_Comm_c2f(comm ? comm->mpi : MPI_COMM_SELF);
}
