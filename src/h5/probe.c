/* h5/probe.c - what this HDF5 can do. */
#include "h5/probe.h"

#include <stdio.h>

#include "h5/impl.h"

void bnf_h5_probe(bnf_h5_abilities *abilities)
{
    unsigned major = 0, minor = 0, release = 0;
    BNF_H5_LOCKED();
    *abilities = (bnf_h5_abilities){0};
    H5get_libversion(&major, &minor, &release);
    snprintf(abilities->version, sizeof abilities->version, "%u.%u.%u", major, minor, release);
#ifdef H5_HAVE_PARALLEL
    abilities->parallel = true;
    abilities->parallel_filters = H5_VERSION_GE(1, 10, 2); /* with any MPI of version 3, which this project needs */
#endif
    abilities->deflate = H5Zfilter_avail(H5Z_FILTER_DEFLATE) > 0;
    abilities->shuffle = H5Zfilter_avail(H5Z_FILTER_SHUFFLE) > 0;
    abilities->fletcher32 = H5Zfilter_avail(H5Z_FILTER_FLETCHER32) > 0;
}
