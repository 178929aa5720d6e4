/* cli/submit.c - job scripts: sbatch's options, the functions of jobs/lib.sh, one call. */
#include "cli/submit.h"

#include "cli/job_lib.h" /* made by CMake: bnf_job_lib[] is the text of jobs/lib.sh */

#include <string.h>

bnf_status bnf_submit_seconds(const char *text, int64_t *seconds)
{
    int64_t part[4] = {0};
    int n = 0;
    bool days = strchr(text, '-') != NULL, good = true;

    for (const char *at = text; good; at++) {
        char number[12];
        size_t length = strspn(at, "0123456789");
        good = n < 4 && length > 0 && length < sizeof number;
        if (!good)
            break;
        memcpy(number, at, length);
        number[length] = '\0';
        good = bnf_parse_int(number, &part[n++]);
        at += length;
        if (*at == '\0')
            break;
        good = good && *at == (days && n == 1 ? '-' : ':');
    }
    if (!good || n - days > 3 || n - days < 1)
        return bnf_fail(BNF_ERR_CONFIG, "--time %s: give minutes, hours:minutes:seconds or days-hours:minutes:seconds",
                        text);
    if (days) /* days-hours[:minutes[:seconds]] */
        *seconds = ((part[0] * 24 + part[1]) * 60 + part[2]) * 60 + part[3];
    else if (n == 3)
        *seconds = (part[0] * 60 + part[1]) * 60 + part[2];
    else /* minutes[:seconds] */
        *seconds = part[0] * 60 + part[1];
    return BNF_OK;
}

/* A word as the shell reads it back. */
static void put_word(bnf_buf *text, const char *word)
{
    if (word[0] &&
        word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./=:,+@%-")] == '\0') {
        bnf_buf_puts(text, word);
        return;
    }
    bnf_buf_putc(text, '\'');
    for (const char *p = word; *p; p++)
        if (*p == '\'')
            bnf_buf_puts(text, "'\\''");
        else
            bnf_buf_putc(text, *p);
    bnf_buf_putc(text, '\'');
}

/* One line of sbatch's options. sbatch reads quotes and backslashes in them in its own way, and knows no way at all for
 * some characters, so these are refused. */
static bnf_status put_option(bnf_buf *text, const char *option, const char *value)
{
    for (const char *p = value; *p; p++)
        if ((unsigned char)*p < ' ' || strchr("\"'\\#", *p))
            return bnf_fail(BNF_ERR_CONFIG,
                            "%s%s: quotes, backslashes, '#' and control characters cannot stand in a "
                            "job script's options",
                            option, value);
    bool quote = strchr(value, ' ') != NULL;
    return bnf_buf_printf(text, "#SBATCH %s%s%s%s\n", option, quote ? "\"" : "", value, quote ? "\"" : "");
}

static bnf_status put_count(bnf_buf *text, const char *option, int64_t value)
{
    return bnf_buf_printf(text, "#SBATCH %s%lld\n", option, (long long)value);
}

/* --output=FOLDER/PATTERN, where a % of the folder's own name is doubled. */
static bnf_status put_output(bnf_buf *text, const char *folder, const char *pattern)
{
    bnf_buf path = {0};
    for (const char *p = folder; *p; p++)
        bnf_buf_puts(&path, *p == '%' ? "%%" : (char[]){*p, '\0'});
    bnf_status s = bnf_buf_printf(&path, "/%s", pattern);
    if (s == BNF_OK)
        s = put_option(text, "--output=", bnf_buf_text(&path));
    bnf_buf_release(&path);
    return s;
}

/* What both scripts begin with, after their sizes. */
static bnf_status put_common(const bnf_submit *submit, bnf_buf *text)
{
    if (submit->partition)
        BNF_TRY(put_option(text, "--partition=", submit->partition));
    BNF_TRY(put_option(text, "--chdir=", submit->workdir));
    for (int64_t i = 0; i < submit->option->count; i++) {
        if (strncmp(submit->option->item[i], "--", 2) != 0)
            return bnf_fail(BNF_ERR_CONFIG, "--option %s: give an option of sbatch with its dashes, in one word",
                            submit->option->item[i]);
        BNF_TRY(put_option(text, "", submit->option->item[i]));
    }
    return text->status;
}

static void put_body(const bnf_submit *submit, bnf_buf *text)
{
    bnf_buf_puts(text, "set -euo pipefail\nexport BANFF=${BANFF:-");
    put_word(text, submit->program);
    bnf_buf_puts(text, "}\n\n# ---- jobs/lib.sh\n");
    bnf_buf_append(text, bnf_job_lib, sizeof bnf_job_lib);
    bnf_buf_puts(text, "# ---- end of jobs/lib.sh\n\n");
}

static void put_train(const bnf_submit *submit, bnf_buf *text)
{
    if (submit->tasks > 0) {
        bnf_buf_puts(text, "export BANFF_SWEEP=");
        put_word(text, submit->folder);
        bnf_buf_puts(text, "\njob_sweep ");
    } else {
        bnf_buf_puts(text, "job_train ");
    }
    put_word(text, submit->config);
    if (submit->tasks > 0) {
        bnf_buf_putc(text, ' ');
        put_word(text, submit->task_file);
    }
    for (int64_t i = 0; i < submit->set->count; i++) {
        bnf_buf_puts(text, " --set ");
        put_word(text, submit->set->item[i]);
    }
    bnf_buf_putc(text, '\n');
}

bnf_status bnf_submit_script(const bnf_submit *submit, bnf_buf *text)
{
    bnf_buf_puts(text, "#!/bin/bash\n# Written by banff " BNF_VERSION_STRING " submit; sbatch takes it again.\n");
    BNF_TRY(put_option(text, "--job-name=", submit->name));
    BNF_TRY(put_count(text, "--nodes=", submit->nodes));
    BNF_TRY(put_count(text, "--ntasks-per-node=", submit->ranks));
    BNF_TRY(put_count(text, "--cpus-per-task=", submit->threads));
    BNF_TRY(put_option(text, "--time=", submit->time));
    BNF_TRY(put_count(text, "--signal=B:USR1@", submit->save_before));
    bnf_buf_puts(text, "#SBATCH --requeue\n#SBATCH --open-mode=append\n");
    BNF_TRY(put_output(text, submit->folder, submit->tasks > 0 ? "job-%A_%a.log" : "job-%j.log"));
    if (submit->tasks > 0 && submit->at_once > 0)
        bnf_buf_printf(text, "#SBATCH --array=1-%lld%%%lld\n", (long long)submit->tasks, (long long)submit->at_once);
    else if (submit->tasks > 0)
        bnf_buf_printf(text, "#SBATCH --array=1-%lld\n", (long long)submit->tasks);
    BNF_TRY(put_common(submit, text));
    put_body(submit, text);
    put_train(submit, text);
    return text->status;
}

bnf_status bnf_submit_collect_script(const bnf_submit *submit, bnf_buf *text)
{
    bnf_buf_puts(text, "#!/bin/bash\n# Written by banff " BNF_VERSION_STRING " submit: collects the sweep's results.\n"
                       "#SBATCH --nodes=1\n#SBATCH --ntasks=1\n");
    bnf_buf_puts(text, "#SBATCH --job-name=collect\n");
    BNF_TRY(put_count(text, "--cpus-per-task=", submit->threads));
    BNF_TRY(put_option(text, "--time=", submit->time));
    BNF_TRY(put_output(text, submit->folder, "collect-%j.log"));
    BNF_TRY(put_common(submit, text));
    put_body(submit, text);
    bnf_buf_puts(text, "job_collect ");
    put_word(text, submit->folder);
    bnf_buf_putc(text, '\n');
    return text->status;
}
