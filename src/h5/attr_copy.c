/* Attributes from file to file, whatever they are. */
#include "h5/attr.h"
#include "h5/impl.h"

#include "base/mem.h"

#include <string.h>

/* One attribute in memory, in the element type of the file. */
typedef struct loaded {
    hid_t type, space;
    void *value;
    bool filled; /* value holds what has to be given back to HDF5 */
} loaded;

static void loaded_release(loaded *a)
{
    if (a->filled)
        H5Dvlen_reclaim(a->type, a->space, H5P_DEFAULT, a->value);
    bnf_free(a->value);
    bnf_h5_id_release(&a->space);
    bnf_h5_id_release(&a->type);
}

static bnf_status load(bnf_h5_file *file, const char *full, const char *name, loaded *a)
{
    BNF_H5_ID attr = H5Aopen_by_name(file->id, full, name, H5P_DEFAULT, H5P_DEFAULT);
    if (attr >= 0) {
        a->type = H5Aget_type(attr);
        a->space = H5Aget_space(attr);
    }
    hssize_t count = a->space < 0 ? -1 : H5Sget_simple_extent_npoints(a->space);
    if (a->type < 0 || count < 0)
        return bnf_h5_fail(BNF_ERR_FORMAT, "file '%s', object '%s': attribute '%s' cannot be opened", file->path, full,
                           name);
    if (H5Tdetect_class(a->type, H5T_REFERENCE) > 0)
        return bnf_fail(BNF_ERR_UNSUPPORTED,
                        "file '%s', object '%s': attribute '%s' refers to places in its file: it cannot be copied",
                        file->path, full, name);
    BNF_TRY(bnf_calloc((size_t)count + 1, H5Tget_size(a->type), "attribute", &a->value));
    if (count > 0 && H5Aread(attr, a->type, a->value) < 0)
        return bnf_h5_fail(BNF_ERR_FORMAT, "file '%s', object '%s': attribute '%s' cannot be read", file->path, full,
                           name);
    a->filled = count > 0;
    return BNF_OK;
}

static bnf_status store(bnf_h5_file *file, const char *full, const char *name, const loaded *a)
{
    BNF_H5_ID object = H5Oopen(file->id, full, H5P_DEFAULT);
    BNF_H5_ID attr =
        object < 0 ? H5I_INVALID_HID : H5Acreate2(object, name, a->type, a->space, H5P_DEFAULT, H5P_DEFAULT);
    if (attr < 0 || (a->filled && H5Awrite(attr, a->type, a->value) < 0))
        return bnf_h5_fail(BNF_ERR_IO, "file '%s', object '%s': cannot write attribute '%s'", file->path, full, name);
    return BNF_OK;
}

static bnf_status copy_one(bnf_h5_file *from, bnf_h5_file *to, const char *full, const char *name)
{
    loaded a __attribute__((cleanup(loaded_release))) = {.type = H5I_INVALID_HID, .space = H5I_INVALID_HID};
    bnf_h5_expect_heaps(true); /* strings of any length lie in heaps */
    bnf_status status = load(from, full, name, &a);
    bnf_h5_expect_heaps(false);
    BNF_TRY(bnf_h5_agree(to, status));
    return bnf_h5_agree(to, store(to, full, name, &a));
}

static bool listed(const char *const *skip, const char *name)
{
    for (; skip && *skip; skip++)
        if (strcmp(*skip, name) == 0)
            return true;
    return false;
}

bnf_status bnf_h5_attr_copy_all(bnf_h5_file *from, bnf_h5_file *to, const char *object, const char *const *skip)
{
    bnf_h5_names names = {0};
    char *full = NULL;
    bool exists = false;
    bnf_status status = bnf_h5_exists(from, object, &exists);

    if (status == BNF_OK && exists)
        status = bnf_h5_attr_list(from, object, &names);
    BNF_H5_LOCKED();
    if (status == BNF_OK)
        status = bnf_h5_path(object, &full);
    status = bnf_h5_agree(to, status);
    for (int64_t i = 0; i < names.count && status == BNF_OK; i++)
        if (!listed(skip, names.name[i]))
            status = copy_one(from, to, full, names.name[i]);
    bnf_h5_names_destroy(&names);
    bnf_free(full);
    return status;
}
