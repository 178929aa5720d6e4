#include "h5/file.h"
#include "h5/impl.h"

#include "base/assert.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- access settings ------------------------------------------------------------------------------------------- */

hid_t bnf_h5_access_list(H5F_libver_t format)
{
    hid_t list = H5Pcreate(H5P_FILE_ACCESS);
    if (list >= 0 && (H5Pset_libver_bounds(list, format, H5F_LIBVER_V110) < 0 || H5Pset_file_locking(list, 1, 1) < 0 ||
                      H5Pset_fclose_degree(list, H5F_CLOSE_STRONG) < 0)) {
        H5Pclose(list);
        list = H5I_INVALID_HID;
    }
    return list;
}

bnf_status bnf_h5_file_new(const char *path, const bnf_comm *comm, bnf_h5_file **file)
{
    bnf_h5_file *f = NULL;
    BNF_TRY(bnf_calloc(1, sizeof *f, "HDF5 file", &f));
    bnf_status status = bnf_strdup(path, &f->path);
    if (status != BNF_OK) {
        bnf_free(f);
        return status;
    }
    f->id = H5I_INVALID_HID;
    f->comm = comm;
    *file = f;
    return BNF_OK;
}

void bnf_h5_file_free(bnf_h5_file *f)
{
    for (int64_t i = 0; i < f->written_room; i++)
        bnf_free(f->written[i].dataset);
    bnf_free(f->written);
    bnf_free(f->path);
    bnf_free(f);
}

/* ---- open ------------------------------------------------------------------------------------------------------ */

/* Asks the operating system first, whose reasons are clearer than HDF5's. */
static bnf_status check_readable(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return bnf_fail(BNF_ERR_IO, "cannot open '%s': %s", path, strerror(errno));
    struct stat info;
    int failed = fstat(fd, &info);
    int reason = errno;
    close(fd);
    if (failed)
        return bnf_fail(BNF_ERR_IO, "cannot stat '%s': %s", path, strerror(reason));
    if (!S_ISREG(info.st_mode))
        return bnf_fail(BNF_ERR_IO, "'%s' is not a regular file", path);
    return BNF_OK;
}

bnf_status bnf_h5_file_open(const char *path, bnf_h5_file **file)
{
    BNF_H5_LOCKED();
    return h5_file_open(path, file);
}

bnf_status h5_file_open(const char *path, bnf_h5_file **file)
{
    BNF_TRY(check_readable(path));
    bnf_h5_file *f = NULL;
    BNF_TRY(bnf_h5_file_new(path, NULL, &f));
    BNF_H5_ID list = bnf_h5_access_list(H5F_LIBVER_EARLIEST);
    hid_t driver = bnf_h5_posix_driver();
    if (list >= 0 && driver >= 0 && H5Pset_driver(list, driver, NULL) >= 0)
        f->id = H5Fopen(path, H5F_ACC_RDONLY, list);
    if (f->id < 0) {
        bnf_status status = bnf_h5_fail(BNF_ERR_FORMAT, "'%s' is not a sound HDF5 file", path);
        bnf_h5_file_free(f);
        return status;
    }
    *file = f;
    return BNF_OK;
}

/* ---- create ---------------------------------------------------------------------------------------------------- */

bnf_status bnf_h5_check_creatable(const char *path, bool create)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0), 0666);
    if (fd < 0)
        return bnf_fail(BNF_ERR_IO, "cannot create '%s': %s", path, strerror(errno));
    close(fd);
    return BNF_OK;
}

bnf_status bnf_h5_file_create(const char *path, bnf_h5_file **file)
{
    BNF_H5_LOCKED();
    BNF_TRY(bnf_h5_check_creatable(path, true));
    bnf_h5_file *f = NULL;
    BNF_TRY(bnf_h5_file_new(path, NULL, &f));
    BNF_H5_ID list = bnf_h5_access_list(H5F_LIBVER_V110);
    f->writable = true;
    BNF_H5_ID creation = bnf_h5_creation_list(H5P_FILE_CREATE);
    f->id = list < 0 || creation < 0 ? H5I_INVALID_HID : H5Fcreate(path, H5F_ACC_TRUNC, creation, list);
    if (f->id < 0) {
        bnf_status status = bnf_h5_fail(BNF_ERR_IO, "cannot create HDF5 file '%s'", path);
        bnf_h5_file_free(f);
        return status;
    }
    *file = f;
    return BNF_OK;
}

bnf_status bnf_h5_file_create_memory(const char *label, bnf_h5_file **file)
{
    BNF_H5_LOCKED();
    bnf_h5_file *f = NULL;
    BNF_TRY(bnf_h5_file_new(label, NULL, &f));
    BNF_H5_ID list = bnf_h5_access_list(H5F_LIBVER_V18);
    f->writable = true;
    f->in_memory = true;
    BNF_H5_ID creation = bnf_h5_creation_list(H5P_FILE_CREATE);
    if (list >= 0 && creation >= 0 && H5Pset_fapl_core(list, 1 << 16, 0) >= 0)
        f->id = H5Fcreate(label, H5F_ACC_TRUNC, creation, list);
    if (f->id < 0) {
        bnf_status status = bnf_h5_fail(BNF_ERR_MEMORY, "cannot create '%s' in memory", label);
        bnf_h5_file_free(f);
        return status;
    }
    *file = f;
    return BNF_OK;
}

bnf_status bnf_h5_file_image(bnf_h5_file *file, const void **image, int64_t *bytes)
{
    BNF_H5_LOCKED();
    BNF_ASSERT(file->in_memory && !file->open_datasets);
    void **memory = NULL;
    ssize_t size = -1;
    if (H5Fflush(file->id, H5F_SCOPE_GLOBAL) >= 0 && H5Fget_vfd_handle(file->id, H5P_DEFAULT, (void **)&memory) >= 0)
        size = H5Fget_file_image(file->id, NULL, 0);
    if (size <= 0 || !memory || !*memory)
        return bnf_h5_fail(BNF_ERR_MEMORY, "'%s': cannot complete the file in memory", file->path);
    *image = *memory;
    *bytes = size;
    return BNF_OK;
}

/* ---- close ----------------------------------------------------------------------------------------------------- */

static bnf_status sync_path(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return bnf_fail(BNF_ERR_IO, "cannot open '%s': %s", path, strerror(errno));
    int failed = fsync(fd);
    int reason = errno;
    close(fd);
    return failed ? bnf_fail(BNF_ERR_IO, "cannot synchronise '%s' with the disk: %s", path, strerror(reason)) : BNF_OK;
}

bnf_status bnf_h5_file_close(bnf_h5_file *file)
{
    if (!file)
        return BNF_OK;
    BNF_H5_LOCKED();
    BNF_ASSERT(!file->open_datasets);
    bnf_status status = BNF_OK;
    bool to_disk = file->writable && !file->in_memory;
    if (to_disk && H5Fflush(file->id, H5F_SCOPE_GLOBAL) < 0)
        status = bnf_h5_fail(BNF_ERR_IO, "cannot write '%s'", file->path);
    if (H5Fclose(file->id) < 0 && status == BNF_OK)
        status = bnf_h5_fail(BNF_ERR_IO, "cannot close '%s'", file->path);
    H5Eclear2(H5E_DEFAULT);
    if (to_disk && status == BNF_OK)
        status = sync_path(file->path);
    if (to_disk)
        status = bnf_h5_agree(file, status);
    if (file->comm && status == BNF_OK)
        status = bnf_h5_agree(file, bnf_h5_read_back(file));
    bnf_h5_file_free(file);
    return status;
}

const char *bnf_h5_file_path(const bnf_h5_file *file)
{
    return file->path;
}

/* ---- groups and names ------------------------------------------------------------------------------------------ */

bnf_status bnf_h5_group_create(bnf_h5_file *file, const char *name)
{
    BNF_H5_LOCKED();
    BNF_ASSERT(file->writable);
    char *full;
    BNF_TRY(bnf_h5_path(name, &full));
    bool exists = false;
    size_t above;
    bnf_status status = bnf_h5_find(file, full, &exists, &above);
    if (status == BNF_OK && !exists)
        status = bnf_h5_make_groups(file, full, true);
    bnf_free(full);
    return bnf_h5_agree(file, status);
}

bnf_status bnf_h5_exists(bnf_h5_file *file, const char *name, bool *exists)
{
    BNF_H5_LOCKED();
    char *full;
    BNF_TRY(bnf_h5_path(name, &full));
    size_t above;
    bnf_status status = bnf_h5_find(file, full, exists, &above);
    bnf_free(full);
    return status;
}

typedef struct collector {
    bnf_h5_names names;
    bnf_status status;
} collector;

static herr_t collect_child(hid_t group, const char *name, const H5L_info_t *info, void *data)
{
    (void)group;
    (void)info;
    collector *c = data;
    c->status = bnf_h5_names_add(&c->names, name);
    return c->status == BNF_OK ? 0 : -1;
}

static herr_t collect_dataset(hid_t root, const char *name, const H5O_info_t *info, void *data)
{
    (void)root;
    collector *c = data;
    if (info->type != H5O_TYPE_DATASET)
        return 0;
    char *full;
    c->status = bnf_h5_path(name, &full);
    if (c->status == BNF_OK) {
        c->status = bnf_h5_names_add(&c->names, full);
        bnf_free(full);
    }
    return c->status == BNF_OK ? 0 : -1;
}

/* Ends a listing: `walked` is what HDF5 returned. */
static bnf_status take_names(const bnf_h5_file *file, const char *what, herr_t walked, collector *c,
                             bnf_h5_names *names)
{
    bnf_status status = c->status;
    if (status == BNF_OK && walked < 0)
        status = bnf_h5_fail(BNF_ERR_FORMAT, "file '%s': cannot list '%s'", file->path, what);
    H5Eclear2(H5E_DEFAULT);
    if (status != BNF_OK) {
        bnf_h5_names_destroy(&c->names);
        return status;
    }
    bnf_h5_names_sort(&c->names);
    *names = c->names;
    return BNF_OK;
}

bnf_status bnf_h5_group_list(bnf_h5_file *file, const char *group, bnf_h5_names *names)
{
    BNF_H5_LOCKED();
    char *full;
    BNF_TRY(bnf_h5_path(group, &full));
    bool exists = false;
    size_t above;
    collector c = {{0, NULL}, BNF_OK};
    bnf_status status = bnf_h5_find(file, full, &exists, &above);
    if (status == BNF_OK && !exists)
        status = bnf_h5_fail_missing(file, "group", full, above);
    if (status == BNF_OK) {
        herr_t walked =
            H5Literate_by_name(file->id, full, H5_INDEX_NAME, H5_ITER_INC, NULL, collect_child, &c, H5P_DEFAULT);
        status = take_names(file, full, walked, &c, names);
    }
    bnf_free(full);
    return status;
}

bnf_status bnf_h5_file_list_datasets(bnf_h5_file *file, bnf_h5_names *names)
{
    BNF_H5_LOCKED();
    collector c = {{0, NULL}, BNF_OK};
    herr_t walked = H5Ovisit(file->id, H5_INDEX_NAME, H5_ITER_INC, collect_dataset, &c);
    return take_names(file, "/", walked, &c, names);
}
