/* h5/file.h - HDF5 files: open to read, create alone, create together over ranks, create in memory.
 *
 * This room is the only place that calls HDF5. The library is not thread-safe, so every function of the room takes
 * one process-wide lock: a prefetch thread may read while the main thread writes. HDF5 is started before main, with
 * its work at exit turned off; a program that uses HDF5 by itself, too, has to close its files. Parallel files are
 * closed before MPI_Finalize. (The hdf5.h of the parallel build includes mpi.h, which is why this room may turn a
 * communicator's handle into MPI's type; nothing else of MPI is used here.)
 *
 * Errors name the file, the dataset or attribute, and end with HDF5's own innermost description. A missing or
 * unreadable file is BNF_ERR_IO; one that is truncated, damaged or lacks what was asked for is BNF_ERR_FORMAT; a
 * failed write is BNF_ERR_IO. Files are created with the 1.10 format, whose metadata carry checksums, so that damage
 * is seen and not followed; h5py and the HDF5 tools open them. */
#ifndef BNF_H5_FILE_H
#define BNF_H5_FILE_H

#include <banff/base.h>
#include <banff/comm.h>
#include <stdbool.h>

typedef struct bnf_h5_file bnf_h5_file;

/* Opens an existing file to read. Not collective: every rank and thread may open its own.
 * [out] file owned, release with bnf_h5_file_close. */
bnf_status bnf_h5_file_open(const char *path, bnf_h5_file **file);

/* Creates a file for one process, or replaces an existing one. Not collective. [out] file owned. */
bnf_status bnf_h5_file_create(const char *path, bnf_h5_file **file);

/* Creates or replaces a file that all ranks of `comm` write together (MPI-IO). Collective, and so are all functions
 * below and in dataset.h and attr.h that change such a file (but bnf_h5_dataset_write_slab); each returns the same
 * success or failure on every rank (comm/agree.h). Every element may be written once, or again by the same block:
 * closing the file reads back what was written, because MPI-IO does not report every failure
 * (docs/decisions/0005-parallel-files-are-read-back.md). `comm` is borrowed until the file is closed. [out] file
 * owned. */
bnf_status bnf_h5_file_create_parallel(const char *path, const bnf_comm *comm, bnf_h5_file **file);

/* Creates a file that exists in memory alone, for one process. `label` stands for the path in messages. [out] file
 * owned. */
bnf_status bnf_h5_file_create_memory(const char *label, bnf_h5_file **file);

/* The bytes that a file of bnf_h5_file_create_memory would have on disk; all datasets must be closed.
 * [out] image  borrowed until the next call on this file. [out] bytes its size. */
bnf_status bnf_h5_file_image(bnf_h5_file *file, const void **image, int64_t *bytes);

/* Closes; what was written is first synchronised with the disk, and read back if the file is parallel. All datasets
 * must be closed. `file` is gone whatever the result; NULL is legal. Collective for a parallel file. */
bnf_status bnf_h5_file_close(bnf_h5_file *file);

/* The path it was opened with. Borrowed. */
const char *bnf_h5_file_path(const bnf_h5_file *file);

/* A list of names. */
typedef struct bnf_h5_names {
    int64_t count;
    char **name; /* [count], each owned by the list */
} bnf_h5_names;
void bnf_h5_names_destroy(bnf_h5_names *names); /* releases the content; zeroed content is legal */

/* Creates a group and those above it that are missing; fine if it exists. Datasets create their groups themselves. */
bnf_status bnf_h5_group_create(bnf_h5_file *file, const char *name);

/* [out] exists  whether the file has an object (group or dataset) of that path. */
bnf_status bnf_h5_exists(bnf_h5_file *file, const char *name, bool *exists);

/* [out] names  of the direct children of a group ("/" for the root), sorted by bytes; owned by the caller. */
bnf_status bnf_h5_group_list(bnf_h5_file *file, const char *group, bnf_h5_names *names);

/* [out] names  paths ("/train/images") of all datasets of the file, sorted by bytes; owned by the caller. */
bnf_status bnf_h5_file_list_datasets(bnf_h5_file *file, bnf_h5_names *names);

#endif
