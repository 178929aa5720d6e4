/* Files and folders. */
#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

static bnf_status io_fail(const char *verb, const char *path)
{
    return bnf_fail(BNF_ERR_IO, "cannot %s '%s': %s", verb, path, strerror(errno));
}

bool bnf_fs_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

bool bnf_fs_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bnf_status bnf_fs_size(const char *path, int64_t *bytes)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return io_fail("find", path);
    *bytes = (int64_t)info.st_size;
    return BNF_OK;
}

/* ---- folders --------------------------------------------------------------------------------------------------- */

static bnf_status make_folder(const char *path)
{
    if (mkdir(path, 0777) == 0)
        return BNF_OK;
    const int error = errno;
    if (error == EEXIST && bnf_fs_is_folder(path))
        return BNF_OK;
    errno = error;
    return io_fail("create folder", path);
}

bnf_status bnf_fs_make_folders(const char *path)
{
    char *part;
    bnf_status s = BNF_OK;
    BNF_TRY(bnf_strdup(path, &part));
    for (char *p = part; *p != '\0' && s == BNF_OK; p++) {
        if (*p != '/' || p == part || p[-1] == '/')
            continue;
        *p = '\0';
        if (!bnf_fs_is_folder(part))
            s = make_folder(part);
        *p = '/';
    }
    if (s == BNF_OK)
        s = make_folder(part);
    bnf_free(part);
    return s;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bnf_status add_name(bnf_fs_names *names, int64_t *capacity, const char *name)
{
    if (names->count == *capacity) {
        const int64_t more = *capacity == 0 ? 16 : 2 * *capacity;
        BNF_TRY(bnf_realloc((size_t)*capacity * sizeof(char *), (size_t)more * sizeof(char *), "a list of files",
                            &names->name));
        *capacity = more;
    }
    BNF_TRY(bnf_strdup(name, &names->name[names->count]));
    names->count++;
    return BNF_OK;
}

bnf_status bnf_fs_list(const char *folder, bnf_fs_names *names)
{
    bnf_status s = BNF_OK;
    int64_t capacity = 0;
    *names = (bnf_fs_names){0};
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return io_fail("list folder", folder);
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL && errno != 0)
            s = io_fail("list folder", folder);
        if (entry == NULL || s != BNF_OK)
            break;
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            s = add_name(names, &capacity, entry->d_name);
    }
    closedir(dir);
    if (s != BNF_OK)
        bnf_fs_names_release(names);
    else if (names->count > 0)
        qsort(names->name, (size_t)names->count, sizeof *names->name, compare_names);
    return s;
}

void bnf_fs_names_release(bnf_fs_names *names)
{
    for (int64_t i = 0; i < names->count; i++)
        bnf_free(names->name[i]);
    bnf_free(names->name);
    *names = (bnf_fs_names){0};
}

/* ---- reading and writing --------------------------------------------------------------------------------------- */

bnf_status bnf_fs_read(const char *path, bnf_buf *content)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return io_fail("open", path);
    bnf_status s = BNF_OK;
    struct stat info;
    size_t chunk = 65536;
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode))
        chunk = (size_t)info.st_size + 1; /* one more than there should be: the end is met without growing */
    while (s == BNF_OK) {
        BNF_TRY_GOTO(s, bnf_buf_reserve(content, chunk), done);
        const ssize_t got = read(fd, content->data + content->size, chunk);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            s = io_fail("read", path);
        if (got <= 0)
            break;
        content->size += (size_t)got;
        content->data[content->size] = '\0';
        chunk = 65536;
    }
done:
    close(fd);
    return s;
}

/* errno is set on failure. */
static bool write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        const ssize_t put = write(fd, data, size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        data += put;
        size -= (size_t)put;
    }
    return true;
}

bnf_status bnf_fs_sync(const char *path)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return io_fail("open", path);
    const bool synced = fsync(fd) == 0;
    /* Some network file systems cannot sync a folder and say so by EINVAL: nothing is left to wait for then. */
    const bnf_status s = synced || errno == EINVAL ? BNF_OK : io_fail("sync", path);
    close(fd);
    return s;
}

bnf_status bnf_fs_folder_of(bnf_buf *buf, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return bnf_buf_puts(buf, ".");
    return bnf_buf_append(buf, path, slash == path ? 1 : (size_t)(slash - path));
}

static bnf_status sync_folder_of(const char *path)
{
    bnf_buf folder = {0};
    bnf_status s = bnf_fs_folder_of(&folder, path);
    if (s == BNF_OK)
        s = bnf_fs_sync(bnf_buf_text(&folder));
    bnf_buf_release(&folder);
    return s;
}

/* Creates a file beside `path` whose name nobody else has: not another thread or process, not one that died, not one on
 * another host that shares the folder. [out] fd. */
static bnf_status create_temporary(const char *path, bnf_buf *name, int *fd)
{
    static atomic_uint counter;
    do {
        bnf_buf_clear(name);
        BNF_TRY(bnf_buf_printf(name, "%s.tmp-%ld-%u", path, (long)getpid(), atomic_fetch_add(&counter, 1)));
        *fd = open(name->data, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } while (*fd < 0 && errno == EEXIST);
    return *fd < 0 ? io_fail("create a temporary file for", path) : BNF_OK;
}

bnf_status bnf_fs_write_atomic(const char *path, const void *data, size_t size)
{
    bnf_buf temporary = {0};
    int fd = -1;
    bnf_status s = create_temporary(path, &temporary, &fd);
    if (s != BNF_OK)
        goto done;
    if (!write_all(fd, data, size) || fsync(fd) != 0)
        s = io_fail("write", path);
    if (close(fd) != 0 && s == BNF_OK)
        s = io_fail("write", path);
    if (s == BNF_OK && rename(temporary.data, path) != 0)
        s = io_fail("replace", path);
    if (s != BNF_OK)
        unlink(temporary.data);
    else
        s = sync_folder_of(path);
done:
    bnf_buf_release(&temporary);
    return s;
}

bnf_status bnf_fs_append(const char *path, const void *data, size_t size)
{
    const int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return io_fail("open", path);
    bnf_status s = write_all(fd, data, size) ? BNF_OK : io_fail("write", path);
    if (close(fd) != 0 && s == BNF_OK)
        s = io_fail("write", path);
    return s;
}

bnf_status bnf_fs_rename(const char *from, const char *to)
{
    if (rename(from, to) != 0)
        return bnf_fail(BNF_ERR_IO, "cannot move '%s' to '%s': %s", from, to, strerror(errno));
    return sync_folder_of(to);
}

static bnf_status remove_content(const char *folder)
{
    bnf_fs_names names;
    bnf_buf path = {0};
    BNF_TRY(bnf_fs_list(folder, &names));
    bnf_status s = BNF_OK;
    for (int64_t i = 0; i < names.count && s == BNF_OK; i++) {
        s = bnf_fs_join(&path, folder, names.name[i]);
        if (s == BNF_OK)
            s = bnf_fs_remove(path.data);
    }
    bnf_buf_release(&path);
    bnf_fs_names_release(&names);
    return s;
}

bnf_status bnf_fs_remove(const char *path)
{
    struct stat info;
    if (lstat(path, &info) != 0)
        return errno == ENOENT ? BNF_OK : io_fail("delete", path);
    if (S_ISDIR(info.st_mode))
        BNF_TRY(remove_content(path));
    if (remove(path) != 0 && errno != ENOENT)
        return io_fail("delete", path);
    return BNF_OK;
}

bnf_status bnf_fs_join(bnf_buf *buf, const char *folder, const char *name)
{
    const size_t n = strlen(folder);
    bnf_buf_clear(buf);
    if (n == 0 || name[0] == '/')
        return bnf_buf_puts(buf, name);
    return bnf_buf_printf(buf, "%s%s%s", folder, folder[n - 1] == '/' ? "" : "/", name);
}
