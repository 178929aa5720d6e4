/* train/folder.c - the files of a run folder that training writes. */
#include "train/folder.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>

bnf_status bnf_folder_path(const bnf_job *job, const char *name, char **path)
{
    bnf_buf b = {0};
    bnf_status s = bnf_fs_join(&b, job->run.folder, name);
    if (s == BNF_OK)
        s = bnf_buf_take(&b, path);
    bnf_buf_release(&b);
    return s;
}

bnf_status bnf_folder_open_log(const bnf_job *job, bnf_folder *folder)
{
    char *path;
    if (folder->log || !bnf_fs_exists(job->run.folder))
        return BNF_OK;
    BNF_TRY(bnf_folder_path(job, "log.txt", &path));
    bnf_status s = BNF_OK;
    folder->log = fopen(path, "a");
    if (!folder->log)
        s = bnf_fail(BNF_ERR_IO, "cannot write '%s': %s", path, strerror(errno));
    else
        s = bnf_log_add_sink(folder->log, BNF_LOG_INFO, true);
    bnf_free(path);
    return s;
}

static bnf_status write_config(const bnf_job *job)
{
    bnf_buf text = {0};
    char *path = NULL;
    bnf_status s = bnf_job_dump(job, false, &text);
    if (s == BNF_OK)
        s = bnf_folder_path(job, "config.yaml", &path);
    if (s == BNF_OK)
        s = bnf_fs_write_atomic(path, bnf_buf_text(&text), text.size);
    bnf_free(path);
    bnf_buf_release(&text);
    return s;
}

/* Puts a copy in the place of a file: an earlier job that has it open keeps the old one, which has no name any more. */
static bnf_status detach(const bnf_job *job, const bnf_folder *folder, const char *name)
{
    char *path;
    bnf_buf text = {0};
    BNF_TRY(bnf_folder_path(job, name, &path));
    bnf_status s = BNF_OK;
    if (bnf_fs_exists(path) && !bnf_fs_is_folder(path)) {
        s = bnf_fs_read(path, &text);
        if (s == BNF_OK)
            s = bnf_fence_check(folder->fence);
        if (s == BNF_OK)
            s = bnf_fs_write_atomic(path, bnf_buf_text(&text), text.size);
    }
    bnf_buf_release(&text);
    bnf_free(path);
    return s;
}

bnf_status bnf_folder_open(const bnf_job *job, int64_t step, bnf_folder *folder)
{
    char *path;
    BNF_TRY(bnf_fs_make_folders(job->run.folder));
    if (bnf_fence_generation(folder->fence) > 1) {
        BNF_TRY(detach(job, folder, "metrics.jsonl"));
        if (folder->log) {
            bnf_log_remove_sink(folder->log);
            fclose(folder->log);
            folder->log = NULL;
        }
        BNF_TRY(detach(job, folder, "log.txt"));
    }
    BNF_TRY(bnf_fence_check(folder->fence));
    BNF_TRY(write_config(job));
    BNF_TRY(bnf_folder_open_log(job, folder));
    BNF_TRY(bnf_folder_path(job, "metrics.jsonl", &path));
    bnf_status s = bnf_metrics_open(path, step < 0 ? BNF_METRICS_FRESH : step, &folder->metrics);
    bnf_free(path);
    BNF_TRY(s);
    return bnf_events_create(job->run.folder, bnf_clock_wall_seconds(), step < 0 ? 0 : step, &folder->events);
}

bool bnf_folder_used(const bnf_job *job)
{
    char *path;
    if (bnf_folder_path(job, "metrics.jsonl", &path) != BNF_OK)
        return false;
    bool used = bnf_fs_exists(path);
    bnf_free(path);
    return used;
}

/* What a run leaves: only names that training or reporting gives. */
static bool ours(const char *name)
{
    return strcmp(name, "metrics.jsonl") == 0 || strcmp(name, "log.txt") == 0 || strcmp(name, "config.yaml") == 0 ||
           strcmp(name, "profile.json") == 0 || strcmp(name, "trace") == 0 || strcmp(name, ".watch") == 0 ||
           strcmp(name, "report.html") == 0 || strncmp(name, "certificate", 11) == 0 ||
           strncmp(name, "events.out.tfevents.", 20) == 0;
}

bnf_status bnf_folder_clear(const bnf_job *job)
{
    bnf_fs_names names = {0};
    BNF_TRY(bnf_fs_list(job->run.folder, &names));
    bnf_status s = BNF_OK;
    for (int64_t i = 0; i < names.count && s == BNF_OK; i++) {
        char *path;
        if (!ours(names.name[i]))
            continue;
        s = bnf_folder_path(job, names.name[i], &path);
        if (s == BNF_OK)
            s = bnf_fs_remove(path);
        bnf_free(path);
    }
    bnf_fs_names_release(&names);
    return s;
}

bnf_status bnf_folder_begin(bnf_folder *folder, const char *kind, int64_t step)
{
    BNF_TRY(bnf_fence_check(folder->fence));
    bnf_metrics_begin(folder->metrics, kind, step);
    return BNF_OK;
}

bnf_status bnf_folder_scalar(bnf_folder *folder, const char *kind, const char *name, int64_t step, double value)
{
    char tag[128];
    snprintf(tag, sizeof tag, "%s/%s", kind, name);
    bnf_metrics_real(folder->metrics, name, value);
    return bnf_events_scalar(folder->events, tag, step, value, bnf_clock_wall_seconds());
}

bnf_status bnf_folder_close(bnf_folder *folder)
{
    bnf_status s = bnf_metrics_close(folder->metrics), e = bnf_events_close(folder->events);
    if (folder->log) {
        bnf_log_remove_sink(folder->log);
        fclose(folder->log);
    }
    *folder = (bnf_folder){0};
    return s != BNF_OK ? s : e;
}
