/* The agreement on a status. */
#include "comm/agree.h"

#include <stdio.h>
#include <string.h>

#include "comm/impl.h"

/* What the lowest rank that failed tells the others. */
typedef struct verdict {
    int32_t status;
    char message[2044];
} verdict;

bnf_status bnf_comm_agree(const bnf_comm *comm, bnf_status local)
{
    if (comm == NULL || comm->size == 1)
        return local;
    int64_t lowest = local == BNF_OK ? comm->size : comm->rank;
    bnf_status s = bnf_comm_allreduce_i64(comm, BNF_COMM_MIN, &lowest, 1);
    if (s != BNF_OK)
        return local != BNF_OK ? local : s;
    if (lowest == comm->size)
        return BNF_OK;
    verdict v = {.status = (int32_t)local};
    if (lowest == comm->rank)
        snprintf(v.message, sizeof v.message, "%s",
                 bnf_error_message()[0] != '\0' ? bnf_error_message() : bnf_status_name(local));
    s = bnf_comm_bcast(comm, (int)lowest, &v, sizeof v);
    if (s != BNF_OK)
        return local != BNF_OK ? local : s;
    if (local == BNF_OK) {
        bnf_error_clear(); /* a failure that was dealt with may have left its message */
        bnf_fail((bnf_status)v.status, "rank %d: %s", (int)lowest, v.message);
    }
    return (bnf_status)v.status;
}
