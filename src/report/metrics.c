/* JSON Lines, written and read back. */
#include "report/metrics.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct bnf_metrics {
    int fd;
    char *path;
    int64_t size; /* of the file, up to the last whole line */
    bnf_buf line;
    bnf_json json;
};

struct bnf_metrics_log {
    bnf_json_object **lines; /* [count] owned */
    int64_t count, capacity;
};

/* ---- lines of a text ---- */

typedef struct line_cursor {
    const char *text;
    size_t size;
    size_t begin, end; /* the current line without its newline */
    int64_t number;    /* from 1 */
    bool last;         /* nothing follows the line */
    bool complete;     /* a newline ended it */
} line_cursor;

static bool next_line(line_cursor *c)
{
    c->begin = c->number == 0 ? 0 : c->end + 1;
    if (c->begin >= c->size)
        return false;
    const char *newline = memchr(c->text + c->begin, '\n', c->size - c->begin);
    c->complete = newline != NULL;
    c->end = c->complete ? (size_t)(newline - c->text) : c->size;
    c->last = c->end + 1 >= c->size;
    c->number++;
    return true;
}

/* Parses the current line. A broken last line gives *object = NULL, a broken one before it is an error. */
static bnf_status parse_line(const line_cursor *c, const char *path, bnf_json_object **object, double *step)
{
    const bool had_message = bnf_error_message()[0] != '\0';
    *object = NULL;
    if (!c->complete)
        return BNF_OK; /* without its newline a line may lack digits and still parse */
    bnf_status status = bnf_json_object_parse(c->text + c->begin, c->end - c->begin, object);
    if (status == BNF_OK) {
        const bnf_json_field *field = bnf_json_object_find(*object, "step");
        if (field != NULL && field->type == BNF_JSON_NUMBER) {
            *step = field->number;
            return BNF_OK;
        }
        bnf_json_object_destroy(*object);
        *object = NULL;
        status = bnf_fail(BNF_ERR_FORMAT, "there is no number \"step\"");
    }
    if (status == BNF_ERR_FORMAT && c->last) {
        if (!had_message)
            bnf_error_clear();
        return BNF_OK;
    }
    return bnf_fail_context(status, "'%s', line %lld", path, (long long)c->number);
}

/* ---- writer ---- */

/* How many bytes of the file stay when the run goes on after resume_step. */
static bnf_status kept_bytes(const char *path, int64_t resume_step, int64_t *bytes)
{
    bnf_buf text = {0};
    bnf_status status = bnf_fs_read(path, &text);
    line_cursor c = {.text = bnf_buf_text(&text), .size = text.size};
    *bytes = 0;
    while (status == BNF_OK && next_line(&c)) {
        bnf_json_object *object = NULL;
        double step = 0.0;
        status = parse_line(&c, path, &object, &step);
        const bool stays = object != NULL && step <= (double)resume_step;
        bnf_json_object_destroy(object);
        if (!stays)
            break;
        *bytes = (int64_t)c.end + 1;
    }
    bnf_buf_release(&text);
    return status;
}

static bnf_status open_file(bnf_metrics *m, int64_t resume_step)
{
    int64_t bytes = 0;
    if (resume_step >= 0 && bnf_fs_exists(m->path))
        BNF_TRY(kept_bytes(m->path, resume_step, &bytes));
    m->fd = open(m->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (m->fd < 0)
        return bnf_fail(BNF_ERR_IO, "cannot open '%s': %s", m->path, strerror(errno));
    struct stat file;
    if (fstat(m->fd, &file) != 0 || (file.st_size != bytes && ftruncate(m->fd, bytes) != 0))
        return bnf_fail(BNF_ERR_IO, "cannot cut '%s' to %lld bytes: %s", m->path, (long long)bytes, strerror(errno));
    m->size = bytes;
    return BNF_OK;
}

bnf_status bnf_metrics_open(const char *path, int64_t resume_step, bnf_metrics **metrics)
{
    bnf_metrics *m = NULL;
    BNF_TRY(bnf_calloc(1, sizeof *m, "metrics writer", &m));
    m->fd = -1;
    bnf_status status = bnf_strdup(path, &m->path);
    if (status == BNF_OK)
        status = open_file(m, resume_step);
    if (status != BNF_OK) {
        bnf_metrics_close(m);
        return status;
    }
    *metrics = m;
    return BNF_OK;
}

void bnf_metrics_begin(bnf_metrics *m, const char *kind, int64_t step)
{
    bnf_buf_clear(&m->line);
    m->json = bnf_json_start(&m->line, 0);
    bnf_json_begin_object(&m->json, NULL);
    bnf_json_string(&m->json, "kind", kind);
    bnf_json_int(&m->json, "step", step);
}

void bnf_metrics_real(bnf_metrics *m, const char *name, double value)
{
    bnf_json_real(&m->json, name, value);
}

void bnf_metrics_int(bnf_metrics *m, const char *name, int64_t value)
{
    bnf_json_int(&m->json, name, value);
}

void bnf_metrics_string(bnf_metrics *m, const char *name, const char *value)
{
    bnf_json_string(&m->json, name, value);
}

bnf_status bnf_metrics_end(bnf_metrics *m)
{
    bnf_json_end_object(&m->json);
    BNF_TRY(bnf_json_finish(&m->json));
    BNF_TRY(bnf_buf_putc(&m->line, '\n'));
    for (size_t done = 0; done < m->line.size;) {
        const ssize_t n = write(m->fd, m->line.data + done, m->line.size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            const int code = n < 0 ? errno : ENOSPC;
            /* Half a line would spoil the next one. Where even cutting fails, a resume finds the broken end. */
            if (ftruncate(m->fd, m->size) != 0)
                return bnf_fail(BNF_ERR_IO, "cannot write '%s' nor undo it: %s", m->path, strerror(code));
            return bnf_fail(BNF_ERR_IO, "cannot write '%s': %s", m->path, strerror(code));
        }
        done += (size_t)n;
    }
    m->size += (int64_t)m->line.size;
    return BNF_OK;
}

bnf_status bnf_metrics_close(bnf_metrics *m)
{
    if (m == NULL)
        return BNF_OK;
    bnf_status status = BNF_OK;
    if (m->fd >= 0 && close(m->fd) != 0)
        status = bnf_fail(BNF_ERR_IO, "cannot write '%s': %s", m->path, strerror(errno));
    bnf_buf_release(&m->line);
    bnf_free(m->path);
    bnf_free(m);
    return status;
}

/* ---- reader ---- */

static bnf_status push_line(bnf_metrics_log *log, bnf_json_object *object)
{
    if (log->count == log->capacity) {
        const int64_t capacity = log->capacity > 0 ? 2 * log->capacity : 64;
        const size_t bytes = sizeof(void *); /* of one element */
        BNF_TRY(bnf_realloc((size_t)log->capacity * bytes, (size_t)capacity * bytes, "metrics", &log->lines));
        log->capacity = capacity;
    }
    log->lines[log->count++] = object;
    return BNF_OK;
}

bnf_status bnf_metrics_read(const char *path, bnf_metrics_log **log)
{
    bnf_metrics_log *l = NULL;
    bnf_buf text = {0};
    bnf_status status = bnf_calloc(1, sizeof *l, "metrics", &l);
    if (status == BNF_OK)
        status = bnf_fs_read(path, &text);
    line_cursor c = {.text = bnf_buf_text(&text), .size = text.size};
    while (status == BNF_OK && next_line(&c)) {
        bnf_json_object *object = NULL;
        double step = 0.0;
        status = parse_line(&c, path, &object, &step);
        if (object == NULL)
            break;
        status = push_line(l, object);
        if (status != BNF_OK)
            bnf_json_object_destroy(object);
    }
    bnf_buf_release(&text);
    if (status != BNF_OK) {
        bnf_metrics_log_destroy(l);
        return status;
    }
    *log = l;
    return BNF_OK;
}

void bnf_metrics_log_destroy(bnf_metrics_log *log)
{
    if (log == NULL)
        return;
    for (int64_t i = 0; i < log->count; i++)
        bnf_json_object_destroy(log->lines[i]);
    bnf_free(log->lines);
    bnf_free(log);
}

int64_t bnf_metrics_log_count(const bnf_metrics_log *log)
{
    return log->count;
}

/* The number `name` of a line of that kind, NULL if it has none. */
static const bnf_json_field *number_of(const bnf_json_object *line, const char *kind, const char *name)
{
    const bnf_json_field *k = bnf_json_object_find(line, "kind");
    if (k == NULL || k->type != BNF_JSON_STRING || strcmp(k->string, kind) != 0)
        return NULL;
    const bnf_json_field *field = bnf_json_object_find(line, name);
    const bool number = field != NULL && (field->type == BNF_JSON_NUMBER || field->type == BNF_JSON_NULL);
    return number ? field : NULL;
}

bnf_status bnf_metrics_series(const bnf_metrics_log *log, const char *kind, const char *name, double **steps,
                              double **values, int64_t *count)
{
    double *s = NULL, *v = NULL;
    int64_t n = 0;
    BNF_TRY(bnf_alloc((size_t)log->count * sizeof *s, "series", &s));
    const bnf_status status = bnf_alloc((size_t)log->count * sizeof *v, "series", &v);
    if (status != BNF_OK) {
        bnf_free(s);
        return status;
    }
    for (int64_t i = 0; i < log->count; i++) {
        const bnf_json_field *field = number_of(log->lines[i], kind, name);
        if (field == NULL)
            continue;
        s[n] = bnf_json_object_find(log->lines[i], "step")->number;
        v[n] = field->number;
        n++;
    }
    *steps = s;
    *values = v;
    *count = n;
    return BNF_OK;
}

double bnf_metrics_last(const bnf_metrics_log *log, const char *kind, const char *name)
{
    for (int64_t i = log->count - 1; i >= 0; i--) {
        const bnf_json_field *field = number_of(log->lines[i], kind, name);
        if (field != NULL)
            return field->number;
    }
    return NAN;
}
