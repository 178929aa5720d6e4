/* train/onnx.h - a network as an ONNX model: operators, their constants, inputs and outputs, in the wire format of
 * Protocol Buffers. Field numbers are those of onnx.proto (IR version 8, operator set 17, which ONNX 1.12 brought).
 *
 * Equal calls give equal bytes. The format holds at most 2 GiB. */
#ifndef BNF_TRAIN_ONNX_H
#define BNF_TRAIN_ONNX_H

#include "base/str.h"

#define BNF_ONNX_MAX_INPUTS 6
#define BNF_ONNX_MAX_ATTRS 6

typedef enum bnf_onnx_attr_kind { BNF_ONNX_INT = 1, BNF_ONNX_FLOAT, BNF_ONNX_INTS } bnf_onnx_attr_kind;

typedef struct bnf_onnx_attr {
    const char *name; /* NULL ends a node's list */
    bnf_onnx_attr_kind kind;
    int64_t i;
    float f;
    int n; /* of ints */
    int64_t ints[8];
} bnf_onnx_attr;

/* One operator with one or two outputs. */
typedef struct bnf_onnx_node {
    const char *op, *name;
    const char *input[BNF_ONNX_MAX_INPUTS + 1]; /* NULL-terminated */
    const char *output[3];                      /* NULL-terminated */
    bnf_onnx_attr attr[BNF_ONNX_MAX_ATTRS + 1];
} bnf_onnx_node;

/* A model under construction, in memory. Zero-initialise, release with bnf_onnx_release. The functions that add
 * remember the first failure (BNF_ERR_MEMORY) and bnf_onnx_write returns it. */
typedef struct bnf_onnx {
    bnf_buf nodes, constants, ends; /* fields of the graph */
} bnf_onnx;

/* Extents of -1 are written as the batch, whose size is open. Values are f32. */
void bnf_onnx_input(bnf_onnx *model, const char *name, int ndim, const int64_t *dim);
void bnf_onnx_output(bnf_onnx *model, const char *name, int ndim, const int64_t *dim);
/* Constants ("initializers"), row-major. The integers are one-dimensional: [n]. */
void bnf_onnx_floats(bnf_onnx *model, const char *name, int ndim, const int64_t *dim, const float *values);
void bnf_onnx_ints(bnf_onnx *model, const char *name, int n, const int64_t *values);
/* Nodes stand in the order in which they compute. */
void bnf_onnx_add(bnf_onnx *model, const bnf_onnx_node *node);

/* Replaces the file `path` by the model at once and as a whole; the model is empty afterwards. name: of the graph.
 * Errors: BNF_ERR_IO naming the file, BNF_ERR_UNSUPPORTED (2 GiB), BNF_ERR_MEMORY. */
bnf_status bnf_onnx_write(bnf_onnx *model, const char *name, const char *path);

void bnf_onnx_release(bnf_onnx *model);

#endif
