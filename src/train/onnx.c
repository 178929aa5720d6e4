/* train/onnx.c - ONNX models in the wire format of Protocol Buffers: each field is a key (number and how it is coded)
 * and a value: a number of 7 bits per byte, lowest first; four bytes; or a length and so many bytes. */
#include "train/onnx.h"

#include "base/fs.h"

#include <string.h>

enum { IR_VERSION = 8, OPERATOR_SET = 17 };
enum { TENSOR_FLOAT = 1, TENSOR_INT64 = 7 };
enum { ATTRIBUTE_FLOAT = 1, ATTRIBUTE_INT = 2, ATTRIBUTE_INTS = 7 };
enum { MODEL_IR = 1, MODEL_PRODUCER = 2, MODEL_GRAPH = 7, MODEL_OPERATORS = 8 };
enum { GRAPH_NODE = 1, GRAPH_NAME = 2, GRAPH_CONSTANT = 5, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12 };
enum { NUMBER = 0, BYTES = 2, FOUR_BYTES = 5 }; /* how a value is coded */

/* ---- the wire format ---- */

static void put_varint(bnf_buf *out, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        bnf_buf_putc(out, (char)((v & 0x7f) | 0x80));
    bnf_buf_putc(out, (char)v);
}

static void put_number(bnf_buf *out, int field, int64_t v)
{
    put_varint(out, (uint64_t)(field << 3 | NUMBER));
    put_varint(out, (uint64_t)v);
}

static void put_float(bnf_buf *out, int field, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    put_varint(out, (uint64_t)(field << 3 | FOUR_BYTES));
    for (int i = 0; i < 4; i++)
        bnf_buf_putc(out, (char)(bits >> (8 * i) & 0xff));
}

static void put_length(bnf_buf *out, int field, size_t size)
{
    put_varint(out, (uint64_t)(field << 3 | BYTES));
    put_varint(out, size);
}

static void put_bytes(bnf_buf *out, int field, const void *data, size_t size)
{
    put_length(out, field, size);
    bnf_buf_append(out, data, size);
}

static void put_text(bnf_buf *out, int field, const char *text)
{
    put_bytes(out, field, text, strlen(text));
}

/* Appends a finished message and releases it. */
static void put_message(bnf_buf *out, int field, bnf_buf *message)
{
    if (message->status != BNF_OK && out->status == BNF_OK)
        out->status = message->status;
    put_bytes(out, field, bnf_buf_text(message), message->size);
    bnf_buf_release(message);
}

/* ---- values ---- */

/* ValueInfoProto: name and type, which is a tensor's: elements and shape. */
static void put_value(bnf_onnx *m, int field, const char *name, int ndim, const int64_t *dim)
{
    bnf_buf value = {0}, type = {0}, tensor = {0}, shape = {0};
    for (int i = 0; i < ndim; i++) {
        bnf_buf extent = {0};
        if (dim[i] < 0)
            put_text(&extent, 2, "batch");
        else
            put_number(&extent, 1, dim[i]);
        put_message(&shape, 1, &extent);
    }
    put_number(&tensor, 1, TENSOR_FLOAT);
    put_message(&tensor, 2, &shape);
    put_message(&type, 1, &tensor);
    put_text(&value, 1, name);
    put_message(&value, 2, &type);
    put_message(&m->ends, field, &value);
}

void bnf_onnx_input(bnf_onnx *model, const char *name, int ndim, const int64_t *dim)
{
    put_value(model, GRAPH_INPUT, name, ndim, dim);
}

void bnf_onnx_output(bnf_onnx *model, const char *name, int ndim, const int64_t *dim)
{
    put_value(model, GRAPH_OUTPUT, name, ndim, dim);
}

/* TensorProto, whose values stand behind a head that is written apart, so that they are copied once. */
static void put_tensor(bnf_onnx *m, const char *name, int type, int ndim, const int64_t *dim, const void *values,
                       size_t bytes)
{
    bnf_buf head = {0};
    for (int i = 0; i < ndim; i++)
        put_number(&head, 1, dim[i]);
    put_number(&head, 2, type);
    put_text(&head, 8, name);
    put_length(&head, 9, bytes);
    put_length(&m->constants, GRAPH_CONSTANT, head.size + bytes);
    if (head.status != BNF_OK && m->constants.status == BNF_OK)
        m->constants.status = head.status;
    bnf_buf_append(&m->constants, bnf_buf_text(&head), head.size);
    bnf_buf_append(&m->constants, values, bytes);
    bnf_buf_release(&head);
}

void bnf_onnx_floats(bnf_onnx *model, const char *name, int ndim, const int64_t *dim, const float *values)
{
    size_t n = 1;
    for (int i = 0; i < ndim; i++)
        n *= (size_t)dim[i];
    put_tensor(model, name, TENSOR_FLOAT, ndim, dim, values, n * sizeof *values);
}

void bnf_onnx_ints(bnf_onnx *model, const char *name, int n, const int64_t *values)
{
    put_tensor(model, name, TENSOR_INT64, 1, (int64_t[]){n}, values, (size_t)n * sizeof *values);
}

/* ---- nodes ---- */

static void put_attr(bnf_buf *node, const bnf_onnx_attr *a)
{
    bnf_buf attr = {0};
    put_text(&attr, 1, a->name);
    switch (a->kind) {
    case BNF_ONNX_INT:
        put_number(&attr, 3, a->i);
        put_number(&attr, 20, ATTRIBUTE_INT);
        break;
    case BNF_ONNX_FLOAT:
        put_float(&attr, 2, a->f);
        put_number(&attr, 20, ATTRIBUTE_FLOAT);
        break;
    case BNF_ONNX_INTS:
        for (int i = 0; i < a->n; i++)
            put_number(&attr, 8, a->ints[i]);
        put_number(&attr, 20, ATTRIBUTE_INTS);
        break;
    }
    put_message(node, 5, &attr);
}

void bnf_onnx_add(bnf_onnx *model, const bnf_onnx_node *n)
{
    bnf_buf node = {0};
    for (int i = 0; n->input[i]; i++)
        put_text(&node, 1, n->input[i]);
    for (int i = 0; n->output[i]; i++)
        put_text(&node, 2, n->output[i]);
    put_text(&node, 3, n->name);
    put_text(&node, 4, n->op);
    for (int i = 0; n->attr[i].name; i++)
        put_attr(&node, &n->attr[i]);
    put_message(&model->nodes, GRAPH_NODE, &node);
}

/* ---- the file ---- */

bnf_status bnf_onnx_write(bnf_onnx *m, const char *name, const char *path)
{
    bnf_buf out = {0}, title = {0}, operators = {0};
    const bnf_buf *part[] = {&m->nodes, &title, &m->constants, &m->ends};
    size_t size = 0;
    put_text(&title, GRAPH_NAME, name);
    put_text(&operators, 1, ""); /* the domain of the standard's own operators */
    put_number(&operators, 2, OPERATOR_SET);
    for (int i = 0; i < 4; i++) {
        size += part[i]->size;
        if (out.status == BNF_OK)
            out.status = part[i]->status;
    }
    put_number(&out, MODEL_IR, IR_VERSION);
    put_text(&out, MODEL_PRODUCER, "banff");
    put_message(&out, MODEL_OPERATORS, &operators);
    put_length(&out, MODEL_GRAPH, size);
    bnf_status s = out.status;
    if (s == BNF_OK && size > INT32_MAX - 4096)
        s = bnf_fail(BNF_ERR_UNSUPPORTED, "%s: an ONNX file holds at most 2 GiB", path);
    if (s == BNF_OK)
        s = bnf_buf_reserve(&out, size);
    for (int i = 0; i < 4 && s == BNF_OK; i++)
        s = bnf_buf_append(&out, bnf_buf_text(part[i]), part[i]->size);
    bnf_buf_release(&title);
    bnf_onnx_release(m);
    if (s == BNF_OK)
        s = bnf_fs_write_atomic(path, out.data, out.size);
    bnf_buf_release(&out);
    return s;
}

void bnf_onnx_release(bnf_onnx *model)
{
    bnf_buf_release(&model->nodes);
    bnf_buf_release(&model->constants);
    bnf_buf_release(&model->ends);
}
