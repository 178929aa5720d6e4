/* Event files, read back by a reader that shares nothing with the writer. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "report/crc32c.h"
#include "report/events.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Bit by bit, straight from the polynomial. */
static uint32_t slow_crc32c(const uint8_t *p, size_t n)
{
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int b = 0; b < 8; b++)
            crc = crc & 1 ? (crc >> 1) ^ 0x82F63B78u : crc >> 1;
    }
    return ~crc;
}

static uint32_t slow_masked(const uint8_t *p, size_t n)
{
    const uint32_t crc = slow_crc32c(p, n);
    return (crc >> 15 | crc << 17) + 0xA282EAD8u;
}

static void test_crc(void **unused)
{
    (void)unused;
    uint8_t bytes[300];
    assert_int_equal(bnf_crc32c("123456789", 9), 0xE3069283u);
    assert_int_equal(bnf_crc32c("", 0), 0);
    for (int i = 0; i < 300; i++) {
        bytes[i] = (uint8_t)(i * 37 + 11);
        assert_int_equal(bnf_crc32c(bytes, (size_t)i), slow_crc32c(bytes, (size_t)i));
        assert_int_equal(bnf_crc32c_masked(bytes, (size_t)i), slow_masked(bytes, (size_t)i));
    }
}

/* ---- an independent reader ---- */

typedef struct event {
    double wall_time, value;
    int64_t step;
    bool has_value, session_start;
    char version[32], tag[300];
} event;

typedef struct cursor {
    const uint8_t *at, *end;
} cursor;

static uint64_t read_varint(cursor *c)
{
    uint64_t v = 0;
    for (int shift = 0;; shift += 7) {
        assert_true(c->at < c->end && shift < 64);
        const uint8_t byte = *c->at++;
        v |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return v;
    }
}

static cursor read_bytes(cursor *c, size_t n)
{
    assert_true((size_t)(c->end - c->at) >= n);
    const cursor part = {c->at, c->at + n};
    c->at += n;
    return part;
}

static uint64_t little_endian(const uint8_t *p, int n)
{
    uint64_t v = 0;
    for (int i = n - 1; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

static void copy_text(cursor part, char *text, size_t capacity)
{
    const size_t n = (size_t)(part.end - part.at);
    assert_true(n < capacity);
    memcpy(text, part.at, n);
    text[n] = '\0';
}

/* Summary { repeated Value value = 1 }, Value { string tag = 1; float simple_value = 2 } */
static void read_summary(cursor c, event *e)
{
    assert_int_equal(read_varint(&c), 1 << 3 | 2);
    cursor value = read_bytes(&c, (size_t)read_varint(&c));
    assert_ptr_equal(c.at, c.end);
    while (value.at < value.end) {
        const uint64_t key = read_varint(&value);
        if (key == (1 << 3 | 2)) {
            copy_text(read_bytes(&value, (size_t)read_varint(&value)), e->tag, sizeof e->tag);
        } else {
            assert_int_equal(key, 2 << 3 | 5);
            const uint32_t bits = (uint32_t)little_endian(read_bytes(&value, 4).at, 4);
            float f;
            memcpy(&f, &bits, sizeof f);
            e->value = (double)f;
            e->has_value = true;
        }
    }
}

static event read_event(cursor c)
{
    event e = {0};
    while (c.at < c.end) {
        const uint64_t key = read_varint(&c);
        if (key == (1 << 3 | 1)) {
            const uint64_t bits = little_endian(read_bytes(&c, 8).at, 8);
            memcpy(&e.wall_time, &bits, sizeof bits);
        } else if (key == (2 << 3 | 0)) {
            e.step = (int64_t)read_varint(&c);
        } else if (key == (3 << 3 | 2)) {
            copy_text(read_bytes(&c, (size_t)read_varint(&c)), e.version, sizeof e.version);
        } else if (key == (5 << 3 | 2)) {
            read_summary(read_bytes(&c, (size_t)read_varint(&c)), &e);
        } else {
            assert_int_equal(key, 7 << 3 | 2);
            const cursor log = read_bytes(&c, (size_t)read_varint(&c));
            assert_int_equal(log.end - log.at, 2);
            e.session_start = log.at[0] == (1 << 3 | 0) && log.at[1] == 1;
        }
    }
    return e;
}

static int read_file(const char *path, event *events, int capacity)
{
    static uint8_t bytes[1 << 16];
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    cursor c = {bytes, bytes + fread(bytes, 1, sizeof bytes, f)};
    fclose(f);
    int n = 0;
    while (c.at < c.end) {
        const cursor head = read_bytes(&c, 12);
        assert_int_equal(little_endian(head.at + 8, 4), slow_masked(head.at, 8));
        const size_t length = (size_t)little_endian(head.at, 8);
        const cursor payload = read_bytes(&c, length);
        assert_int_equal(little_endian(read_bytes(&c, 4).at, 4), slow_masked(payload.at, length));
        assert_true(n < capacity);
        events[n++] = read_event(payload);
    }
    return n;
}

/* ---- tests ---- */

static char folder[] = "/tmp/bnf-events-XXXXXX";

static void test_scalars(void **unused)
{
    (void)unused;
    static event read[64];
    char long_tag[201];
    bnf_events *events = NULL;
    memset(long_tag, 't', 200);
    long_tag[200] = '\0';
    assert_int_equal(bnf_events_create(folder, 1.7e9 + 0.25, 0, &events), BNF_OK);
    char path[512];
    snprintf(path, sizeof path, "%s", bnf_events_path(events));
    assert_non_null(strstr(path, "/events.out.tfevents.1700000000."));
    for (int i = 0; i < 20; i++)
        assert_int_equal(bnf_events_scalar(events, "train/loss", (int64_t)i << (2 * i), 1.0 / (i + 1), 1.7e9 + i),
                         BNF_OK);
    assert_int_equal(bnf_events_scalar(events, long_tag, 3, -2.5, 1.7e9), BNF_OK);
    assert_int_equal(bnf_events_scalar(events, "nan", 4, NAN, 1.7e9), BNF_OK);
    assert_int_equal(bnf_events_flush(events), BNF_OK);
    assert_int_equal(read_file(path, read, 64), 23); /* visible before the file is closed */
    assert_int_equal(bnf_events_close(events), BNF_OK);

    assert_int_equal(read_file(path, read, 64), 23);
    assert_string_equal(read[0].version, "brain.Event:2");
    assert_true(read[0].wall_time == 1.7e9 + 0.25);
    for (int i = 0; i < 20; i++) {
        const event *e = &read[i + 1];
        assert_string_equal(e->tag, "train/loss");
        assert_true(e->step == (int64_t)i << (2 * i));
        assert_true(e->value == (double)(float)(1.0 / (i + 1)) && e->wall_time == 1.7e9 + i);
    }
    assert_string_equal(read[21].tag, long_tag);
    assert_true(read[21].value == -2.5);
    assert_true(isnan(read[22].value) && read[22].has_value);
    assert_int_equal(remove(path), 0);
}

/* A second file of the same second does not overwrite the first; a resumed run says from which step it replaces. */
static void test_resume(void **unused)
{
    (void)unused;
    event read[4];
    bnf_events *first = NULL, *second = NULL;
    assert_int_equal(bnf_events_create(folder, 5.0, 0, &first), BNF_OK);
    assert_int_equal(bnf_events_create(folder, 5.0, 1000, &second), BNF_OK);
    assert_string_not_equal(bnf_events_path(first), bnf_events_path(second));
    assert_int_equal(read_file(bnf_events_path(first), read, 4), 1);
    assert_int_equal(read_file(bnf_events_path(second), read, 4), 2);
    assert_true(read[1].session_start && read[1].step == 1000);
    remove(bnf_events_path(first));
    remove(bnf_events_path(second));
    assert_int_equal(bnf_events_close(first), BNF_OK);
    assert_int_equal(bnf_events_close(second), BNF_OK);
    assert_int_equal(bnf_events_close(NULL), BNF_OK);
}

static void test_errors(void **unused)
{
    (void)unused;
    bnf_events *events = NULL;
    assert_int_equal(bnf_events_create("/nonexistent/folder", 1.0, 0, &events), BNF_ERR_IO);
    assert_non_null(strstr(bnf_error_message(), "/nonexistent/folder/events.out"));
    assert_null(events);
    bnf_error_clear();
    assert_int_equal(bnf_mem_live_blocks(), 0);
}

static int make_folder(void **unused)
{
    (void)unused;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **unused)
{
    (void)unused;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc),
        cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
