/* h5/impl.h - what the files of this room share. Nobody outside of src/h5 includes it. */
#ifndef BNF_H5_IMPL_H
#define BNF_H5_IMPL_H

#include <hdf5.h>

#include "h5/dataset.h"
#include "h5/file.h"

/* A block that this rank wrote into a parallel file. */
typedef struct bnf_h5_written {
    char *dataset;
    bnf_dtype dtype;
    int ndim;
    int64_t start[BNF_H5_MAX_DIMS], count[BNF_H5_MAX_DIMS];
    int64_t bytes;
    uint64_t checksum;
} bnf_h5_written;

struct bnf_h5_file {
    hid_t id;
    char *path;
    const bnf_comm *comm; /* NULL: one process */
    bool writable;
    bool in_memory;
    int64_t open_datasets;
    bnf_h5_written *written; /* [written_count], behind it zeros to written_room; parallel files alone */
    int64_t written_count, written_room;
};

struct bnf_h5_dataset {
    bnf_h5_file *file;
    char *name; /* with a leading slash */
    hid_t id;
    bnf_h5_dataset_info info; /* stored_bytes and offset are filled in by describe alone */
};

/* The process-wide lock, held until the end of the enclosing block. The first use starts HDF5. Not recursive: entry
 * points of the room do not call each other. */
typedef struct bnf_h5_guard {
    char unused;
} bnf_h5_guard;
bnf_h5_guard bnf_h5_lock(void);
void bnf_h5_unlock(bnf_h5_guard *guard);
#define BNF_H5_LOCKED() bnf_h5_guard guard_ __attribute__((cleanup(bnf_h5_unlock), unused)) = bnf_h5_lock()

/* An HDF5 handle that is released at the end of its block. Not for predefined types. */
static inline void bnf_h5_id_release(hid_t *id)
{
    if (*id > 0)
        H5Idec_ref(*id);
}
#define BNF_H5_ID __attribute__((cleanup(bnf_h5_id_release))) hid_t

/* bnf_fail with ": <what HDF5 says was the innermost cause>" appended. If reading failed because the operating system
 * refused or memory ran out, the status is that instead of BNF_ERR_FORMAT. */
bnf_status bnf_h5_fail(bnf_status code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Settings that all files share, to be released. Files on disk take the format of 1.10, where every piece of metadata
 * has a checksum, indices of chunks too; images in memory that of 1.8, whose superblock has no flags that HDF5
 * changes when it hands out the image. Negative: HDF5 failed. */
hid_t bnf_h5_access_list(H5F_libver_t format);

/* HDF5's handle of the driver that files are read with (posix.c); not to be released. Negative: HDF5 failed. */
hid_t bnf_h5_posix_driver(void);

/* Why the driver last refused to read, and forgets it; BNF_OK if it did not since the lock was taken. */
bnf_status bnf_h5_take_driver_failure(void);

/* Tells the driver that what is read now is metadata and heaps of strings, nothing else, so that it checks heaps. */
void bnf_h5_expect_heaps(bool expected);

/* A file that is not open yet; its release. */
bnf_status bnf_h5_file_new(const char *path, const bnf_comm *comm, bnf_h5_file **file);
void bnf_h5_file_free(bnf_h5_file *file);

/* Whether the file can be written, asked of the operating system, whose reasons are clearer than HDF5's; `create`
 * makes it if there is none. */
bnf_status bnf_h5_check_creatable(const char *path, bool create);

/* Notes of what this rank writes into a parallel file; for other files these do nothing. reserve makes room for one
 * note and is what can fail (BNF_ERR_MEMORY); then note_written takes it, unless the same block was written before,
 * whose note it replaces. */
bnf_status bnf_h5_note_reserve(const bnf_h5_dataset *dataset);
void bnf_h5_note_written(const bnf_h5_dataset *dataset, const int64_t *start, const int64_t *count, const void *data);

/* Reads what this rank wrote into a file that was closed, and compares. Errors: BNF_ERR_IO if it is not what was
 * written. */
bnf_status bnf_h5_read_back(const bnf_h5_file *file);

/* The functions of the same names without bnf_, for callers that hold the lock. */
bnf_status h5_file_open(const char *path, bnf_h5_file **file);
bnf_status h5_dataset_open(bnf_h5_file *file, const char *name, bnf_h5_dataset **dataset);
bnf_status h5_dataset_close(bnf_h5_dataset *dataset);
bnf_status h5_dataset_read_slab(bnf_h5_dataset *dataset, bnf_dtype dtype, const int64_t *start, const int64_t *count,
                                void *data);

/* Agreement over the ranks of a parallel file; `local` itself for one process. */
bnf_status bnf_h5_agree(const bnf_h5_file *file, bnf_status local);

/* Names as they are used inside: with one leading slash. [out] full owned. Errors: BNF_ERR_ARG for an empty name. */
bnf_status bnf_h5_path(const char *name, char **full);

/* [out] exists  whether every part of the path `full` exists; [out] above  bytes of the longest prefix that does. */
bnf_status bnf_h5_find(const bnf_h5_file *file, const char *full, bool *exists, size_t *above);

/* Error for an object that is not there: names the children of the deepest group that is. */
bnf_status bnf_h5_fail_missing(const bnf_h5_file *file, const char *what, const char *full, size_t above);

/* A creation list of a file, group or dataset that stores no times, so that the same content is the same bytes,
 * whenever it is written. To be released; negative: HDF5 failed. */
hid_t bnf_h5_creation_list(hid_t class);

/* Creates the groups of the path `full` that are missing, with the last part too if `whole`. */
bnf_status bnf_h5_make_groups(const bnf_h5_file *file, const char *full, bool whole);

/* Appends a copy of `name`. */
bnf_status bnf_h5_names_add(bnf_h5_names *names, const char *name);
void bnf_h5_names_sort(bnf_h5_names *names);

#endif
