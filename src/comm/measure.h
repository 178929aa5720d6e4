/* comm/measure.h - what others are measured against. Not for results: its bits depend on the number of ranks. */
#ifndef BNF_COMM_MEASURE_H
#define BNF_COMM_MEASURE_H

#include <banff/comm.h>

/* sum[n] over all ranks of values[n], by MPI_Allreduce in whatever order it likes. Collective. n < 2^31. */
bnf_status bnf_comm_allreduce_f32_mpi(const bnf_comm *comm, const float *values, int64_t n, float *sum);

#endif
