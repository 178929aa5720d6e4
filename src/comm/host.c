/* comm/host.c - what shares this computer. */
#include "comm/host.h"

#include <stdlib.h>

int bnf_comm_host_size(const bnf_comm *comm)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "SLURM_NTASKS_PER_NODE"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *text = getenv(names[i]);
        const int n = text ? atoi(text) : 0;
        if (n > 0)
            return n < bnf_comm_size(comm) ? n : bnf_comm_size(comm);
    }
    return bnf_comm_size(comm) > 1 ? bnf_comm_size(comm) : 1;
}
