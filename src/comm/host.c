/* comm/host.c - what shares this computer. */
#include "comm/host.h"

#include <stdlib.h>

#include "base/mem.h"
#include "comm/agree.h"

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

/* Where this rank stands: behind the groups that begin before its own, and behind the lower ranks of its own. */
static int place_of(const int32_t *groups, int size, int rank)
{
    int begin = 0, place = 0;
    while (groups[begin] != groups[rank])
        begin++;
    for (int r = 0; r < size; r++) {
        int other = 0;
        while (groups[other] != groups[r])
            other++;
        place += other < begin || (other == begin && r < rank);
    }
    return place;
}

bnf_status bnf_comm_by_group(const bnf_comm *comm, int group, bnf_comm **ordered)
{
    const int32_t own = group;
    int32_t *groups = NULL;
    *ordered = NULL;
    if (comm == NULL)
        return BNF_OK;
    bnf_status s = bnf_calloc((size_t)bnf_comm_size(comm), sizeof *groups, "an order of ranks", &groups);
    s = bnf_comm_agree(comm, s);
    if (s == BNF_OK)
        s = bnf_comm_allgather(comm, &own, sizeof own, groups);
    if (s == BNF_OK)
        s = bnf_comm_split(comm, 0, place_of(groups, bnf_comm_size(comm), bnf_comm_rank(comm)), ordered);
    bnf_free(groups);
    return s;
}

bnf_status bnf_comm_by_host(const bnf_comm *comm, bnf_comm **ordered)
{
    bnf_comm *host;
    int64_t lowest = bnf_comm_rank(comm);
    *ordered = NULL;
    if (comm == NULL)
        return BNF_OK;
    BNF_TRY(bnf_comm_split_host(comm, &host));
    const bnf_status s = bnf_comm_allreduce_i64(host, BNF_COMM_MIN, &lowest, 1);
    bnf_comm_destroy(host);
    return s != BNF_OK ? s : bnf_comm_by_group(comm, (int)lowest, ordered);
}
