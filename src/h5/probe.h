/* h5/probe.h - what this HDF5 can do: for a doctor. */
#ifndef BNF_H5_PROBE_H
#define BNF_H5_PROBE_H

#include <stdbool.h>

typedef struct bnf_h5_abilities {
    char version[24];
    bool parallel;         /* ranks may write a file together (driver mpio) */
    bool parallel_filters; /* also compressed */
    bool deflate, shuffle, fletcher32;
} bnf_h5_abilities;

void bnf_h5_probe(bnf_h5_abilities *abilities);

#endif
