/* Files that ranks write together: the only place of the room where HDF5 meets a communicator. */
#include "h5/impl.h"

#include "base/assert.h"
#include "comm/agree.h"

bnf_status bnf_h5_agree(const bnf_h5_file *file, bnf_status local)
{
    return bnf_comm_agree(file->comm, local);
}

/* The file exists, empty or to be replaced, and every rank may write it. Rank 0 makes it, so that a folder that is missing or
 * full is found before the ranks enter MPI-IO, where a failure of some of them may leave the others waiting. */
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
    BNF_ASSERT(bnf_h5_started_under_mpi());
    BNF_TRY(make_file(path, comm));
    bnf_h5_file *f = NULL;
    BNF_TRY(bnf_comm_agree(comm, bnf_h5_file_new(path, comm, &f)));
    f->writable = true;
    BNF_H5_ID list = bnf_h5_access_list(H5F_LIBVER_V110);
    if (list >= 0 && H5Pset_fapl_mpio(list, *(const MPI_Comm *)bnf_comm_mpi(comm), MPI_INFO_NULL) >= 0)
        f->id = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, list);
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
