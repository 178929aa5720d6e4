/* comm/host.h - what shares this computer. */
#ifndef BNF_COMM_HOST_H
#define BNF_COMM_HOST_H

#include <banff/comm.h>

/* Ranks of the communicator on this host, as the launcher tells; 1 without a launcher. Not collective. */
int bnf_comm_host_size(const bnf_comm *comm);

#endif
