/* Scratch folders and files for the tests of src/h5 and src/ckpt. */
#ifndef TESTS_H5_SUPPORT_H
#define TESTS_H5_SUPPORT_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <banff/base.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define assert_ok(expr)                                                                        \
    do {                                                                                       \
        bnf_error_clear();                                                                     \
        bnf_status assert_ok_s_ = (expr);                                                      \
        if (assert_ok_s_ != BNF_OK)                                                            \
            fail_msg("%s: %s: %s", #expr, bnf_status_name(assert_ok_s_), bnf_error_message()); \
    } while (0)

/* The call fails with this status and a message that holds `part`. */
#define assert_fails(expr, code, part)                                                            \
    do {                                                                                          \
        bnf_error_clear();                                                                        \
        bnf_status assert_fails_s_ = (expr);                                                      \
        if (assert_fails_s_ != (code))                                                            \
            fail_msg("%s: %s: %s", #expr, bnf_status_name(assert_fails_s_), bnf_error_message()); \
        if (!strstr(bnf_error_message(), (part)))                                                 \
            fail_msg("%s: message '%s' does not name '%s'", #expr, bnf_error_message(), (part));  \
    } while (0)

/* A new folder under $TMPDIR or /tmp. */
static inline void make_folder(char folder[256])
{
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, 256, "%s/bnf-test-XXXXXX", tmp && strlen(tmp) < 200 ? tmp : "/tmp");
    assert_non_null(mkdtemp(folder));
}

/* Removes a folder and the files in it. */
static inline void remove_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        char path[600];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlink(path);
    }
    closedir(dir);
    assert_int_equal(rmdir(folder), 0);
}

/* The content of a file; free() it. */
static inline unsigned char *slurp(const char *path, size_t *bytes)
{
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    fseek(in, 0, SEEK_END);
    *bytes = (size_t)ftell(in);
    rewind(in);
    unsigned char *data = malloc(*bytes + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, *bytes, in), *bytes);
    fclose(in);
    return data;
}

static inline void spit(const char *path, const unsigned char *data, size_t bytes)
{
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(data, 1, bytes, out), bytes);
    assert_int_equal(fclose(out), 0);
}

/* A small generator, so that tests repeat themselves. */
static inline uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

#endif
