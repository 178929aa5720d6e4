/* train/profile_json.c - a profile as a flat JSON object, and back. */
#include "train/profile.h"

#include "base/fs.h"
#include "base/json.h"

#include <stdio.h>
#include <string.h>

/* Exactly one target is set: what a field holds. */
typedef struct field {
    char name[40];
    int64_t *whole;
    double *real;
    char *text;
    size_t size; /* of text */
} field;

enum { HEAD = 7, OP_FIELDS = 9, FIELDS = HEAD + BNF_PROFILE_PARTS + BNF_PROFILE_OPS * OP_FIELDS };

static void list_op(bnf_profile_op *o, int number, field *f)
{
    static const char *const names[OP_FIELDS] = {"op",    "kernel",  "shape",  "node",  "segment",
                                                 "calls", "seconds", "gflops", "gbytes"};
    for (int i = 0; i < OP_FIELDS; i++)
        snprintf(f[i].name, sizeof f[i].name, "op%d_%s", number, names[i]);
    f[0].text = o->op;
    f[0].size = sizeof o->op;
    f[1].text = o->kernel;
    f[1].size = sizeof o->kernel;
    f[2].text = o->shape;
    f[2].size = sizeof o->shape;
    f[3].whole = &o->node;
    f[4].whole = &o->segment;
    f[5].whole = &o->calls;
    f[6].real = &o->seconds;
    f[7].real = &o->gflops;
    f[8].real = &o->gbytes;
}

/* In the order of the file; operations come last, and there are n_ops of them. */
static void list_fields(bnf_profile *p, field *f)
{
    const field head[HEAD] = {{.name = "steps", .whole = &p->steps},
                              {.name = "first", .whole = &p->first},
                              {.name = "ranks", .whole = &p->ranks},
                              {.name = "threads", .whole = &p->threads},
                              {.name = "dropped", .whole = &p->dropped},
                              {.name = "ops", .whole = &p->n_ops},
                              {.name = "step_seconds", .real = &p->step_seconds}};
    memset(f, 0, FIELDS * sizeof *f);
    memcpy(f, head, sizeof head);
    for (int i = 0; i < BNF_PROFILE_PARTS; i++) {
        snprintf(f[HEAD + i].name, sizeof f[HEAD + i].name, "%s_seconds", bnf_profile_names[i]);
        f[HEAD + i].real = &p->seconds[i];
    }
    for (int i = 0; i < BNF_PROFILE_OPS; i++)
        list_op(&p->ops[i], i + 1, f + HEAD + BNF_PROFILE_PARTS + i * OP_FIELDS);
}

static int used_fields(const bnf_profile *p)
{
    return HEAD + BNF_PROFILE_PARTS + (int)p->n_ops * OP_FIELDS;
}

bnf_status bnf_profile_json(const bnf_profile *profile, bnf_buf *text)
{
    bnf_profile p = *profile;
    field f[FIELDS];
    list_fields(&p, f);
    bnf_json json = bnf_json_start(text, 2);
    bnf_json_begin_object(&json, NULL);
    for (int i = 0; i < used_fields(&p); i++)
        if (f[i].text)
            bnf_json_string(&json, f[i].name, f[i].text);
        else if (f[i].whole)
            bnf_json_int(&json, f[i].name, *f[i].whole);
        else
            bnf_json_real(&json, f[i].name, *f[i].real);
    bnf_json_end_object(&json);
    bnf_buf_putc(text, '\n');
    return text->status;
}

static bool take(const bnf_json_object *object, const field *f)
{
    const bnf_json_field *given = bnf_json_object_find(object, f->name);
    if (!given || given->type != (f->text ? BNF_JSON_STRING : BNF_JSON_NUMBER))
        return false;
    if (f->text)
        snprintf(f->text, f->size, "%s", given->string);
    else if (f->whole && !(given->number >= -1 && given->number <= 9e15))
        return false;
    else if (f->whole)
        *f->whole = (int64_t)given->number;
    else
        *f->real = given->number;
    return true;
}

static bnf_status parse(const char *path, const bnf_buf *text, bnf_profile *p)
{
    field f[FIELDS];
    bnf_json_object *object;
    bnf_status s = bnf_json_object_parse(bnf_buf_text(text), text->size, &object);
    if (s != BNF_OK)
        return bnf_fail_context(s, "'%s'", path);
    list_fields(p, f);
    for (int i = 0; i < FIELDS && i < used_fields(p) && s == BNF_OK; i++)
        if (!take(object, &f[i]))
            s = bnf_fail(BNF_ERR_FORMAT, "'%s': field '%s' is missing or not what it should be", path, f[i].name);
        else if (p->n_ops < 0 || p->n_ops > BNF_PROFILE_OPS)
            s = bnf_fail(BNF_ERR_FORMAT, "'%s': %lld operations", path, (long long)p->n_ops);
    bnf_json_object_destroy(object);
    return s;
}

bnf_status bnf_profile_read(const char *path, bnf_profile *profile)
{
    bnf_buf text = {0};
    *profile = (bnf_profile){0};
    if (!bnf_fs_exists(path))
        return BNF_OK;
    bnf_status s = bnf_fs_read(path, &text);
    if (s == BNF_OK)
        s = parse(path, &text, profile);
    bnf_buf_release(&text);
    return s;
}
