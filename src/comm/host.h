/* comm/host.h - what shares this computer. */
#ifndef BNF_COMM_HOST_H
#define BNF_COMM_HOST_H

#include <banff/comm.h>

/* Ranks of the communicator on this host, as the launcher tells; 1 without a launcher. Not collective. */
int bnf_comm_host_size(const bnf_comm *comm);

/* The same ranks, ordered so that those of one host are neighbours, hosts by their lowest rank: rank 0 stays rank
 * 0. The tree of leaves adds neighbours first, so on such a communicator the large messages of a sum stay inside
 * hosts, wherever the launcher put the ranks. Results have the same bits. Collective. [out] ordered owned, release
 * with bnf_comm_destroy; NULL if `comm` is. */
bnf_status bnf_comm_by_host(const bnf_comm *comm, bnf_comm **ordered);

/* The same by a number that each rank gives. */
bnf_status bnf_comm_by_group(const bnf_comm *comm, int group, bnf_comm **ordered);

#endif
