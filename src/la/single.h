/* la/single.h - private to src/la: makes every BLAS, LAPACK and oneDNN call of this room single-threaded.
 *
 * Both libraries ask omp_get_max_threads() how many threads to take. That value is part of the calling task's own data
 * environment, so setting it here changes nothing for other threads, inside or outside a parallel region, and the
 * number of summation partitions, hence every bit of the result, no longer depends on how many threads the process has.
 * */
#ifndef BNF_LA_SINGLE_H
#define BNF_LA_SINGLE_H

#include <omp.h>

static inline int bnf_la_single_begin(void)
{
    int threads = omp_get_max_threads();
    if (threads != 1)
        omp_set_num_threads(1);
    return threads;
}

static inline void bnf_la_single_end(int threads)
{
    if (threads != 1)
        omp_set_num_threads(threads);
}

#endif
