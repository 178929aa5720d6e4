/* data/dataset_impl.h - what dataset.c and view.c share. */
#ifndef BNF_DATA_DATASET_IMPL_H
#define BNF_DATA_DATASET_IMPL_H

#include "data/pictures.h"
#include "data/sparse.h"

#include <banff/data.h>

struct bnf_dataset {
    bnf_dataset_info info;
    bnf_h5_file *file;
    bnf_h5_dataset *images; /* of a decoded set; else NULL */
    bnf_pictures pictures;  /* of an encoded set */
    bnf_sparse sparse;      /* of a sparse set */
    int32_t *labels;        /* [count] */
    char *path, *source, *checksum;
    char *split_checksum; /* what the file states for this split; NULL if nothing */
    double *mean, *std;
    bnf_h5_names names;         /* class names of the file, or numbers */
    void *held;                 /* [count] images as stored; NULL: read from the file */
    int64_t stored_h, stored_w; /* of a decoded set's images */
    int64_t stored_sample;      /* bytes of one of them */
    bool scaled;                /* images are brought to info.h x info.w */
    double eval_crop;           /* the part of the short side that is seen then */
};

/* The images as stored of a decoded set. */
bnf_status bnf_dataset_read_stored(const bnf_dataset *ds, int64_t count, const int64_t *index, void *images);

/* bnf_dataset_read where images are made. index NULL: first, first + 1, ... */
bnf_status bnf_dataset_read_made(const bnf_dataset *ds, int64_t first, int64_t count, const int64_t *index,
                                 void *images);

#endif
