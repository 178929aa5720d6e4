/* TensorBoard event files: protobuf by hand, framed as TFRecord. */
#include "report/events.h"

#include "base/mem.h"
#include "report/crc32c.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, HOST_BYTES = 128, FIXED_BYTES = 96 };

struct bnf_events {
    FILE *file;
    uint8_t *bytes; /* one message is built here */
    size_t capacity;
    char path[PATH_BYTES];
};

/* ---- protobuf wire format: a position in a buffer that is known to be large enough ---- */

static uint8_t *put_varint(uint8_t *p, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *p++ = (uint8_t)(v | 0x80);
    *p++ = (uint8_t)v;
    return p;
}

static uint8_t *put_little_endian(uint8_t *p, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        *p++ = (uint8_t)(v >> (8 * i));
    return p;
}

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

static uint8_t *put_key(uint8_t *p, int field, int wire)
{
    return put_varint(p, (uint64_t)field << 3 | (uint64_t)wire);
}

static uint8_t *put_f64(uint8_t *p, int field, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return put_little_endian(put_key(p, field, WIRE_64), bits, 8);
}

static uint8_t *put_f32(uint8_t *p, int field, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return put_little_endian(put_key(p, field, WIRE_32), bits, 4);
}

static uint8_t *put_string(uint8_t *p, int field, const char *s, size_t n)
{
    p = put_varint(put_key(p, field, WIRE_BYTES), n);
    memcpy(p, s, n);
    return p + n;
}

static size_t varint_bytes(uint64_t v)
{
    size_t n = 1;
    for (; v >= 0x80; v >>= 7)
        n++;
    return n;
}

/* ---- frames ---- */

static bnf_status write_frame(bnf_events *e, size_t n)
{
    uint8_t head[12], tail[4];
    put_little_endian(head, n, 8);
    put_little_endian(head + 8, bnf_crc32c_masked(head, 8), 4);
    put_little_endian(tail, bnf_crc32c_masked(e->bytes, n), 4);
    if (fwrite(head, sizeof head, 1, e->file) != 1 || fwrite(e->bytes, n, 1, e->file) != 1 ||
        fwrite(tail, sizeof tail, 1, e->file) != 1)
        return bnf_fail(BNF_ERR_IO, "cannot write '%s': %s", e->path, strerror(errno));
    return BNF_OK;
}

static bnf_status reserve(bnf_events *e, size_t bytes)
{
    if (bytes <= e->capacity)
        return BNF_OK;
    BNF_TRY(bnf_realloc(e->capacity, bytes, "event message", &e->bytes));
    e->capacity = bytes;
    return BNF_OK;
}

static bnf_status write_version(bnf_events *e, double wall_time)
{
    static const char version[] = "brain.Event:2";
    uint8_t *p = put_f64(e->bytes, 1, wall_time);
    p = put_string(p, 3, version, sizeof version - 1);
    return write_frame(e, (size_t)(p - e->bytes));
}

static bnf_status write_session_start(bnf_events *e, double wall_time, int64_t step)
{
    static const char start[] = {1 << 3 | WIRE_VARINT, 1}; /* SessionLog { status: START } */
    uint8_t *p = put_f64(e->bytes, 1, wall_time);
    p = put_varint(put_key(p, 2, WIRE_VARINT), (uint64_t)step);
    p = put_string(p, 7, start, sizeof start);
    return write_frame(e, (size_t)(p - e->bytes));
}

/* ---- the file ---- */

/* Opens a file that did not exist: a second run in the same second and process gets the next number. */
static bnf_status open_new(bnf_events *e, const char *dir, double wall_time)
{
    char host[HOST_BYTES] = "localhost";
    if (gethostname(host, sizeof host) != 0)
        strcpy(host, "localhost");
    host[sizeof host - 1] = '\0';
    for (int k = 0; k < 1000; k++) {
        char suffix[16] = "";
        if (k > 0)
            snprintf(suffix, sizeof suffix, ".%d", k);
        const int n = snprintf(e->path, sizeof e->path, "%s/events.out.tfevents.%.0f.%s.%ld%s", dir, wall_time, host,
                               (long)getpid(), suffix);
        if (n < 0 || (size_t)n >= sizeof e->path)
            return bnf_fail(BNF_ERR_IO, "the path of the event file in '%s' is too long", dir);
        const int fd = open(e->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno == EEXIST)
            continue;
        if (fd < 0)
            return bnf_fail(BNF_ERR_IO, "cannot create '%s': %s", e->path, strerror(errno));
        e->file = fdopen(fd, "wb");
        if (e->file != NULL)
            return BNF_OK;
        const int code = errno;
        close(fd);
        return bnf_fail(BNF_ERR_IO, "cannot open '%s': %s", e->path, strerror(code));
    }
    return bnf_fail(BNF_ERR_IO, "cannot create '%s': too many event files of this second", e->path);
}

bnf_status bnf_events_create(const char *dir, double wall_time, int64_t resume_step, bnf_events **events)
{
    bnf_events *e = NULL;
    bnf_status status = bnf_calloc(1, sizeof *e, "event writer", &e);
    if (status != BNF_OK)
        return status;
    BNF_TRY_GOTO(status, reserve(e, FIXED_BYTES), fail);
    BNF_TRY_GOTO(status, open_new(e, dir, wall_time), fail);
    BNF_TRY_GOTO(status, write_version(e, wall_time), fail);
    if (resume_step > 0)
        BNF_TRY_GOTO(status, write_session_start(e, wall_time, resume_step), fail);
    BNF_TRY_GOTO(status, bnf_events_flush(e), fail);
    *events = e;
    return BNF_OK;
fail:
    bnf_events_close(e);
    return status;
}

bnf_status bnf_events_scalar(bnf_events *e, const char *tag, int64_t step, double value, double wall_time)
{
    const size_t tag_bytes = strlen(tag);
    const size_t value_bytes = 1 + varint_bytes(tag_bytes) + tag_bytes + 5; /* Summary.Value { tag, simple_value } */
    const size_t summary_bytes = 1 + varint_bytes(value_bytes) + value_bytes;
    BNF_TRY(reserve(e, FIXED_BYTES + summary_bytes));
    uint8_t *p = put_f64(e->bytes, 1, wall_time);
    p = put_varint(put_key(p, 2, WIRE_VARINT), (uint64_t)step);
    p = put_varint(put_key(p, 5, WIRE_BYTES), summary_bytes);
    p = put_varint(put_key(p, 1, WIRE_BYTES), value_bytes);
    p = put_string(p, 1, tag, tag_bytes);
    p = put_f32(p, 2, (float)value);
    return write_frame(e, (size_t)(p - e->bytes));
}

bnf_status bnf_events_flush(bnf_events *e)
{
    if (fflush(e->file) != 0)
        return bnf_fail(BNF_ERR_IO, "cannot write '%s': %s", e->path, strerror(errno));
    return BNF_OK;
}

const char *bnf_events_path(const bnf_events *e)
{
    return e->path;
}

bnf_status bnf_events_close(bnf_events *e)
{
    if (e == NULL)
        return BNF_OK;
    bnf_status status = BNF_OK;
    if (e->file != NULL && fclose(e->file) != 0)
        status = bnf_fail(BNF_ERR_IO, "cannot write '%s': %s", e->path, strerror(errno));
    bnf_free(e->bytes);
    bnf_free(e);
    return status;
}
