/* comm/handle.h - a communicator for libraries with a Fortran interface. */
#ifndef BNF_COMM_HANDLE_H
#define BNF_COMM_HANDLE_H

#include <banff/comm.h>

/* The integer by which Fortran code (BLACS, ScaLAPACK) names the communicator; NULL is this process alone. -1 if MPI is
 * not running. Local. Valid as long as the communicator. */
int bnf_comm_blacs_handle(const bnf_comm *comm);

#endif
