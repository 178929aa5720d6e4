/* Files that ranks write together: the only place of the room where HDF5 meets a communicator. */
#include "h5/impl.h"

#include "base/mem.h"
#include "comm/agree.h"
#include "h5/checksum.h"

#include <string.h>

bnf_status bnf_h5_agree(const bnf_h5_file *file, bnf_status local)
{
    return bnf_comm_agree(file->comm, local);
}

/* The file exists, empty or to be replaced, and every rank may write it. Rank 0 makes it, so that a folder that is
 * missing or full is found before the ranks enter MPI-IO, where a failure of some of them may leave the others
 * waiting. */
static bnf_status make_file(const char *path, const bnf_comm *comm)
{
    bnf_status status = bnf_comm_rank(comm) == 0 ? bnf_h5_check_creatable(path, true) : BNF_OK;
    BNF_TRY(bnf_comm_agree(comm, status));
    return bnf_comm_agree(comm, bnf_h5_check_creatable(path, false));
}

bnf_status bnf_h5_file_create_parallel(const char *path, const bnf_comm *comm, bnf_h5_file **file)
{
    if (!comm)
        return bnf_h5_file_create(path, file);
    BNF_H5_LOCKED();
    BNF_TRY(make_file(path, comm));
    bnf_h5_file *f = NULL;
    BNF_TRY(bnf_comm_agree(comm, bnf_h5_file_new(path, comm, &f)));
    f->writable = true;
    BNF_H5_ID list = bnf_h5_access_list(H5F_LIBVER_V110);
    BNF_H5_ID creation = bnf_h5_creation_list(H5P_FILE_CREATE);
    if (list >= 0 && creation >= 0 && H5Pset_fapl_mpio(list, *(const MPI_Comm *)bnf_comm_mpi(comm), MPI_INFO_NULL) >= 0)
        f->id = H5Fcreate(path, H5F_ACC_TRUNC, creation, list);
    bnf_status status = BNF_OK;
    if (f->id < 0)
        status = bnf_h5_fail(BNF_ERR_IO, "cannot create HDF5 file '%s' over %d ranks", path, bnf_comm_size(comm));
    status = bnf_comm_agree(comm, status);
    if (status != BNF_OK) {
        /* Closing is collective: where some ranks have no file, the others cannot close theirs. */
        bnf_h5_file_free(f);
        return status;
    }
    *file = f;
    return BNF_OK;
}

/* ---- read back -------------------------------------------------------------------------------------------------- */

/* MPI-IO (Open MPI 4.1's) may report success for a collective write that a full disk cut short, when some ranks write
 * through others. So every rank remembers the checksums of its blocks, and reads them when the file is closed. */

static bool is_same_block(const bnf_h5_written *w, const bnf_h5_dataset *d, const int64_t *start, const int64_t *count)
{
    size_t bytes = (size_t)d->info.ndim * sizeof *start;
    return strcmp(w->dataset, d->name) == 0 && memcmp(w->start, start, bytes) == 0 &&
           memcmp(w->count, count, bytes) == 0;
}

bnf_status bnf_h5_note_reserve(const bnf_h5_dataset *dataset)
{
    bnf_h5_file *f = dataset->file;
    if (!f->comm)
        return BNF_OK;
    if (f->written_count == f->written_room) {
        int64_t room = f->written_room ? 2 * f->written_room : 16;
        size_t one = sizeof *f->written, old = (size_t)f->written_room * one;
        BNF_TRY(bnf_realloc(old, (size_t)room * one, "notes of what was written", &f->written));
        memset((char *)f->written + old, 0, (size_t)room * one - old);
        f->written_room = room;
    }
    bnf_h5_written *w = &f->written[f->written_count];
    bnf_free(w->dataset); /* of a block that was not written after all */
    w->dataset = NULL;
    return bnf_strdup(dataset->name, &w->dataset);
}

void bnf_h5_note_written(const bnf_h5_dataset *dataset, const int64_t *start, const int64_t *count, const void *data)
{
    bnf_h5_file *f = dataset->file;
    if (!f->comm)
        return;
    int64_t i = 0;
    while (i < f->written_count && !is_same_block(&f->written[i], dataset, start, count))
        i++;
    bnf_h5_written *w = &f->written[i];
    f->written_count += i == f->written_count;
    w->dtype = dataset->info.dtype;
    w->ndim = dataset->info.ndim;
    w->bytes = (int64_t)bnf_dtype_size(w->dtype);
    for (int k = 0; k < w->ndim; k++) {
        w->start[k] = start[k];
        w->count[k] = count[k];
        w->bytes *= count[k];
    }
    w->checksum = bnf_checksum(data, (size_t)w->bytes);
}

/* Compares one block; `buffer` has room for it. */
static bnf_status compare_block(bnf_h5_file *file, const bnf_h5_written *w, void *buffer)
{
    bnf_h5_dataset *dataset;
    BNF_TRY(h5_dataset_open(file, w->dataset, &dataset));
    bnf_status status = h5_dataset_read_slab(dataset, w->dtype, w->start, w->count, buffer);
    (void)h5_dataset_close(dataset); /* read only: nothing is lost */
    if (status == BNF_OK && bnf_checksum(buffer, (size_t)w->bytes) != w->checksum)
        status =
            bnf_fail(BNF_ERR_IO, "file '%s', dataset '%s': the file does not hold what was written from row %lld on",
                     file->path, w->dataset, (long long)w->start[0]);
    return status;
}

bnf_status bnf_h5_read_back(const bnf_h5_file *file)
{
    int64_t most = 0;
    for (int64_t i = 0; i < file->written_count; i++)
        most = file->written[i].bytes > most ? file->written[i].bytes : most;
    if (!most)
        return BNF_OK;
    void *buffer;
    bnf_h5_file *again = NULL;
    BNF_TRY(bnf_alloc((size_t)most, "reading back what was written", &buffer));
    bnf_status status = h5_file_open(file->path, &again);
    for (int64_t i = 0; i < file->written_count && status == BNF_OK; i++)
        status = compare_block(again, &file->written[i], buffer);
    if (again) {
        H5Fclose(again->id);
        bnf_h5_file_free(again);
    }
    bnf_free(buffer);
    if (status == BNF_ERR_FORMAT)
        status = BNF_ERR_IO; /* the file is not at fault, writing it was */
    return status;
}
