/* h5/attr.h - attributes of groups, datasets and the root: int64, f64 and strings, single or as a list.
 *
 * `object` is the path of a group or dataset ("/" for the root). Setting replaces what was there; in a parallel file
 * it is collective and every rank passes the same value. Strings are stored as UTF-8 of variable length, which h5py
 * shows as str. Getting accepts every width of number and both kinds of strings; a missing attribute, another kind or
 * more than one element where one is asked for is BNF_ERR_FORMAT naming file, object and attribute. See file.h for
 * locking. */
#ifndef BNF_H5_ATTR_H
#define BNF_H5_ATTR_H

#include "h5/file.h"

bnf_status bnf_h5_attr_set_int(bnf_h5_file *file, const char *object, const char *name, int64_t value);
bnf_status bnf_h5_attr_set_real(bnf_h5_file *file, const char *object, const char *name, double value);
bnf_status bnf_h5_attr_set_str(bnf_h5_file *file, const char *object, const char *name, const char *value);
/* One-dimensional lists value[count]; count may be 0. */
bnf_status bnf_h5_attr_set_ints(bnf_h5_file *file, const char *object, const char *name, int64_t count,
                                const int64_t *value);
bnf_status bnf_h5_attr_set_reals(bnf_h5_file *file, const char *object, const char *name, int64_t count,
                                 const double *value);
bnf_status bnf_h5_attr_set_strs(bnf_h5_file *file, const char *object, const char *name, int64_t count,
                                const char *const *value);

/* [out] exists. An object that does not exist has no attributes: false. */
bnf_status bnf_h5_attr_exists(bnf_h5_file *file, const char *object, const char *name, bool *exists);

bnf_status bnf_h5_attr_get_int(bnf_h5_file *file, const char *object, const char *name, int64_t *value);
/* Accepts an integer too. */
bnf_status bnf_h5_attr_get_real(bnf_h5_file *file, const char *object, const char *name, double *value);
/* [out] value owned by the caller, release with bnf_free. */
bnf_status bnf_h5_attr_get_str(bnf_h5_file *file, const char *object, const char *name, char **value);
/* [out] value[count] owned by the caller, release with bnf_free; a single value is a list of one. */
bnf_status bnf_h5_attr_get_ints(bnf_h5_file *file, const char *object, const char *name, int64_t *count,
                                int64_t **value);
bnf_status bnf_h5_attr_get_reals(bnf_h5_file *file, const char *object, const char *name, int64_t *count,
                                 double **value);
/* [out] values owned by the caller, release with bnf_h5_names_destroy. */
bnf_status bnf_h5_attr_get_strs(bnf_h5_file *file, const char *object, const char *name, bnf_h5_names *values);

/* Copies the attributes of an object to that of the same path in another file, types and shapes as they are, of any
 * type but references; those in skip (NULL-terminated names; may be NULL) are left out. An object that `from` does not
 * have has none. Collective if `to` is parallel; `from` is each rank's own. */
bnf_status bnf_h5_attr_copy_all(bnf_h5_file *from, bnf_h5_file *to, const char *object, const char *const *skip);

/* [out] names  of the attributes of an object, sorted by bytes; owned by the caller. */
bnf_status bnf_h5_attr_list(bnf_h5_file *file, const char *object, bnf_h5_names *names);

#endif
