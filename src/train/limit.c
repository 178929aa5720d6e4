/* train/limit.c - durations, SLURM's remaining time, and the margin before the end. */
#include "train/limit.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#include <math.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#define SQUEUE_SECONDS 5.0
/* Until a checkpoint was written, it is taken to need a second and to be written at this speed. */
#define FIRST_SAVE_SECONDS 1.0
#define FIRST_BYTES_PER_SECOND 50e6
#define SAVE_FACTOR 3.0 /* one may be under way in the background, one is to be written, and disks vary */

static bnf_status not_a_duration(const char *text)
{
    return bnf_fail(BNF_ERR_CONFIG,
                    "'%s' is not a length of time: give 90 (seconds), 15m, 2h, 3d, 1:30:00 or 1-02:00:00", text);
}

/* Digits only; at most nine of them. */
static bool whole(const char *from, size_t length, double *value)
{
    *value = 0;
    for (size_t i = 0; i < length; i++) {
        if (from[i] < '0' || from[i] > '9')
            return false;
        *value = *value * 10 + (from[i] - '0');
    }
    return length >= 1 && length <= 9;
}

/* "[days-]a[:b[:c]]" */
static bnf_status clock_form(const char *text, double *seconds)
{
    const char *dash = strchr(text, '-'), *at = dash ? dash + 1 : text;
    double days = 0, part[3];
    int n = 0;
    if (dash && !whole(text, (size_t)(dash - text), &days))
        return not_a_duration(text);
    for (;; n++) {
        size_t length = strcspn(at, ":");
        if (n == 3 || !whole(at, length, &part[n]))
            return not_a_duration(text);
        at += length;
        if (*at++ == '\0')
            break;
    }
    for (int i = 1; i <= n; i++)
        if (part[i] >= 60)
            return not_a_duration(text);
    /* The first part is hours after days and where there are three, else minutes. */
    double unit = dash || n == 2 ? 3600 : 60;
    *seconds = days * 86400;
    for (int i = 0; i <= n; i++, unit /= 60)
        *seconds += part[i] * unit;
    return BNF_OK;
}

bnf_status bnf_duration_parse(const char *text, double *seconds)
{
    static const struct {
        char letter;
        double seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    char number[32];
    size_t length = strlen(text);
    double unit = 1;
    if (length == 0 || length >= sizeof number)
        return not_a_duration(text);
    if (strpbrk(text, ":-"))
        return clock_form(text, seconds);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (text[length - 1] == units[i].letter) {
            unit = units[i].seconds;
            length--;
            break;
        }
    memcpy(number, text, length);
    number[length] = '\0';
    if (number[0] < '0' || number[0] > '9' || !bnf_parse_real(number, seconds) || !isfinite(*seconds))
        return not_a_duration(text);
    *seconds *= unit;
    return BNF_OK;
}

bnf_status bnf_limit_check(const char *setting)
{
    double seconds;
    if (strcmp(setting, "auto") == 0 || strcmp(setting, "none") == 0)
        return BNF_OK;
    if (bnf_duration_parse(setting, &seconds) != BNF_OK)
        return bnf_fail_context(BNF_ERR_CONFIG, "run.time_limit (auto, none or a length of time)");
    return BNF_OK;
}

/* The first line that a command prints; "" if it fails or does not answer in time. */
static void ask(const char *const argv[], char *line, size_t size)
{
    int ends[2];
    pid_t pid;
    posix_spawn_file_actions_t actions;
    size_t n = 0;
    double until = bnf_clock_seconds() + SQUEUE_SECONDS;
    line[0] = '\0';
    if (pipe(ends) != 0)
        return;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", 1 /* O_WRONLY */, 0);
    bool started = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv, environ) == 0;
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    while (started && n + 1 < size && !memchr(line, '\n', n)) {
        struct pollfd p = {.fd = ends[0], .events = POLLIN};
        double left = until - bnf_clock_seconds();
        if (left <= 0 || poll(&p, 1, (int)(left * 1000) + 1) < 1)
            break;
        ssize_t got = read(ends[0], line + n, size - 1 - n);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    line[n] = '\0';
    line[strcspn(line, "\n")] = '\0';
    close(ends[0]);
    if (started) {
        kill(pid, SIGKILL); /* whether it has ended or not: the answer is there */
        waitpid(pid, NULL, 0);
    }
}

double bnf_limit_slurm(void)
{
    const char *job = getenv("SLURM_JOB_ID"), *end = getenv("SLURM_JOB_END_TIME");
    double at;
    char line[64];
    if (!job || !job[0])
        return INFINITY;
    if (end && bnf_parse_real(end, &at) && at > 0)
        return at - bnf_clock_wall_seconds();
    const char *const argv[] = {"squeue", "-h", "-j", job, "-o", "%L", NULL};
    ask(argv, line, sizeof line);
    if (line[0] < '0' || line[0] > '9') /* UNLIMITED, NOT_SET, INVALID; or no such program */
        return INFINITY;
    if (bnf_duration_parse(line, &at) != BNF_OK) {
        bnf_error_clear();
        return INFINITY;
    }
    return at;
}

bnf_status bnf_limit_start(bnf_limit *limit, const char *setting)
{
    double now = bnf_clock_seconds(), own = INFINITY, slurm = INFINITY;
    if (strcmp(setting, "none") != 0)
        slurm = bnf_limit_slurm();
    if (strcmp(setting, "auto") != 0 && strcmp(setting, "none") != 0)
        BNF_TRY(bnf_duration_parse(setting, &own));
    *limit = (bnf_limit){.look = now, .end = now + (slurm < own ? slurm : own), .slurm = slurm < own};
    return BNF_OK;
}

void bnf_limit_loop(bnf_limit *limit, double now, int64_t bytes)
{
    limit->look = now;
    limit->save = FIRST_SAVE_SECONDS + (double)bytes / FIRST_BYTES_PER_SECOND;
    if (isfinite(limit->end))
        bnf_log_info("%s ends in %.0f s; a checkpoint is written before",
                     limit->slurm ? "SLURM's job" : "the time limit", limit->end - now);
}

void bnf_limit_saved(bnf_limit *limit, double seconds)
{
    limit->save = limit->measured && limit->save > seconds ? limit->save : seconds; /* the first replaces the guess */
    limit->measured = true;
}

bool bnf_limit_due(bnf_limit *limit, double now)
{
    double step = now - limit->look;
    limit->step = step > limit->step ? step : limit->step;
    limit->look = now;
    return now + limit->step + SAVE_FACTOR * limit->save >= limit->end;
}
