/* data/source.h - where the samples of an import come from.
 *
 * An importer is a source: it knows how many samples of one size it has and reads any range of them. import.c does
 * the rest (ranges of ranks, statistics, checksum, writing). A new importer is one file with a function that makes a
 * source. */
#ifndef BNF_DATA_SOURCE_H
#define BNF_DATA_SOURCE_H

#include "base/str.h"
#include "h5/file.h"

#include <banff/data.h>

typedef struct bnf_source bnf_source;

struct bnf_source {
    /* Reads samples [first, first + count) of a split to images[count, h, w, c] u8 and labels[count]. Called with
     * ascending ranges, split by split; for a sparse set each split again, in ranges that may share their ends. Not
     * collective. Labels are checked by the caller. */
    bnf_status (*read)(bnf_source *source, bnf_split split, int64_t first, int64_t count, uint8_t *images,
                       int32_t *labels);

    /* In place of read, for a set of f32 images. The caller checks that they are finite. */
    bnf_status (*read_f32)(bnf_source *source, bnf_split split, int64_t first, int64_t count, float *images,
                           int32_t *labels);

    /* The file of one sample: its name, its label, and its bytes, which replace what `bytes` held. NULL: the source has
     * no file for each. */
    bnf_status (*fetch)(bnf_source *source, bnf_split split, int64_t index, bnf_buf *bytes, const char **name,
                        int32_t *label);

    /* Text that locates a sample for a message, e.g. "'t10k-labels', item 12". Writes at most `size` bytes. */
    void (*locate)(const bnf_source *source, bnf_split split, int64_t index, char *text, size_t size);

    /* Releases the source itself; legal on one that is half made. */
    void (*destroy)(bnf_source *source);

    int64_t count[BNF_SPLIT_COUNT]; /* train >= 1, test >= 0 */
    int64_t h, w, c;
    int64_t classes;
    char **class_names; /* [classes], owned */
    char *description;  /* for the file's attribute `source`; owned */
    int64_t ignored_files;
    int64_t images_per_event; /* that stand one after the other; 0 or 1: each is one */
};

/* Makes class names: copies of names[classes], or "0", "1", ... where names is NULL. Errors: BNF_ERR_MEMORY. */
bnf_status bnf_source_set_names(bnf_source *source, int64_t classes, const char *const *names);

/* The same for an import's options: names[name_count], or else the numbers below `classes`, or else (0) those up to
 * `largest`, the largest label of the file `path`. Errors: BNF_ERR_ARG, BNF_ERR_FORMAT (a label is too large),
 * BNF_ERR_MEMORY. */
bnf_status bnf_source_set_classes(bnf_source *source, int64_t classes, int64_t name_count, const char *const *names,
                                  int64_t largest, const char *path);

/* Sets the description (printf format). Errors: BNF_ERR_MEMORY. */
bnf_status bnf_source_describe(bnf_source *source, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Frees names and description: what every destroy function ends with. */
void bnf_source_release(bnf_source *source);

/* The same, and frees the source: the destroy function of one that owns nothing else. */
void bnf_source_free(bnf_source *source);

/* What functions that make a source end with: if `status` is success on all ranks, `made` is the source, else it is
 * destroyed (NULL: there is none). Collective over comm; returns the ranks' common status. */
bnf_status bnf_source_settle(const bnf_comm *comm, bnf_status status, bnf_source *made, bnf_source **source);

/* Sources. [out] source owned, release with source->destroy; NULL after an error. Collective over comm; every rank
 * returns the same success or failure. */
bnf_status bnf_source_idx(const bnf_comm *comm, const bnf_import_idx_options *options, bnf_source **source);
bnf_status bnf_source_cifar(const bnf_comm *comm, const bnf_import_cifar_options *options, bnf_source **source);
bnf_status bnf_source_folder(const bnf_comm *comm, const bnf_import_folder_options *options, bnf_source **source);
bnf_status bnf_source_npz(const bnf_comm *comm, const bnf_import_npz_options *options, bnf_source **source);
bnf_status bnf_source_h5(const bnf_comm *comm, const bnf_import_h5_options *options, bnf_source **source);
bnf_status bnf_source_shapes(const bnf_comm *comm, const bnf_synth_shapes_options *options, bnf_source **source);
bnf_status bnf_source_glyphs(const bnf_comm *comm, const bnf_synth_glyphs_options *options, bnf_source **source);
bnf_status bnf_source_wasserstein(const bnf_comm *comm, const bnf_synth_wasserstein_options *options,
                                  bnf_source **source);
bnf_status bnf_source_showers(const bnf_comm *comm, const bnf_synth_showers_options *options, bnf_source **source);
bnf_status bnf_source_koch(const bnf_comm *comm, const bnf_synth_koch_options *options, bnf_source **source);

/* Reads the source out into a file and destroys it, whatever the result. Collective over comm. See banff/data.h,
 * Importing. */
bnf_status bnf_import_run(const bnf_comm *comm, bnf_source *source, const bnf_import_output *output,
                          bnf_import_summary *summary);

/* The same for an encoded set (docs/data.md), from a source that can fetch files. Decodes each once to check it. Parts
 * that are done stay in the folder PATH.parts after a failure or an interruption, and `resume` goes on from them.
 *   part_rows  samples of a part; 0: 256 */
bnf_status bnf_import_run_encoded(const bnf_comm *comm, bnf_source *source, const bnf_import_output *output,
                                  bool resume, int64_t part_rows, bnf_import_summary *summary);

/* ---- For these ---- */

/* Adds pixels[count, channels] to their sums and sums of squares by channel. */
void bnf_import_add_pixels(const uint8_t *pixels, int64_t count, int64_t channels, int64_t *sum, int64_t *squares);

/* Writes mean and standard deviation in units of 255, from integers: neither order nor number of ranks can change them.
 * Adds `sum` and `squares` up over the ranks; `pixels` are those of all. Collective. */
bnf_status bnf_import_statistics(const bnf_comm *comm, bnf_h5_file *file, int64_t pixels, int64_t channels,
                                 int64_t *sum, int64_t *squares);

#endif
