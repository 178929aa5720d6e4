/* An independent reader and evaluator of ONNX files, for tests: the wire format of Protocol Buffers as its
 * documentation describes it, and the operators as ONNX defines them (operator set 17), in f64, as plainly as can be.
 * What it does not know, it fails on. */
#ifndef BNF_TESTS_ONNX_EVAL_H
#define BNF_TESTS_ONNX_EVAL_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ONNX_NAME = 96, ONNX_NODES = 512, ONNX_TENSORS = 512, ONNX_DIMS = 8, ONNX_ATTRS = 8 };

typedef struct onnx_attr {
    char name[ONNX_NAME];
    int64_t i, ints[ONNX_DIMS], n;
    double f;
} onnx_attr;

typedef struct onnx_node {
    char op[ONNX_NAME], name[ONNX_NAME], in[8][ONNX_NAME], out[4][ONNX_NAME];
    onnx_attr attr[ONNX_ATTRS];
    int n_in, n_out, n_attr;
} onnx_node;

typedef struct onnx_tensor {
    char name[ONNX_NAME];
    int64_t type, dim[ONNX_DIMS]; /* type: 1 float, 7 int64; of inputs and outputs an extent of -1 has a name */
    int ndim;
    const char *raw;
    size_t bytes;
} onnx_tensor;

typedef struct onnx_model {
    int64_t ir, operators;
    onnx_node *node;     /* [n_nodes] */
    onnx_tensor *tensor; /* [n_tensors] */
    onnx_tensor input, output;
    int n_nodes, n_tensors;
} onnx_model;

/* ---- the wire format ---- */

typedef struct onnx_field {
    int number, wire;
    uint64_t value;
    const char *data; /* wire 2 */
    size_t size;
} onnx_field;

static bool onnx_varint(const char **p, const char *end, uint64_t *v)
{
    *v = 0;
    for (int shift = 0; *p < end && shift < 64; shift += 7) {
        unsigned char c = (unsigned char)*(*p)++;
        *v |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80)
            return true;
    }
    return false;
}

/* The next field of a message; false at its end, and *bad if it is damaged. */
static bool onnx_next(const char **p, const char *end, onnx_field *f, bool *bad)
{
    uint64_t key;
    if (*p == end)
        return false;
    *bad = true;
    if (!onnx_varint(p, end, &key))
        return false;
    *f = (onnx_field){.number = (int)(key >> 3), .wire = (int)(key & 7)};
    if (f->wire == 0) {
        if (!onnx_varint(p, end, &f->value))
            return false;
    } else if (f->wire == 2) {
        if (!onnx_varint(p, end, &f->value) || f->value > (uint64_t)(end - *p))
            return false;
        f->data = *p;
        f->size = (size_t)f->value;
        *p += f->size;
    } else if (f->wire == 5 && end - *p >= 4) {
        for (int i = 0; i < 4; i++)
            f->value |= (uint64_t)(unsigned char)(*p)[i] << (8 * i);
        *p += 4;
    } else {
        return false;
    }
    *bad = false;
    return true;
}

static void onnx_text(const onnx_field *f, char to[ONNX_NAME])
{
    snprintf(to, ONNX_NAME, "%.*s", (int)f->size, f->data);
}

#define ONNX_EACH(f, data, size) for (const char *p_ = (data), *end_ = p_ + (size); onnx_next(&p_, end_, &(f), &bad);)

static bool onnx_read_attr(const onnx_field *from, onnx_attr *a)
{
    onnx_field f;
    bool bad = false;
    *a = (onnx_attr){0};
    ONNX_EACH(f, from->data, from->size)
    {
        uint32_t bits = (uint32_t)f.value;
        float real;
        memcpy(&real, &bits, 4);
        if (f.number == 1)
            onnx_text(&f, a->name);
        else if (f.number == 2)
            a->f = (double)real;
        else if (f.number == 3)
            a->i = (int64_t)f.value;
        else if (f.number == 8 && a->n < ONNX_DIMS)
            a->ints[a->n++] = (int64_t)f.value;
        else if (f.number != 20)
            return false;
    }
    return !bad;
}

static bool onnx_read_node(const onnx_field *from, onnx_node *n)
{
    onnx_field f;
    bool bad = false;
    *n = (onnx_node){.n_in = 0};
    ONNX_EACH(f, from->data, from->size)
    {
        if (f.number == 1 && n->n_in < 8)
            onnx_text(&f, n->in[n->n_in++]);
        else if (f.number == 2 && n->n_out < 4)
            onnx_text(&f, n->out[n->n_out++]);
        else if (f.number == 3)
            onnx_text(&f, n->name);
        else if (f.number == 4)
            onnx_text(&f, n->op);
        else if (f.number != 5 || n->n_attr == ONNX_ATTRS || !onnx_read_attr(&f, &n->attr[n->n_attr++]))
            return false;
    }
    return !bad;
}

static bool onnx_read_tensor(const onnx_field *from, onnx_tensor *t)
{
    onnx_field f;
    bool bad = false;
    *t = (onnx_tensor){.ndim = 0};
    ONNX_EACH(f, from->data, from->size)
    {
        if (f.number == 1 && t->ndim < ONNX_DIMS)
            t->dim[t->ndim++] = (int64_t)f.value;
        else if (f.number == 2)
            t->type = (int64_t)f.value;
        else if (f.number == 8)
            onnx_text(&f, t->name);
        else if (f.number == 9)
            t->raw = f.data, t->bytes = f.size;
        else
            return false;
    }
    return !bad;
}

/* The only field of a message that has to have the number. */
static bool onnx_only(onnx_field *f, int number)
{
    onnx_field inner = {0};
    bool bad = false, seen = false;
    ONNX_EACH(inner, f->data, f->size)
    {
        if (inner.number != number || seen)
            return false;
        seen = true;
        *f = inner;
    }
    return seen && !bad;
}

static bool onnx_read_shape(const onnx_field *from, onnx_tensor *t)
{
    onnx_field f, extent;
    bool bad = false;
    ONNX_EACH(f, from->data, from->size)
    {
        if (f.number != 1 || t->ndim == ONNX_DIMS)
            return false;
        extent = f;
        if (onnx_only(&extent, 1))
            t->dim[t->ndim++] = (int64_t)extent.value;
        else if ((extent = f, onnx_only(&extent, 2)) && extent.size > 0)
            t->dim[t->ndim++] = -1;
        else
            return false;
    }
    return !bad;
}

/* A tensor's type: elements and shape. */
static bool onnx_read_type(const onnx_field *from, onnx_tensor *t)
{
    onnx_field f;
    bool bad = false, ok = true;
    ONNX_EACH(f, from->data, from->size)
    {
        if (f.number == 1)
            t->type = (int64_t)f.value;
        else
            ok = ok && f.number == 2 && onnx_read_shape(&f, t);
    }
    return ok && !bad && t->type == 1;
}

static bool onnx_read_value(const onnx_field *from, onnx_tensor *t)
{
    onnx_field f;
    bool bad = false;
    *t = (onnx_tensor){.ndim = 0};
    ONNX_EACH(f, from->data, from->size)
    {
        if (f.number == 1)
            onnx_text(&f, t->name);
        else if (f.number != 2 || !onnx_only(&f, 1) || !onnx_read_type(&f, t))
            return false;
    }
    return !bad;
}

static bool onnx_read_graph(onnx_model *m, const onnx_field *from)
{
    onnx_field f;
    bool bad = false, ok = true;
    ONNX_EACH(f, from->data, from->size)
    {
        if (f.number == 1)
            ok = ok && m->n_nodes < ONNX_NODES && onnx_read_node(&f, &m->node[m->n_nodes++]);
        else if (f.number == 5)
            ok = ok && m->n_tensors < ONNX_TENSORS && onnx_read_tensor(&f, &m->tensor[m->n_tensors++]);
        else if (f.number == 11)
            ok = ok && !m->input.ndim && onnx_read_value(&f, &m->input);
        else if (f.number == 12)
            ok = ok && !m->output.ndim && onnx_read_value(&f, &m->output);
        else
            ok = ok && f.number == 2 && f.size > 0; /* the name, which must not be empty */
    }
    return ok && !bad;
}

static void onnx_release(onnx_model *m)
{
    free(m->node);
    free(m->tensor);
    *m = (onnx_model){0};
}

static bool onnx_read_operators(onnx_model *m, const onnx_field *from)
{
    onnx_field f;
    bool bad = false;
    ONNX_EACH(f, from->data, from->size)
    m->operators = f.number == 2 ? (int64_t)f.value : m->operators;
    return !bad;
}

/* Reads a file's content, which has to stay; false if it is no model of one input and one output. */
static bool onnx_parse(onnx_model *m, const char *data, size_t size)
{
    onnx_field f;
    bool bad = false, ok = true;
    *m = (onnx_model){.node = calloc(ONNX_NODES, sizeof *m->node), .tensor = calloc(ONNX_TENSORS, sizeof *m->tensor)};
    ONNX_EACH(f, data, size)
    {
        if (f.number == 1) {
            m->ir = (int64_t)f.value;
        } else if (f.number == 7) {
            ok = ok && onnx_read_graph(m, &f);
        } else if (f.number == 8) {
            ok = ok && onnx_read_operators(m, &f);
        }
    }
    return ok && !bad && m->n_nodes > 0 && m->input.ndim && m->output.ndim;
}

static const onnx_tensor *onnx_constant(const onnx_model *m, const char *name)
{
    for (int i = 0; i < m->n_tensors; i++)
        if (strcmp(m->tensor[i].name, name) == 0)
            return &m->tensor[i];
    return NULL;
}

/* ---- values ---- */

typedef struct onnx_value {
    char name[ONNX_NAME];
    int ndim;
    int64_t dim[ONNX_DIMS];
    double *x;
} onnx_value;

#define ONNX_FAIL(...)                \
    do {                              \
        fprintf(stderr, __VA_ARGS__); \
        fprintf(stderr, "\n");        \
        abort();                      \
    } while (0)

static int64_t onnx_count(const onnx_value *v)
{
    int64_t n = 1;
    for (int i = 0; i < v->ndim; i++)
        n *= v->dim[i];
    return n;
}

static onnx_value onnx_new(int ndim, const int64_t *dim)
{
    onnx_value v = {.ndim = ndim};
    for (int i = 0; i < ndim; i++)
        v.dim[i] = dim[i];
    v.x = calloc((size_t)onnx_count(&v) + 1, sizeof *v.x);
    return v;
}

static void onnx_drop(onnx_value *v)
{
    free(v->x);
    *v = (onnx_value){.ndim = 0};
}

static onnx_value onnx_of_constant(const onnx_tensor *t)
{
    onnx_value v = onnx_new(t->ndim, t->dim);
    size_t each = t->type == 7 ? 8 : 4;
    if ((t->type != 1 && t->type != 7) || t->bytes != (size_t)onnx_count(&v) * each)
        ONNX_FAIL("constant '%s': %zu bytes of type %d", t->name, t->bytes, (int)t->type);
    for (int64_t i = 0; i < onnx_count(&v); i++) {
        float f = 0;
        int64_t n = 0;
        memcpy(each == 8 ? (void *)&n : (void *)&f, t->raw + (size_t)i * each, each);
        v.x[i] = each == 8 ? (double)n : (double)f;
    }
    return v;
}

static const onnx_attr *onnx_find_attr(const onnx_node *n, const char *name)
{
    for (int i = 0; i < n->n_attr; i++)
        if (strcmp(n->attr[i].name, name) == 0)
            return &n->attr[i];
    return NULL;
}

static int64_t onnx_whole(const onnx_node *n, const char *name, int64_t otherwise)
{
    const onnx_attr *a = onnx_find_attr(n, name);
    return a ? a->i : otherwise;
}

static int64_t onnx_item(const onnx_node *n, const char *name, int i, int64_t otherwise)
{
    const onnx_attr *a = onnx_find_attr(n, name);
    return a && i < a->n ? a->ints[i] : otherwise;
}

/* ---- operators ---- */

static bool onnx_is(const onnx_node *n, const char *op)
{
    return strcmp(n->op, op) == 0;
}

/* Index into v of the element at `at` of a shape that v is broadcast to. */
static int64_t onnx_broadcast(const onnx_value *v, int ndim, const int64_t *at)
{
    int64_t index = 0;
    for (int i = 0; i < v->ndim; i++)
        index = index * v->dim[i] + (v->dim[i] == 1 ? 0 : at[ndim - v->ndim + i]);
    return index;
}

static void onnx_unravel(const onnx_value *v, int64_t index, int64_t *at)
{
    for (int i = v->ndim - 1; i >= 0; i--) {
        at[i] = index % v->dim[i];
        index /= v->dim[i];
    }
}

static onnx_value onnx_binary(const onnx_node *n, const onnx_value *a, const onnx_value *b)
{
    int64_t dim[ONNX_DIMS], at[ONNX_DIMS];
    int ndim = a->ndim > b->ndim ? a->ndim : b->ndim;
    for (int i = 0; i < ndim; i++) {
        int64_t da = i - ndim + a->ndim >= 0 ? a->dim[i - ndim + a->ndim] : 1;
        int64_t db = i - ndim + b->ndim >= 0 ? b->dim[i - ndim + b->ndim] : 1;
        if (da != db && da != 1 && db != 1)
            ONNX_FAIL("%s: shapes do not meet", n->name);
        dim[i] = da > db ? da : db;
    }
    onnx_value y = onnx_new(ndim, dim);
    for (int64_t i = 0; i < onnx_count(&y); i++) {
        onnx_unravel(&y, i, at);
        double u = a->x[onnx_broadcast(a, ndim, at)], v = b->x[onnx_broadcast(b, ndim, at)];
        y.x[i] = onnx_is(n, "Mul") ? u * v : onnx_is(n, "Sub") ? u - v : onnx_is(n, "Min") ? fmin(u, v) : u + v;
    }
    return y;
}

static onnx_value onnx_unary(const onnx_node *n, const onnx_value *a)
{
    onnx_value y = onnx_new(a->ndim, a->dim);
    const onnx_attr *alpha = onnx_find_attr(n, "alpha");
    for (int64_t i = 0; i < onnx_count(&y); i++) {
        double v = a->x[i];
        y.x[i] = onnx_is(n, "Sqrt")        ? sqrt(v)
                 : onnx_is(n, "Tanh")      ? tanh(v)
                 : onnx_is(n, "Sigmoid")   ? 1 / (1 + exp(-v))
                 : onnx_is(n, "Relu")      ? fmax(v, 0)
                 : onnx_is(n, "LeakyRelu") ? (v < 0 ? (alpha ? alpha->f : 0.01) * v : v)
                                           : v; /* Identity */
    }
    return y;
}

static onnx_value onnx_transpose(const onnx_node *n, const onnx_value *a)
{
    int64_t dim[ONNX_DIMS], at[ONNX_DIMS], from[ONNX_DIMS];
    for (int i = 0; i < a->ndim; i++)
        dim[i] = a->dim[onnx_item(n, "perm", i, a->ndim - 1 - i)];
    onnx_value y = onnx_new(a->ndim, dim);
    for (int64_t i = 0; i < onnx_count(&y); i++) {
        onnx_unravel(&y, i, at);
        for (int k = 0; k < a->ndim; k++)
            from[onnx_item(n, "perm", k, a->ndim - 1 - k)] = at[k];
        y.x[i] = a->x[onnx_broadcast(a, a->ndim, from)];
    }
    return y;
}

static onnx_value onnx_reshape(const onnx_node *n, const onnx_value *a, const onnx_value *shape)
{
    int64_t dim[ONNX_DIMS];
    int ndim = 2;
    if (shape) {
        ndim = (int)shape->dim[0];
        for (int i = 0; i < ndim; i++)
            dim[i] = shape->x[i] == 0 ? a->dim[i] : (int64_t)shape->x[i];
    } else { /* Flatten */
        if (onnx_whole(n, "axis", 1) != 1)
            ONNX_FAIL("%s: axis", n->name);
        dim[0] = a->dim[0];
        dim[1] = onnx_count(a) / a->dim[0];
    }
    onnx_value y = onnx_new(ndim, dim);
    if (onnx_count(&y) != onnx_count(a))
        ONNX_FAIL("%s: another number of elements", n->name);
    memcpy(y.x, a->x, (size_t)onnx_count(a) * sizeof *a->x);
    return y;
}

static onnx_value onnx_gemm(const onnx_node *n, const onnx_value *a, const onnx_value *b, const onnx_value *bias)
{
    int64_t rows = a->dim[0], inner = a->dim[1], cols = b->dim[0];
    if (onnx_whole(n, "transB", 0) != 1 || b->dim[1] != inner)
        ONNX_FAIL("%s: shapes do not meet", n->name);
    onnx_value y = onnx_new(2, (int64_t[]){rows, cols});
    for (int64_t i = 0; i < rows * cols; i++) {
        y.x[i] = bias ? bias->x[i % cols] : 0;
        for (int64_t k = 0; k < inner; k++)
            y.x[i] += a->x[i / cols * inner + k] * b->x[i % cols * inner + k];
    }
    return y;
}

/* Conv, MaxPool and AveragePool: windows over [N,C,H,W]. */
static onnx_value onnx_windows(const onnx_node *n, const onnx_value *a, const onnx_value *w, const onnx_value *bias)
{
    bool conv = onnx_is(n, "Conv"), max = onnx_is(n, "MaxPool");
    int64_t out[2], k[2], s[2], pad[2], dil[2], groups = conv ? onnx_whole(n, "group", 1) : a->dim[1];
    for (int i = 0; i < 2; i++) {
        k[i] = onnx_item(n, "kernel_shape", i, 0);
        s[i] = onnx_item(n, "strides", i, 1);
        dil[i] = onnx_item(n, "dilations", i, 1);
        pad[i] = onnx_item(n, "pads", i, 0);
        out[i] = (a->dim[2 + i] + pad[i] + onnx_item(n, "pads", i + 2, 0) - dil[i] * (k[i] - 1) - 1) / s[i] + 1;
    }
    int64_t per_in = a->dim[1] / groups, c_out = conv ? w->dim[0] : a->dim[1], at[4];
    onnx_value y = onnx_new(4, (int64_t[]){a->dim[0], c_out, out[0], out[1]});
    for (int64_t i = 0; i < onnx_count(&y); i++) {
        onnx_unravel(&y, i, at);
        double sum = 0, most = -INFINITY, cells = 0;
        for (int64_t c = 0; c < per_in; c++)
            for (int64_t d = 0; d < k[0] * k[1]; d++) {
                int64_t h = at[2] * s[0] - pad[0] + d / k[1] * dil[0], v = at[3] * s[1] - pad[1] + d % k[1] * dil[1];
                if (h < 0 || h >= a->dim[2] || v < 0 || v >= a->dim[3])
                    continue;
                int64_t channel = at[1] / (c_out / groups) * per_in + c;
                double value = a->x[((at[0] * a->dim[1] + channel) * a->dim[2] + h) * a->dim[3] + v];
                sum += conv ? value * w->x[(at[1] * per_in + c) * k[0] * k[1] + d] : value;
                most = fmax(most, value);
                cells++;
            }
        if (!conv && onnx_whole(n, "count_include_pad", 0))
            cells = (double)(k[0] * k[1]);
        y.x[i] = conv ? sum + (bias ? bias->x[at[1]] : 0) : max ? most : sum / cells;
    }
    return y;
}

/* GlobalAveragePool, ReduceL2, ReduceMin, ReduceMax and ReduceSum over some dimensions; the last has them as input. */
static onnx_value onnx_reduce(const onnx_node *n, const onnx_value *a, const onnx_value *which)
{
    bool mean = onnx_is(n, "GlobalAveragePool"), sum = onnx_is(n, "ReduceSum"), over[ONNX_DIMS] = {0};
    const onnx_attr *axes = onnx_find_attr(n, "axes");
    int64_t dim[ONNX_DIMS], kept[ONNX_DIMS], at[ONNX_DIMS], cells = 1;
    int ndim = 0;
    for (int i = 2; i < a->ndim; i++)
        over[i] = mean;
    for (int i = 0; axes && i < axes->n; i++)
        over[axes->ints[i]] = true;
    for (int64_t i = 0; which && i < onnx_count(which); i++)
        over[(int)which->x[i]] = true;
    for (int i = 0; i < a->ndim; i++) {
        dim[i] = over[i] ? 1 : a->dim[i];
        cells *= over[i] ? a->dim[i] : 1;
        if (!over[i] || onnx_whole(n, "keepdims", 1))
            kept[ndim++] = dim[i];
    }
    onnx_value y = onnx_new(a->ndim, dim);
    double start = onnx_is(n, "ReduceMin") ? INFINITY : onnx_is(n, "ReduceMax") ? -INFINITY : 0;
    for (int64_t i = 0; i < onnx_count(&y); i++)
        y.x[i] = start;
    for (int64_t i = 0; i < onnx_count(a); i++) {
        onnx_unravel(a, i, at);
        double *to = &y.x[onnx_broadcast(&y, a->ndim, at)], v = a->x[i];
        *to = mean        ? *to + v / (double)cells
              : sum       ? *to + v
              : start > 0 ? fmin(*to, v)
              : start < 0 ? fmax(*to, v)
                          : *to + v * v;
    }
    for (int64_t i = 0; onnx_is(n, "ReduceL2") && i < onnx_count(&y); i++)
        y.x[i] = sqrt(y.x[i]);
    y.ndim = ndim;
    memcpy(y.dim, kept, sizeof kept);
    return y;
}

static onnx_value onnx_concat(const onnx_node *n, const onnx_value *const *in)
{
    int axis = (int)onnx_whole(n, "axis", 0);
    int64_t dim[ONNX_DIMS], at[ONNX_DIMS];
    memcpy(dim, in[0]->dim, sizeof dim);
    for (int i = 1; i < n->n_in; i++)
        dim[axis] += in[i]->dim[axis];
    onnx_value y = onnx_new(in[0]->ndim, dim);
    for (int64_t i = 0; i < onnx_count(&y); i++) {
        onnx_unravel(&y, i, at);
        int k = 0;
        for (; at[axis] >= in[k]->dim[axis]; k++)
            at[axis] -= in[k]->dim[axis];
        y.x[i] = in[k]->x[onnx_broadcast(in[k], y.ndim, at)];
    }
    return y;
}

/* TopK of all along dimension 1, smallest first. */
static onnx_value onnx_topk(const onnx_node *n, const onnx_value *a, const onnx_value *k)
{
    int64_t inner = 1, c = a->dim[1];
    for (int i = 2; i < a->ndim; i++)
        inner *= a->dim[i];
    if (onnx_whole(n, "axis", -1) != 1 || onnx_whole(n, "largest", 1) != 0 || k->x[0] != (double)c)
        ONNX_FAIL("%s: another use of TopK", n->name);
    onnx_value y = onnx_new(a->ndim, a->dim);
    memcpy(y.x, a->x, (size_t)onnx_count(a) * sizeof *a->x);
    for (int64_t i = 0; i < onnx_count(a) / c; i++) {
        double *at = y.x + i / inner * c * inner + i % inner;
        for (int64_t j = 1; j < c; j++)
            for (int64_t l = j; l > 0 && at[l * inner] < at[(l - 1) * inner]; l--) {
                double t = at[l * inner];
                at[l * inner] = at[(l - 1) * inner];
                at[(l - 1) * inner] = t;
            }
    }
    return y;
}

static onnx_value onnx_batch_norm(const onnx_node *n, const onnx_value *const *in)
{
    const onnx_attr *eps = onnx_find_attr(n, "epsilon");
    onnx_value y = onnx_new(in[0]->ndim, in[0]->dim);
    int64_t at[ONNX_DIMS];
    for (int64_t i = 0; i < onnx_count(&y); i++) {
        onnx_unravel(&y, i, at);
        int64_t c = at[1];
        y.x[i] = (in[0]->x[i] - in[3]->x[c]) / sqrt(in[4]->x[c] + (eps ? eps->f : 1e-5)) * in[1]->x[c] + in[2]->x[c];
    }
    return y;
}

static onnx_value onnx_node_run(const onnx_node *n, const onnx_value *const *in)
{
    static const char *const binary[] = {"Mul", "Add", "Sub", "Min"},
                             *const windows[] = {"Conv", "MaxPool", "AveragePool"},
                             *const reduce[] = {"GlobalAveragePool", "ReduceL2", "ReduceMin", "ReduceMax", "ReduceSum"},
                             *const unary[] = {"Sqrt", "Tanh", "Sigmoid", "Relu", "LeakyRelu", "Identity"};
    for (int i = 0; i < 3; i++)
        if (onnx_is(n, windows[i]))
            return onnx_windows(n, in[0], n->n_in > 1 ? in[1] : NULL, n->n_in > 2 ? in[2] : NULL);
    for (int i = 0; i < 4; i++)
        if (onnx_is(n, binary[i]))
            return onnx_binary(n, in[0], in[1]);
    for (int i = 0; i < 5; i++)
        if (onnx_is(n, reduce[i]))
            return onnx_reduce(n, in[0], n->n_in > 1 ? in[1] : NULL);
    for (int i = 0; i < 6; i++)
        if (onnx_is(n, unary[i]))
            return onnx_unary(n, in[0]);
    if (onnx_is(n, "Transpose"))
        return onnx_transpose(n, in[0]);
    if (onnx_is(n, "Reshape") || onnx_is(n, "Flatten"))
        return onnx_reshape(n, in[0], n->n_in > 1 ? in[1] : NULL);
    if (onnx_is(n, "Gemm"))
        return onnx_gemm(n, in[0], in[1], n->n_in > 2 ? in[2] : NULL);
    if (onnx_is(n, "Concat"))
        return onnx_concat(n, in);
    if (onnx_is(n, "TopK"))
        return onnx_topk(n, in[0], in[1]);
    if (!onnx_is(n, "BatchNormalization"))
        ONNX_FAIL("%s: unknown operator %s", n->name, n->op);
    return onnx_batch_norm(n, in);
}

static onnx_value *onnx_lookup(onnx_value *values, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(values[i].name, name) == 0)
            return &values[i];
    return NULL;
}

/* Runs the model; takes `input`. The result is the caller's. Aborts on what is not as it has to be, such as a name that
 * is given twice or used before it is there. */
static onnx_value onnx_run(const onnx_model *m, onnx_value *input)
{
    int n = 0;
    onnx_value *values = calloc((size_t)(m->n_tensors + m->n_nodes + 1), sizeof *values), result = {.ndim = 0};
    snprintf(input->name, ONNX_NAME, "%s", m->input.name);
    values[n++] = *input;
    for (int i = 0; i < m->n_tensors; i++) {
        if (onnx_lookup(values, n, m->tensor[i].name))
            ONNX_FAIL("'%s' is given twice", m->tensor[i].name);
        values[n] = onnx_of_constant(&m->tensor[i]);
        snprintf(values[n++].name, ONNX_NAME, "%s", m->tensor[i].name);
    }
    for (int i = 0; i < m->n_nodes; i++) {
        const onnx_node *node = &m->node[i];
        const onnx_value *in[8] = {NULL};
        for (int k = 0; k < node->n_in; k++)
            if (!(in[k] = onnx_lookup(values, n, node->in[k])))
                ONNX_FAIL("%s: '%s' is not there yet", node->name, node->in[k]);
        if (onnx_lookup(values, n, node->out[0]))
            ONNX_FAIL("'%s' is given twice", node->out[0]);
        values[n] = onnx_node_run(node, in);
        snprintf(values[n++].name, ONNX_NAME, "%s", node->out[0]);
    }
    for (int i = 0; i < n; i++)
        if (strcmp(values[i].name, m->output.name) == 0)
            result = values[i];
        else
            free(values[i].x);
    free(values);
    return result;
}

#endif
