/* data/file_list.h - files that hold many images each: one after the other they are the parts of an import. */
#ifndef BNF_DATA_FILE_LIST_H
#define BNF_DATA_FILE_LIST_H

#include "data/source.h"

typedef struct bnf_listed_file {
    const char *path;   /* borrowed from the list's text */
    int32_t label;      /* of all its images; -1: it holds labels */
    int64_t n, h, w, c; /* images, their extents, as found in the file */
    int64_t type;       /* of the elements; what a number means is the importer's affair */
    int64_t first;      /* number of its first image among those of the part's files */
} bnf_listed_file;

/* Zero-initialise, release with bnf_file_list_release. */
typedef struct bnf_file_list {
    bnf_buf text[BNF_SPLIT_COUNT];  /* per file: label as int32_t, path with its final zero */
    int64_t files[BNF_SPLIT_COUNT]; /* of a part */
    bnf_listed_file *file;          /* [files of both parts], training first */
    int64_t *from[BNF_SPLIT_COUNT]; /* training files divided: [samples of the part] numbers of images; else NULL */
} bnf_file_list;

void bnf_file_list_release(bnf_file_list *list);

/* Lists what the options name, on rank 0, and tells all ranks; gives the source the classes if there are any, in the
 * order in which they are first named. Errors: BNF_ERR_ARG (no training files; labels and classes mixed; a file twice
 * in a part), BNF_ERR_IO (a folder or pattern without a file of that suffix: named), BNF_ERR_MEMORY. Collective.
 *   suffix  of the format's files, ".npz" */
bnf_status bnf_file_list_make(const bnf_comm *comm, const bnf_import_files files[BNF_SPLIT_COUNT], const char *suffix,
                              bnf_file_list *list, bnf_source *source);

/* Looks at every file, each on one rank, and tells all of them the result; compares extents and types with those of
 * the first file, which become those of `source`, and numbers the images. With a test fraction every image of the
 * training files goes into the test part with that probability: a function of its number. Errors: those of `look`,
 * BNF_ERR_FORMAT (other extents or another type than the first file; no image to train on), BNF_ERR_ARG. Collective.
 *   look  fills in n, h, w, c and type of file k */
bnf_status bnf_file_list_survey(const bnf_comm *comm, bnf_file_list *list, double test_fraction, bnf_source *source,
                                bnf_status (*look)(bnf_source *source, int64_t k));

/* Where a sample of a part is. [out] k  its file. [out] item  which image of it. */
void bnf_file_list_find(const bnf_file_list *list, bnf_split split, int64_t index, int64_t *k, int64_t *item);

/* Files of both parts. */
int64_t bnf_file_list_count(const bnf_file_list *list);

#endif
