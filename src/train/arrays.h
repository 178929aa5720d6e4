/* train/arrays.h - named arrays in files that other programs read and write: .npz (train/npz.h) and safetensors; a .npy
 * file is one without a name.
 *
 * safetensors: the length of the header (8 bytes, little-endian), a JSON object that gives each name its type, shape
 * and place, and the values, row-major and little-endian. */
#ifndef BNF_TRAIN_ARRAYS_H
#define BNF_TRAIN_ARRAYS_H

#include <banff/graph.h>

#include "base/arrays.h"

/* Reads a file; which of the formats it is, its first bytes tell. Errors: BNF_ERR_IO, BNF_ERR_FORMAT (neither, cut off,
 * damaged: an .npz has checksums), BNF_ERR_UNSUPPORTED (larger than 4 GiB), BNF_ERR_MEMORY; the message names the file.
 */
bnf_status bnf_arrays_read(const char *path, bnf_arrays *arrays);
/* The part of bnf_arrays_read for safetensors: the content is there. Messages do not name the file. */
bnf_status bnf_arrays_parse_safetensors(bnf_arrays *arrays);

/* All parameters and states of a store under their names; replaces the file at once and as a whole. raw: the raw
 * weights of bnf_params_raw. Equal values give equal bytes. Not collective. Errors: BNF_ERR_IO naming the file,
 * BNF_ERR_MEMORY. */
bnf_status bnf_safetensors_write_params(bnf_params *params, bool raw, const char *path);

/* Gives every parameter (bnf_params_raw) and state of the store the array of its name. Not collective. Errors: those of
 * bnf_arrays_read; BNF_ERR_CONFIG if a name is missing or unknown, a shape differs, an array is not f32 or a value is
 * not finite: the message names file and array, and nothing was changed. */
bnf_status bnf_params_read(bnf_params *params, const char *path);

#endif
