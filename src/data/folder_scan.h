/* data/folder_scan.h - the pictures under class folders, as a list in a fixed order. */
#ifndef BNF_DATA_FOLDER_SCAN_H
#define BNF_DATA_FOLDER_SCAN_H

#include "base/str.h"
#include <banff/data.h>

/* A list that can be sent to other ranks as it is: text without pointers. Zero-initialise before first use. */
typedef struct bnf_folder_scan {
    int64_t classes;
    bnf_buf class_names; /* each with its final zero, in order */
    int64_t count[BNF_SPLIT_COUNT];
    bnf_buf entries[BNF_SPLIT_COUNT]; /* per picture: label as int32_t, path with its final zero */
    int64_t ignored;                  /* files whose names are not those of pictures; hidden files are not counted */
} bnf_folder_scan;

/* Lists the pictures. Order: class by class (by the bytes of their names), then by the bytes of the path inside the
 * class. Not collective. Errors: BNF_ERR_IO (cannot list), BNF_ERR_FORMAT (no class folders, a class folder without
 * pictures, a test class that is no training class; the message names the folder), BNF_ERR_ARG, BNF_ERR_MEMORY. */
bnf_status bnf_folder_scan_run(const bnf_import_folder_options *options, bnf_folder_scan *scan);

/* Frees the content and zeroes the struct. */
void bnf_folder_scan_release(bnf_folder_scan *scan);

#endif
