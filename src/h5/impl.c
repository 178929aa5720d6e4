#include "h5/impl.h"

#include "base/assert.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t h5_mutex = PTHREAD_MUTEX_INITIALIZER;
static bool h5_started; /* under h5_mutex */

bnf_h5_guard bnf_h5_lock(void)
{
    pthread_mutex_lock(&h5_mutex);
    if (!h5_started) {
        BNF_ASSERT(H5dont_atexit() >= 0 && H5open() >= 0);
        BNF_ASSERT(H5Eset_auto2(H5E_DEFAULT, NULL, NULL) >= 0);
        h5_started = true;
    }
    (void)bnf_h5_take_driver_failure();
    return (bnf_h5_guard){0};
}

/* HDF5 starts before main, and so before MPI: if it starts later, it makes MPI_Finalize close what is open, and what
 * a close that failed (a full disk) left behind crashes there, in 1.10. For the same reason there is nothing to be
 * done at exit: files are closed by their owners. */
__attribute__((constructor)) static void start_before_mpi(void)
{
    BNF_H5_LOCKED();
}

void bnf_h5_unlock(bnf_h5_guard *guard)
{
    (void)guard;
    pthread_mutex_unlock(&h5_mutex);
}

/* The innermost entry of HDF5's error stack. */
typedef struct innermost {
    char text[256];
} innermost;

static herr_t take_innermost(unsigned n, const H5E_error2_t *entry, void *data)
{
    innermost *in = data;
    const char *desc = entry->desc ? entry->desc : "no description";
    const char *marker = "error message = '";
    const char *reason = strstr(desc, marker);
    if (reason) { /* "... errno = 28, error message = 'No space left on device', buf = ..." */
        reason += strlen(marker);
        int length = (int)strcspn(reason, "'");
        snprintf(in->text, sizeof in->text, "%.*s", length, reason);
        return 1;
    }
    if (n == 0)
        snprintf(in->text, sizeof in->text, "%s", desc);
    return 0;
}

bnf_status bnf_h5_fail(bnf_status code, const char *format, ...)
{
    innermost in = {""};
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_innermost, &in);
    H5Eclear2(H5E_DEFAULT);
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    bnf_status driver = bnf_h5_take_driver_failure();
    if (code == BNF_ERR_FORMAT && driver != BNF_OK)
        code = driver;
    return bnf_fail(code, "%s%s%s", text, in.text[0] ? ": " : "", in.text);
}

bnf_status bnf_h5_path(const char *name, char **full)
{
    while (*name == '/')
        name++;
    size_t length = strlen(name);
    while (length && name[length - 1] == '/')
        length--;
    BNF_TRY(bnf_alloc(length + 2, "path in a file", full));
    (*full)[0] = '/';
    memcpy(*full + 1, name, length);
    (*full)[length + 1] = '\0';
    return BNF_OK;
}

bnf_status bnf_h5_find(const bnf_h5_file *file, const char *full, bool *exists, size_t *above)
{
    char *part;
    BNF_TRY(bnf_strdup(full, &part));
    bnf_status status = BNF_OK;
    size_t length = strlen(full), end = 1;
    *exists = true;
    *above = 1;
    while (*exists && end < length && status == BNF_OK) {
        end += strcspn(full + end, "/");
        part[end] = '\0';
        H5O_info_t info;
        htri_t link = H5Lexists(file->id, part, H5P_DEFAULT);
        if (link > 0 && H5Oexists_by_name(file->id, part, H5P_DEFAULT) <= 0)
            link = 0; /* a link that leads nowhere */
        if (link < 0) {
            status = bnf_h5_fail(BNF_ERR_FORMAT, "file '%s': cannot look up '%s'", file->path, part);
        } else if (!link) {
            *exists = false;
        } else if (end < length &&
                   (H5Oget_info_by_name(file->id, part, &info, H5P_DEFAULT) < 0 || info.type != H5O_TYPE_GROUP)) {
            *exists = false; /* something that is no group cannot hold the rest of the path */
        } else {
            *above = end;
        }
        part[end] = full[end];
        end++;
    }
    H5Eclear2(H5E_DEFAULT);
    bnf_free(part);
    return status;
}

typedef struct children {
    char text[256];
    size_t used;
    bool more;
} children;

static herr_t append_child(hid_t group, const char *name, const H5L_info_t *info, void *data)
{
    (void)group;
    (void)info;
    children *c = data;
    size_t need = strlen(name) + 2;
    if (c->used + need >= sizeof c->text) {
        c->more = true;
        return 1;
    }
    c->used += (size_t)snprintf(c->text + c->used, sizeof c->text - c->used, "%s%s", c->used ? ", " : "", name);
    return 0;
}

bnf_status bnf_h5_fail_missing(const bnf_h5_file *file, const char *what, const char *full, size_t above)
{
    char *group;
    BNF_TRY(bnf_strdup(full, &group));
    group[above] = '\0';
    children c = {"", 0, false};
    H5Literate_by_name(file->id, group, H5_INDEX_NAME, H5_ITER_INC, NULL, append_child, &c, H5P_DEFAULT);
    H5Eclear2(H5E_DEFAULT);
    bnf_status status = bnf_fail(BNF_ERR_FORMAT, "file '%s': there is no %s '%s'; '%s' holds: %s%s", file->path, what,
                                 full, group, c.used ? c.text : "nothing", c.more ? ", ..." : "");
    bnf_free(group);
    return status;
}

hid_t bnf_h5_creation_list(hid_t class)
{
    hid_t list = H5Pcreate(class);
    if (list >= 0 && H5Pset_obj_track_times(list, 0) < 0) {
        H5Pclose(list);
        list = H5I_INVALID_HID;
    }
    return list;
}

bnf_status bnf_h5_make_groups(const bnf_h5_file *file, const char *full, bool whole)
{
    char *part;
    BNF_TRY(bnf_strdup(full, &part));
    bnf_status status = BNF_OK;
    BNF_H5_ID list = bnf_h5_creation_list(H5P_GROUP_CREATE);
    size_t length = strlen(full);
    for (size_t end = 1; end < length && status == BNF_OK; end++) {
        end += strcspn(full + end, "/");
        if (end == length && !whole)
            break;
        part[end] = '\0';
        if (H5Lexists(file->id, part, H5P_DEFAULT) <= 0) {
            BNF_H5_ID group = list < 0 ? list : H5Gcreate2(file->id, part, H5P_DEFAULT, list, H5P_DEFAULT);
            if (group < 0)
                status = bnf_h5_fail(BNF_ERR_IO, "file '%s': cannot create group '%s'", file->path, part);
        }
        part[end] = full[end];
    }
    bnf_free(part);
    return status;
}

bnf_status bnf_h5_names_add(bnf_h5_names *names, const char *name)
{
    int64_t n = names->count;
    if ((n & (n - 1)) == 0) { /* the room doubles whenever it is a power of two and full */
        size_t room = (size_t)(n ? 2 * n : 1);
        BNF_TRY(bnf_realloc((size_t)n * sizeof(char *), room * sizeof(char *), "list of names", &names->name));
    }
    BNF_TRY(bnf_strdup(name, &names->name[n]));
    names->count = n + 1;
    return BNF_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void bnf_h5_names_sort(bnf_h5_names *names)
{
    if (names->count)
        qsort(names->name, (size_t)names->count, sizeof(char *), compare_names);
}

void bnf_h5_names_destroy(bnf_h5_names *names)
{
    for (int64_t i = 0; i < names->count; i++)
        bnf_free(names->name[i]);
    bnf_free(names->name);
    *names = (bnf_h5_names){0, NULL};
}
