/* What the tests of sparse sets share: a source of images with few cells that are not zero. */
#ifndef TESTS_UNIT_DATA_SPARSE_H
#define TESTS_UNIT_DATA_SPARSE_H

#include "unit/data_support.h"

#include "base/mem.h"
#include "data/source.h"

enum { SPARSE_H = 9, SPARSE_W = 7, SPARSE_C = 2, SPARSE_CELLS = SPARSE_H * SPARSE_W * SPARSE_C };

/* Cell k of image i: zero but for one in about eleven; image 4 is empty, image 6 full. */
static inline int sparse_cell(int64_t i, int64_t k)
{
    uint32_t mixed = (uint32_t)(i * 7919 + k * 104729 + 17) * 2654435761u;
    if (i == 4 || (i != 6 && (mixed >> 20) % 11 != 0))
        return 0;
    return 1 + (int)(mixed % 250);
}

static inline bnf_status sparse_read_u8(bnf_source *s, bnf_split split, int64_t first, int64_t count, uint8_t *images,
                                        int32_t *labels)
{
    (void)s;
    for (int64_t i = 0; i < count; i++) {
        labels[i] = (int32_t)((first + i) % 3);
        for (int64_t k = 0; k < SPARSE_CELLS; k++)
            images[i * SPARSE_CELLS + k] = (uint8_t)sparse_cell(first + i + 1000 * split, k);
    }
    return BNF_OK;
}

/* The same as numbers between -1 and 1; in image 7 a zero with a sign. */
static inline bnf_status sparse_read_f32(bnf_source *s, bnf_split split, int64_t first, int64_t count, float *images,
                                         int32_t *labels)
{
    (void)s;
    for (int64_t i = 0; i < count; i++) {
        labels[i] = (int32_t)((first + i) % 3);
        for (int64_t k = 0; k < SPARSE_CELLS; k++) {
            int cell = sparse_cell(first + i + 1000 * split, k);
            images[i * SPARSE_CELLS + k] = cell ? (float)(cell - 126) / 137 : 0;
        }
        if (first + i == 7)
            images[i * SPARSE_CELLS + 5] = -0.0f;
    }
    return BNF_OK;
}

static inline bnf_status sparse_read_zeros(bnf_source *s, bnf_split split, int64_t first, int64_t count,
                                           uint8_t *images, int32_t *labels)
{
    (void)s, (void)split, (void)first;
    memset(images, 0, (size_t)(count * SPARSE_CELLS));
    memset(labels, 0, (size_t)count * sizeof *labels);
    return BNF_OK;
}

static inline void sparse_locate(const bnf_source *s, bnf_split split, int64_t index, char *text, size_t size)
{
    (void)s;
    snprintf(text, size, "%s sample %lld of the test", bnf_split_name(split), (long long)index);
}

static inline void sparse_destroy(bnf_source *s)
{
    bnf_source_release(s);
    bnf_free(s);
}

/* A new source, for one import. */
static inline bnf_source *sparse_source(bool f32, int64_t train, int64_t test)
{
    static const char *const names[] = {"a", "b", "c"};
    bnf_source *s;
    assert_ok(bnf_calloc(1, sizeof *s, "source of a test", &s));
    s->locate = sparse_locate;
    s->destroy = sparse_destroy;
    if (f32)
        s->read_f32 = sparse_read_f32;
    else
        s->read = sparse_read_u8;
    s->count[BNF_TRAIN] = train;
    s->count[BNF_TEST] = test;
    s->h = SPARSE_H;
    s->w = SPARSE_W;
    s->c = SPARSE_C;
    assert_ok(bnf_source_set_names(s, 3, names));
    assert_ok(bnf_source_describe(s, "a test"));
    return s;
}

#endif
