#include "h5/attr.h"
#include "h5/impl.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

/* ---- set ------------------------------------------------------------------------------------------------------- */

/* UTF-8 of variable length. To be released. */
static hid_t string_type(void)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type >= 0 && (H5Tset_size(type, H5T_VARIABLE) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0)) {
        H5Tclose(type);
        type = H5I_INVALID_HID;
    }
    return type;
}

/* Replaces an attribute by value[count]; count -1: a single value. */
static bnf_status set_attr(bnf_h5_file *file, const char *full, const char *name, hid_t stored, hid_t memory,
                           int64_t count, const void *value)
{
    bool exists = false;
    size_t above;
    BNF_TRY(bnf_h5_find(file, full, &exists, &above));
    if (!exists)
        return bnf_h5_fail_missing(file, "object", full, above);
    BNF_H5_ID object = H5Oopen(file->id, full, H5P_DEFAULT);
    hsize_t dims = count < 0 ? 1 : (hsize_t)count;
    BNF_H5_ID space = count < 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &dims, NULL);
    if (object >= 0 && H5Aexists(object, name) > 0)
        H5Adelete(object, name);
    BNF_H5_ID attr = object < 0 || space < 0 || stored < 0
                         ? H5I_INVALID_HID
                         : H5Acreate2(object, name, stored, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attr < 0 || (count && H5Awrite(attr, memory, value) < 0))
        return bnf_h5_fail(BNF_ERR_IO, "file '%s', object '%s': cannot write attribute '%s'", file->path, full, name);
    return BNF_OK;
}

static bnf_status set_named(bnf_h5_file *file, const char *object, const char *name, hid_t stored, hid_t memory,
                            int64_t count, const void *value)
{
    BNF_ASSERT(file->writable);
    char *full = NULL;
    bnf_status status = bnf_h5_path(object, &full);
    if (status == BNF_OK)
        status = set_attr(file, full, name, stored, memory, count, value);
    bnf_free(full);
    return bnf_h5_agree(file, status);
}

bnf_status bnf_h5_attr_set_int(bnf_h5_file *file, const char *object, const char *name, int64_t value)
{
    BNF_H5_LOCKED();
    return set_named(file, object, name, H5T_STD_I64LE, H5T_NATIVE_INT64, -1, &value);
}

bnf_status bnf_h5_attr_set_real(bnf_h5_file *file, const char *object, const char *name, double value)
{
    BNF_H5_LOCKED();
    return set_named(file, object, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, -1, &value);
}

bnf_status bnf_h5_attr_set_str(bnf_h5_file *file, const char *object, const char *name, const char *value)
{
    BNF_H5_LOCKED();
    BNF_H5_ID type = string_type();
    return set_named(file, object, name, type, type, -1, &value);
}

bnf_status bnf_h5_attr_set_ints(bnf_h5_file *file, const char *object, const char *name, int64_t count,
                                const int64_t *value)
{
    BNF_H5_LOCKED();
    BNF_ASSERT(count >= 0);
    return set_named(file, object, name, H5T_STD_I64LE, H5T_NATIVE_INT64, count, value);
}

bnf_status bnf_h5_attr_set_reals(bnf_h5_file *file, const char *object, const char *name, int64_t count,
                                 const double *value)
{
    BNF_H5_LOCKED();
    BNF_ASSERT(count >= 0);
    return set_named(file, object, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, count, value);
}

bnf_status bnf_h5_attr_set_strs(bnf_h5_file *file, const char *object, const char *name, int64_t count,
                                const char *const *value)
{
    BNF_H5_LOCKED();
    BNF_ASSERT(count >= 0);
    BNF_H5_ID type = string_type();
    return set_named(file, object, name, type, type, count, value);
}

/* ---- get ------------------------------------------------------------------------------------------------------- */

/* An open attribute and what is needed to speak of it. */
typedef struct found {
    bnf_h5_file *file;
    char *full;
    const char *name;
    hid_t attr, type, space;
    int64_t count;
} found;

static void found_release(found *f)
{
    bnf_h5_id_release(&f->space);
    bnf_h5_id_release(&f->type);
    bnf_h5_id_release(&f->attr);
    bnf_free(f->full);
}

#define BNF_H5_FOUND(var)                                 \
    found var __attribute__((cleanup(found_release))) = { \
        .attr = H5I_INVALID_HID, .type = H5I_INVALID_HID, .space = H5I_INVALID_HID}

static bnf_status fail_attr(const found *f, const char *what)
{
    return bnf_h5_fail(BNF_ERR_FORMAT, "file '%s', object '%s': attribute '%s' %s", f->file->path, f->full, f->name,
                       what);
}

static bnf_status find_attr(bnf_h5_file *file, const char *object, const char *name, found *f)
{
    f->file = file;
    f->name = name;
    BNF_TRY(bnf_h5_path(object, &f->full));
    bool exists = false;
    size_t above;
    BNF_TRY(bnf_h5_find(file, f->full, &exists, &above));
    if (!exists)
        return bnf_h5_fail_missing(file, "object", f->full, above);
    htri_t there = H5Aexists_by_name(file->id, f->full, name, H5P_DEFAULT);
    if (there == 0)
        return fail_attr(f, "is missing");
    if (there > 0)
        f->attr = H5Aopen_by_name(file->id, f->full, name, H5P_DEFAULT, H5P_DEFAULT);
    if (f->attr >= 0) {
        f->type = H5Aget_type(f->attr);
        f->space = H5Aget_space(f->attr);
    }
    if (f->type < 0 || f->space < 0)
        return fail_attr(f, "cannot be opened");
    f->count = (int64_t)H5Sget_simple_extent_npoints(f->space);
    if (f->count < 0)
        return fail_attr(f, "has no extent");
    return BNF_OK;
}

/* Reads `count` numbers into value; a real may be stored as an integer, not the other way round. */
static bnf_status read_numbers(const found *f, bool real, void *value)
{
    H5T_class_t class = H5Tget_class(f->type);
    if (class != H5T_INTEGER && !(real && class == H5T_FLOAT))
        return fail_attr(f, real ? "is not a number" : "is not an integer");
    if (f->count && H5Aread(f->attr, real ? H5T_NATIVE_DOUBLE : H5T_NATIVE_INT64, value) < 0)
        return fail_attr(f, "cannot be read");
    return BNF_OK;
}

static bnf_status get_number(bnf_h5_file *file, const char *object, const char *name, bool real, void *value)
{
    BNF_H5_FOUND(f);
    BNF_TRY(find_attr(file, object, name, &f));
    if (f.count != 1)
        return fail_attr(&f, "is a list, where a single value was expected");
    return read_numbers(&f, real, value);
}

static bnf_status get_numbers(bnf_h5_file *file, const char *object, const char *name, bool real, int64_t *count,
                              void *p)
{
    BNF_H5_FOUND(f);
    BNF_TRY(find_attr(file, object, name, &f));
    void *value;
    BNF_TRY(bnf_calloc((size_t)f.count, sizeof(int64_t), "attribute", &value));
    bnf_status status = read_numbers(&f, real, value);
    if (status != BNF_OK) {
        bnf_free(value);
        return status;
    }
    *count = f.count;
    *(void **)p = value;
    return BNF_OK;
}

bnf_status bnf_h5_attr_get_int(bnf_h5_file *file, const char *object, const char *name, int64_t *value)
{
    BNF_H5_LOCKED();
    return get_number(file, object, name, false, value);
}

bnf_status bnf_h5_attr_get_real(bnf_h5_file *file, const char *object, const char *name, double *value)
{
    BNF_H5_LOCKED();
    return get_number(file, object, name, true, value);
}

bnf_status bnf_h5_attr_get_ints(bnf_h5_file *file, const char *object, const char *name, int64_t *count,
                                int64_t **value)
{
    BNF_H5_LOCKED();
    return get_numbers(file, object, name, false, count, value);
}

bnf_status bnf_h5_attr_get_reals(bnf_h5_file *file, const char *object, const char *name, int64_t *count,
                                 double **value)
{
    BNF_H5_LOCKED();
    return get_numbers(file, object, name, true, count, value);
}

/* Strings whose length is part of the type: one block, each padded. */
static bnf_status read_fixed_strings(const found *f, bnf_h5_names *values)
{
    size_t width = H5Tget_size(f->type);
    char *block = NULL;
    BNF_TRY(bnf_calloc((size_t)f->count + 1, width + 1, "attribute", &block));
    bnf_status status = BNF_OK;
    if (f->count && H5Aread(f->attr, f->type, block) < 0)
        status = fail_attr(f, "cannot be read");
    bool spaces = H5Tget_strpad(f->type) == H5T_STR_SPACEPAD;
    for (int64_t i = 0; i < f->count && status == BNF_OK; i++) {
        char *text = block + (size_t)i * width, next = text[width];
        text[width] = '\0';
        for (size_t n = strlen(text); spaces && n && text[n - 1] == ' '; n--)
            text[n - 1] = '\0';
        status = bnf_h5_names_add(values, text);
        text[width] = next; /* the first character of the next string */
    }
    bnf_free(block);
    return status;
}

static bnf_status read_variable_strings(const found *f, bnf_h5_names *values)
{
    char **text = NULL;
    BNF_TRY(bnf_calloc((size_t)f->count + 1, sizeof *text, "attribute", &text));
    BNF_H5_ID type = H5Tcopy(f->type);
    bnf_status status = BNF_OK;
    bnf_h5_expect_heaps(true);
    if (type < 0 || (f->count && H5Aread(f->attr, type, text) < 0))
        status = fail_attr(f, "cannot be read");
    bnf_h5_expect_heaps(false);
    for (int64_t i = 0; i < f->count && status == BNF_OK; i++)
        status = bnf_h5_names_add(values, text[i] ? text[i] : "");
    for (int64_t i = 0; i < f->count; i++)
        H5free_memory(text[i]);
    bnf_free(text);
    return status;
}

static bnf_status get_strings(bnf_h5_file *file, const char *object, const char *name, bool single,
                              bnf_h5_names *values)
{
    BNF_H5_FOUND(f);
    *values = (bnf_h5_names){0, NULL};
    BNF_TRY(find_attr(file, object, name, &f));
    if (H5Tget_class(f.type) != H5T_STRING)
        return fail_attr(&f, "is not a string");
    if (single && f.count != 1)
        return fail_attr(&f, "is a list, where a single string was expected");
    bnf_status status =
        H5Tis_variable_str(f.type) > 0 ? read_variable_strings(&f, values) : read_fixed_strings(&f, values);
    if (status != BNF_OK)
        bnf_h5_names_destroy(values);
    return status;
}

bnf_status bnf_h5_attr_get_str(bnf_h5_file *file, const char *object, const char *name, char **value)
{
    BNF_H5_LOCKED();
    bnf_h5_names values;
    BNF_TRY(get_strings(file, object, name, true, &values));
    *value = values.name[0];
    values.name[0] = NULL;
    bnf_h5_names_destroy(&values);
    return BNF_OK;
}

bnf_status bnf_h5_attr_get_strs(bnf_h5_file *file, const char *object, const char *name, bnf_h5_names *values)
{
    BNF_H5_LOCKED();
    return get_strings(file, object, name, false, values);
}

/* ---- list ------------------------------------------------------------------------------------------------------ */

bnf_status bnf_h5_attr_exists(bnf_h5_file *file, const char *object, const char *name, bool *exists)
{
    BNF_H5_LOCKED();
    char *full;
    BNF_TRY(bnf_h5_path(object, &full));
    size_t above;
    *exists = false;
    bnf_status status = bnf_h5_find(file, full, exists, &above);
    if (status == BNF_OK && *exists) {
        htri_t there = H5Aexists_by_name(file->id, full, name, H5P_DEFAULT);
        *exists = there > 0;
        if (there < 0)
            status = bnf_h5_fail(BNF_ERR_FORMAT, "file '%s', object '%s': cannot look up attribute '%s'", file->path,
                                 full, name);
    }
    bnf_free(full);
    return status;
}

typedef struct collector {
    bnf_h5_names names;
    bnf_status status;
} collector;

static herr_t collect_attr(hid_t object, const char *name, const H5A_info_t *info, void *data)
{
    (void)object;
    (void)info;
    collector *c = data;
    c->status = bnf_h5_names_add(&c->names, name);
    return c->status == BNF_OK ? 0 : -1;
}

bnf_status bnf_h5_attr_list(bnf_h5_file *file, const char *object, bnf_h5_names *names)
{
    BNF_H5_LOCKED();
    char *full;
    BNF_TRY(bnf_h5_path(object, &full));
    bool exists = false;
    size_t above;
    collector c = {{0, NULL}, BNF_OK};
    bnf_status status = bnf_h5_find(file, full, &exists, &above);
    if (status == BNF_OK && !exists)
        status = bnf_h5_fail_missing(file, "object", full, above);
    if (status == BNF_OK &&
        H5Aiterate_by_name(file->id, full, H5_INDEX_NAME, H5_ITER_INC, NULL, collect_attr, &c, H5P_DEFAULT) < 0)
        status = c.status != BNF_OK ? c.status
                                    : bnf_h5_fail(BNF_ERR_FORMAT, "file '%s', object '%s': cannot list its attributes",
                                                  file->path, full);
    H5Eclear2(H5E_DEFAULT);
    bnf_free(full);
    if (status != BNF_OK) {
        bnf_h5_names_destroy(&c.names);
        return status;
    }
    bnf_h5_names_sort(&c.names);
    *names = c.names;
    return BNF_OK;
}
