/* comm/agree.h - how ranks learn of each other's failures. */
#ifndef BNF_COMM_AGREE_H
#define BNF_COMM_AGREE_H

#include <banff/comm.h>

/* Every rank tells how it fared and all return the same status: BNF_OK if all are ok, else the status of the lowest
 * rank that failed, so that no rank goes on alone and all take the same branch afterwards. A rank that failed
 * itself keeps its own message (bnf_error_message); the others get "rank R: <message of the lowest rank that failed>".
 * Collective; `comm` NULL returns `local`. Costs one reduction of an integer when all are ok. Errors: BNF_ERR_COMM. */
bnf_status bnf_comm_agree(const bnf_comm *comm, bnf_status local);

#endif
