/* ckpt/checkpoint.h - checkpoints: write so that a crash or a full disk never costs an older one, verify, read.
 *
 * A checkpoint is a file in a folder, `ckpt-<step, 12 digits>.h5` (ckpt/name.h). It is an HDF5 file that h5py opens,
 * with a block of text in front of the HDF5 data (HDF5 calls it a user block) that lists every dataset with type,
 * shape, place and checksum, and holds checksums of all HDF5 data and of itself: no bit of the file can change unseen,
 * and damage is found before HDF5 looks at it. The file is complete or absent: it is written under a temporary name,
 * synchronised with the disk and renamed. See docs/decisions/0003-checkpoint-image.md.
 *
 * Several ranks write a checkpoint in parts: each writes what it owns into a file of its own, of the same format and
 * in the same way, and at last one rank writes the checkpoint itself, whose block of text names every part with length
 * and checksum. Without that file the parts are nothing; readers see one checkpoint with all arrays, however many
 * parts it has.
 *
 * Nothing here is collective: every rank writes its part, one (0) the checkpoint; any rank may read. Errors name the
 * file and, where one is concerned, the dataset: BNF_ERR_IO if the operating system refused, BNF_ERR_FORMAT if the
 * content is not sound. */
#ifndef BNF_CKPT_CHECKPOINT_H
#define BNF_CKPT_CHECKPOINT_H

#include "base/str.h"
#include "ckpt/fence.h"
#include "ckpt/name.h"

#define BNF_CKPT_MAX_DIMS 8
#define BNF_CKPT_MAX_STEP INT64_C(999999999999)

/* ---- write ----------------------------------------------------------------------------------------------------- */

/* Holds the whole checkpoint in memory until it is committed. */
typedef struct bnf_ckpt_writer bnf_ckpt_writer;

/* Starts a checkpoint; `folder` is created if it is missing. 0 <= step <= BNF_CKPT_MAX_STEP.
 * [out] writer owned; ends with bnf_ckpt_writer_commit or bnf_ckpt_writer_abort. */
bnf_status bnf_ckpt_writer_open(const char *folder, int64_t step, bnf_ckpt_writer **writer);

/* What is written: which file, for whom. */
typedef struct bnf_ckpt_target {
    const char *folder;
    int64_t step;
    int part;               /* 0, 1, ...; BNF_CKPT_WHOLE: the checkpoint itself */
    const bnf_fence *fence; /* borrowed until the end; gives the generation, and is asked before every change of the
                               folder. NULL: the first generation, not asked */
} bnf_ckpt_target;
bnf_status bnf_ckpt_writer_open_at(const bnf_ckpt_target *target, bnf_ckpt_writer **writer);

/* Adds an array, which is copied. `name`: parts of visible ASCII characters separated by single slashes, e.g.
 * "params/conv1.weight"; must be new. dim[ndim] extents >= 0; ndim 0 is a scalar. */
bnf_status bnf_ckpt_writer_add(bnf_ckpt_writer *writer, const char *name, bnf_dtype dtype, int ndim, const int64_t *dim,
                               const void *data);

/* Adds a named value (an attribute of the file's root). */
bnf_status bnf_ckpt_writer_attr_int(bnf_ckpt_writer *writer, const char *name, int64_t value);
bnf_status bnf_ckpt_writer_attr_real(bnf_ckpt_writer *writer, const char *name, double value);
bnf_status bnf_ckpt_writer_attr_str(bnf_ckpt_writer *writer, const char *name, const char *value);

/* A part as the checkpoint names it. */
typedef struct bnf_ckpt_seal {
    int64_t bytes;
    uint64_t checksum; /* of its block of text, which has those of all the rest */
} bnf_ckpt_seal;

/* Names a part, written before with the same folder, step and generation. Not for parts. */
bnf_status bnf_ckpt_writer_refer(bnf_ckpt_writer *writer, int part, const bnf_ckpt_seal *seal);

/* [out] sum  checksum of an array that was added. False if there is none of that name. */
bool bnf_ckpt_writer_checksum(const bnf_ckpt_writer *writer, const char *name, uint64_t *sum);

/* Writes the file, replacing a checkpoint of the same step and generation, and (unless it is a part) removes what
 * interrupted commits of this and older generations left in the folder: temporary files, and parts without a
 * checkpoint. On failure no temporary file stays and other checkpoints are as they were. (If only the folder could not
 * be synchronised, the new file stands, complete, but may not survive a loss of power; that is a failure too.) `writer`
 * is gone whatever the result. Errors: also BNF_ERR_FENCED. */
bnf_status bnf_ckpt_writer_commit(bnf_ckpt_writer *writer);
/* The same. [out] seal  of what was written. */
bnf_status bnf_ckpt_writer_commit_part(bnf_ckpt_writer *writer, bnf_ckpt_seal *seal);

/* Forgets a checkpoint. NULL is legal. */
void bnf_ckpt_writer_abort(bnf_ckpt_writer *writer);

/* For tests: the n-th system call (1 = first; open, write, fsync, close, rename) of the next commit fails, calls that
 * need space with ENOSPC, others with EIO. 0 turns it off. */
void bnf_ckpt_fail_at(int64_t n);

/* ---- folder ---------------------------------------------------------------------------------------------------- */

/* A checkpoint of a folder. */
typedef struct bnf_ckpt_listed {
    char *path;       /* owned by the list */
    const char *name; /* within path */
    int64_t step, generation;
    bool counts; /* is part of the run: no later job of the folder went on from before it (ckpt/fence.h) */
} bnf_ckpt_listed;

typedef struct bnf_ckpt_list {
    int64_t count;
    bnf_ckpt_listed *item; /* [count], newest first */
} bnf_ckpt_list;

/* All checkpoints of a folder, sound or not; none if it is missing. [out] list owned, release with
 * bnf_ckpt_list_release. */
bnf_status bnf_ckpt_list_folder(const char *folder, bnf_ckpt_list *list);
void bnf_ckpt_list_release(bnf_ckpt_list *list); /* zeroed content is legal */

/* Finds the newest checkpoint that counts and verifies. A folder that is missing or has none is no error.
 * [out] path    owned by the caller; NULL if there is no sound checkpoint
 * report        a line "<file>: <why>" is appended for every newer checkpoint that was refused; NULL is legal
 * Errors: BNF_ERR_IO if the folder cannot be read, BNF_ERR_MEMORY. */
bnf_status bnf_ckpt_find_newest(const char *folder, char **path, bnf_buf *report);

/* Removes all checkpoints older than the `keep` (>= 1) newest ones that verify, with their parts, and those that are
 * no part of the run any more. Damaged ones do not count, so that the last sound one is never removed in favour of
 * them; damaged ones among the kept stay. fence: of the caller, NULL: none; what younger generations wrote stays. */
bnf_status bnf_ckpt_prune(const char *folder, int64_t keep, const bnf_fence *fence);

/* Removes all checkpoints of older generations, and what interrupted commits of theirs left. */
bnf_status bnf_ckpt_clear(const char *folder, const bnf_fence *fence);

/* ---- read ------------------------------------------------------------------------------------------------------ */

/* One array of a checkpoint. */
typedef struct bnf_ckpt_entry {
    char *name;
    bnf_dtype dtype;
    int ndim;
    int64_t dim[BNF_CKPT_MAX_DIMS];
    int64_t bytes;
    int64_t offset;    /* of its elements in the HDF5 data */
    uint64_t checksum; /* XXH3-64 of its elements */
    int64_t file;      /* which holds it: 0 the checkpoint itself, k its k-th part */
} bnf_ckpt_entry;

/* Reads the whole checkpoint with all parts and checks everything: lengths, all checksums, that every listed dataset is
 * there with its type and shape, that there is no other. */
bnf_status bnf_ckpt_verify(const char *path);

typedef struct bnf_ckpt_reader bnf_ckpt_reader;

/* Verifies and opens. [out] reader owned, release with bnf_ckpt_reader_close. */
bnf_status bnf_ckpt_reader_open(const char *path, bnf_ckpt_reader **reader);
/* The same for one of many readers of a checkpoint with parts: of the parts only length and table are checked, and
 * each array when it is read. */
bnf_status bnf_ckpt_reader_open_lazy(const char *path, bnf_ckpt_reader **reader);
void bnf_ckpt_reader_close(bnf_ckpt_reader *reader); /* NULL is legal */

/* The step it was written at; how many parts it has beside the file itself; bytes of all files. */
int64_t bnf_ckpt_reader_step(const bnf_ckpt_reader *reader);
int64_t bnf_ckpt_reader_parts(const bnf_ckpt_reader *reader);
int64_t bnf_ckpt_reader_bytes(const bnf_ckpt_reader *reader);

/* The arrays, sorted by name: 0 <= i < count. Borrowed. find: NULL if there is none of that name. */
int64_t bnf_ckpt_reader_count(const bnf_ckpt_reader *reader);
const bnf_ckpt_entry *bnf_ckpt_reader_entry(const bnf_ckpt_reader *reader, int64_t i);
const bnf_ckpt_entry *bnf_ckpt_reader_find(const bnf_ckpt_reader *reader, const char *name);

/* Reads one array, which must have this type and shape. [out] data, room for all elements. Errors: BNF_ERR_FORMAT, the
 * message says what was expected and found. */
bnf_status bnf_ckpt_reader_read(bnf_ckpt_reader *reader, const char *name, bnf_dtype dtype, int ndim,
                                const int64_t *dim, void *data);

/* Named values. */
bnf_status bnf_ckpt_reader_attr_int(bnf_ckpt_reader *reader, const char *name, int64_t *value);
bnf_status bnf_ckpt_reader_attr_real(bnf_ckpt_reader *reader, const char *name, double *value);
/* [out] value owned by the caller, release with bnf_free. */
bnf_status bnf_ckpt_reader_attr_str(bnf_ckpt_reader *reader, const char *name, char **value);

#endif
