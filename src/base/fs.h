/* base/fs.h - files and folders. Every error is BNF_ERR_IO (or BNF_ERR_MEMORY), names the path and says what the
 * operating system said. Nothing is collective; no locks. */
#ifndef BNF_BASE_FS_H
#define BNF_BASE_FS_H

#include "base/str.h"

bool bnf_fs_exists(const char *path);
bool bnf_fs_is_folder(const char *path);

/* [out] bytes  size of a file. */
bnf_status bnf_fs_size(const char *path, int64_t *bytes);

/* Creates a folder and those above it; fine if it exists already, also if another process creates it at the same
 * time. */
bnf_status bnf_fs_make_folders(const char *path);

/* Names in a folder, sorted by bytes, without "." and "..". */
typedef struct bnf_fs_names {
    int64_t count;
    char **name; /* [count], each owned by the list */
} bnf_fs_names;

/* [out] names owned by the caller, release with bnf_fs_names_release. */
bnf_status bnf_fs_list(const char *folder, bnf_fs_names *names);
void bnf_fs_names_release(bnf_fs_names *names); /* zeroed content is legal */

/* Appends the whole content of a file (or pipe) to `content`. */
bnf_status bnf_fs_read(const char *path, bnf_buf *content);

/* Replaces a file so that a reader, and a machine that loses power, sees the old content or the new, never a part:
 * writes a temporary file beside it, syncs it, renames it, syncs the folder. On error the old content stands and
 * the temporary file is gone. Two processes that write the same path do not mix: the last rename wins. */
bnf_status bnf_fs_write_atomic(const char *path, const void *data, size_t size);

/* Appends to a file, created if missing, in one write. Does not sync. */
bnf_status bnf_fs_append(const char *path, const void *data, size_t size);

/* Moves a file or folder within a file system, replacing a file at `to`, and syncs the folder of `to`. */
bnf_status bnf_fs_rename(const char *from, const char *to);

/* Waits until a file's content, or a folder's entries, are on the disk. */
bnf_status bnf_fs_sync(const char *path);

/* Deletes a file, or a folder with everything below it (links are deleted, not followed). Fine if there is none. */
bnf_status bnf_fs_remove(const char *path);

/* "folder/name" into buf (cleared first); `name` alone if it is absolute or folder is "". Returns the status of buf. */
bnf_status bnf_fs_join(bnf_buf *buf, const char *folder, const char *name);

/* Appends the folder that `path` lies in: "." for a plain name. */
bnf_status bnf_fs_folder_of(bnf_buf *buf, const char *path);

#endif
