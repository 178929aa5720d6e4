/* cli/cmd_supervise.c - banff run: starts a job again when that makes sense. It does not use MPI itself. */
#include "cli/args.h"
#include "cli/cmd.h"
#include "cli/recipes.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "train/job.h"
#include "train/restart.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char about[] =
    "Runs COMMAND, which ends in `banff train CONFIG ...`, and starts it again when it fails in a way that going on "
    "can "
    "cure:\n"
    "exit codes 76, 134 to 255 (a rank or a host was lost), and 1 if there is a new checkpoint. Then --resume auto is "
    "put "
    "behind\n"
    "it (and --overwrite taken out). Codes 0, 2, 75 and 78 end it. Its own exit code is that of the last start.\n"
    "SIGTERM, SIGINT, SIGUSR1, SIGUSR2 and SIGHUP are passed on, and then nothing is started again; to mpirun, which "
    "would "
    "kill\n"
    "its ranks, the first SIGTERM is passed on as SIGUSR1: they save and stop.\n"
    "With --hosts, {hosts} and {n} in COMMAND become the hosts that answer (NAME:SLOTS,...) and their slots.\n";

#define MAX_WORDS 512
#define MAX_HOSTS 256

typedef struct supervisor {
    bnf_restart_rules rules;
    double delay;
    const char *folder, *probe;
    char **command;
    int words, ranks_at; /* ranks_at: the word with the number of ranks, 0: there is none */
    int train_at;        /* the word `train`, 0: there is none */
    char host[MAX_HOSTS][128];
    int64_t slots[MAX_HOSTS];
    int hosts;
    bnf_job *job; /* of CONFIG, for run.folder; NULL if --folder was given */
} supervisor;

/* ---- signals ---- */

static volatile sig_atomic_t child, asked, gentle; /* gentle: the child is mpirun */

static void pass_on(int number, siginfo_t *info, void *unused)
{
    (void)unused;
    bool first = !asked;
    asked = 1;
    /* What a terminal sends, it has sent to the child, too. */
    if (child > 0 && info->si_code != SI_KERNEL)
        kill((pid_t)child, gentle && first && number == SIGTERM ? SIGUSR1 : number);
}

static void take_signals(void)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGHUP};
    struct sigaction a = {.sa_sigaction = pass_on, .sa_flags = SA_SIGINFO};
    sigemptyset(&a.sa_mask);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaction(signals[i], &a, NULL);
}

static void pause_for(double seconds)
{
    for (double until = bnf_clock_seconds() + seconds, left; !asked && (left = until - bnf_clock_seconds()) > 0;)
        poll(NULL, 0, left < 1 ? (int)(left * 1000) + 1 : 1000); /* a signal ends it early, or at most a second late */
}

/* ---- the command ---- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Finds what is to be known of the command: where `banff train` is, and the number of ranks. */
static void look_at_command(supervisor *s)
{
    static const char *const counts[] = {"-n", "-np", "--np", "-c", "--ntasks"};
    const char *launcher = base_name(s->command[0]);
    gentle = strcmp(launcher, "mpirun") == 0 || strcmp(launcher, "mpiexec") == 0 || strcmp(launcher, "orterun") == 0;
    for (int i = 1; i < s->words && !s->train_at; i++)
        if (strcmp(s->command[i], "train") == 0 && strncmp(base_name(s->command[i - 1]), "banff", 5) == 0)
            s->train_at = i;
    for (int i = 1; i + 1 < (s->train_at ? s->train_at : s->words) && !s->ranks_at; i++)
        for (size_t k = 0; k < sizeof counts / sizeof counts[0]; k++) {
            int64_t n;
            bool srun_cpus = k == 3 && !gentle; /* srun -c is something else */
            if (!srun_cpus && strcmp(s->command[i], counts[k]) == 0 && bnf_parse_int(s->command[i + 1], &n) && n > 0)
                s->ranks_at = i + 1;
        }
}

/* Whether word i of `banff train` is this option; *steps: the words it takes. */
static bool is_option(const supervisor *s, int i, const char *name, int *steps)
{
    size_t n = strlen(name);
    if (strncmp(s->command[i], name, n) != 0 || (s->command[i][n] != '\0' && s->command[i][n] != '='))
        return false;
    *steps = s->command[i][n] == '=' ? 1 : 2;
    return true;
}

/* The run folder that the command will use: from its CONFIG and --set. */
static bnf_status find_folder(supervisor *s)
{
    const char *set[BNF_ARGS_MAX_ITEMS], *config = NULL;
    int n = 0, steps;
    if (s->folder)
        return BNF_OK;
    for (int i = s->train_at + 1; s->train_at && i < s->words; i += steps) {
        if (is_option(s, i, "--set", &steps)) {
            const char *value = steps == 1 ? s->command[i] + 6 : i + 1 < s->words ? s->command[i + 1] : "";
            if (n < BNF_ARGS_MAX_ITEMS)
                set[n++] = value;
        } else if (!is_option(s, i, "--resume", &steps) && !is_option(s, i, "--time-limit", &steps)) {
            steps = 1;
            if (!config && strncmp(s->command[i], "--", 2) != 0)
                config = s->command[i];
        }
    }
    if (!config)
        return bnf_fail(BNF_ERR_CONFIG, "there is no `banff train CONFIG` in the command: give --folder RUN-FOLDER");
    BNF_TRY(bnf_job_load(NULL, bnf_recipes, config, set, n, &s->job));
    s->folder = s->job->run.folder;
    return BNF_OK;
}

/* ---- hosts ---- */

static bnf_status read_hosts(supervisor *s, const char *list)
{
    for (const char *at = list; *at;) {
        size_t n = strcspn(at, ","), name = strcspn(at, ":,");
        char slots[16] = "1";
        if (s->hosts == MAX_HOSTS || name == 0 || name >= sizeof s->host[0])
            return bnf_fail(BNF_ERR_CONFIG, "--hosts %s: it is NAME[:SLOTS],..., at most %d of them", list, MAX_HOSTS);
        if (name < n)
            snprintf(slots, sizeof slots, "%.*s", (int)(n - name - 1), at + name + 1);
        snprintf(s->host[s->hosts], sizeof s->host[0], "%.*s", (int)name, at);
        if (!bnf_parse_int(slots, &s->slots[s->hosts]) || s->slots[s->hosts] < 1)
            return bnf_fail(BNF_ERR_CONFIG, "--hosts %s: '%s' is no number of slots", list, slots);
        s->hosts++;
        at += n + (at[n] == ',');
    }
    return BNF_OK;
}

/* Text with every `word` in it replaced. */
static void replace(bnf_buf *out, const char *text, const char *word, const char *by)
{
    for (const char *hit; (hit = strstr(text, word)) != NULL; text = hit + strlen(word)) {
        bnf_buf_append(out, text, (size_t)(hit - text));
        bnf_buf_puts(out, by);
    }
    bnf_buf_puts(out, text);
}

static int wait_for(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* The hosts that answer, all asked at once: "a:2,b:1"; returns their slots. */
static int64_t living(const supervisor *s, bnf_buf *list)
{
    pid_t pid[MAX_HOSTS];
    int64_t n = 0;
    for (int h = 0; h < s->hosts; h++) {
        bnf_buf line = {0};
        replace(&line, s->probe, "{host}", s->host[h]);
        pid[h] = fork();
        if (pid[h] == 0) {
            alarm(20); /* survives exec: a probe that hangs has failed */
            execl("/bin/sh", "sh", "-c", bnf_buf_text(&line), (char *)NULL);
            _exit(127);
        }
        bnf_buf_release(&line);
    }
    for (int h = 0; h < s->hosts; h++) {
        if (pid[h] < 0 || wait_for(pid[h]) != 0)
            continue;
        bnf_buf_printf(list, "%s%s:%lld", list->size ? "," : "", s->host[h], (long long)s->slots[h]);
        n += s->slots[h];
    }
    return n;
}

/* ---- one start ---- */

/* The words of a start. Pieces of `text` hold what is not in the command itself. */
typedef struct start {
    char *word[MAX_WORDS + 4];
    int words;
    bnf_buf text[MAX_WORDS];
    int texts;
} start;

static void compose(const supervisor *s, bool again, int64_t ranks, const char *hosts, start *to)
{
    static char resume[] = "--resume", automatic[] = "auto";
    bool resumes = false;
    int steps;
    char number[24];
    snprintf(number, sizeof number, "%lld", (long long)ranks);
    for (int i = 0; i < s->words; i++) {
        char *word = s->command[i];
        resumes = resumes || (i > s->train_at && is_option(s, i, "--resume", &steps));
        if (again && strcmp(word, "--overwrite") == 0)
            continue;
        if ((i == s->ranks_at && i > 0 && ranks > 0) || strstr(word, "{hosts}") || strstr(word, "{n}")) {
            bnf_buf once = {0}, *b = &to->text[to->texts++];
            replace(&once, i == s->ranks_at && i > 0 ? number : word, "{hosts}", hosts);
            replace(b, bnf_buf_text(&once), "{n}", number);
            bnf_buf_release(&once);
            word = b->data;
        }
        to->word[to->words++] = word;
    }
    if (again && !resumes) {
        to->word[to->words++] = resume;
        to->word[to->words++] = automatic;
    }
    to->word[to->words] = NULL;
}

static int launch(start *what)
{
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before); /* until `child` is known */
    if (asked) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        return 143;
    }
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        signal(SIGTERM, SIG_DFL); /* exec resets the other handlers, this one may be needed before */
        sigprocmask(SIG_SETMASK, &before, NULL);
        prctl(PR_SET_PDEATHSIG, SIGTERM); /* a job without its supervisor could meet its own successor */
        if (getppid() != parent)
            _exit(143);
        execvp(what->word[0], what->word);
        int code = errno == ENOENT ? 127 : 126;
        fprintf(stderr, "banff run: cannot run '%s': %s\n", what->word[0], strerror(errno));
        _exit(code);
    }
    child = pid;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid < 0)
        return 126;
    int code = wait_for(pid);
    child = 0;
    return code;
}

/* Size and time of the run's log: it changes when training begins. */
static void log_state(const supervisor *s, int64_t state[2])
{
    bnf_buf path = {0};
    struct stat info;
    state[0] = state[1] = -1;
    if (bnf_fs_join(&path, s->folder, "log.txt") == BNF_OK && stat(bnf_buf_text(&path), &info) == 0) {
        state[0] = (int64_t)info.st_size;
        state[1] = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
    }
    bnf_buf_release(&path);
}

/* Starts the command once. [in,out] end: restarts and idle are counted on, ranks is what was asked for. False: there
 * are too few hosts. */
static bool once(const supervisor *s, bnf_restart_end *end)
{
    static start what;
    bnf_buf hosts = {0};
    int64_t log[2], log_after[2], newest = bnf_restart_newest(s->folder), least = s->rules.min_ranks;
    if (s->hosts) {
        end->ranks = living(s, &hosts);
        if (end->ranks < (least > 0 ? least : 1)) {
            bnf_buf_release(&hosts);
            return false;
        }
    }
    log_state(s, log);
    compose(s, end->restarts > 0, end->ranks, bnf_buf_text(&hosts), &what);
    end->code = launch(&what);
    for (int i = 0; i < what.texts; i++)
        bnf_buf_release(&what.text[i]);
    what.words = what.texts = 0;
    bnf_buf_release(&hosts);
    log_state(s, log_after);
    end->asked = asked != 0;
    end->began = memcmp(log, log_after, sizeof log) != 0;
    end->moved = bnf_restart_newest(s->folder) != newest;
    end->idle = end->moved ? 0 : end->idle + 1;
    return true;
}

static int supervise(const supervisor *s)
{
    bnf_restart_end end = {0};
    if (s->ranks_at)
        bnf_parse_int(s->command[s->ranks_at], &end.ranks);
    take_signals();
    for (;;) {
        if (!once(s, &end)) {
            fprintf(stderr, "banff run: only %lld slots on hosts that answer, and at least %lld are asked for\n",
                    (long long)end.ranks, (long long)(s->rules.min_ranks > 0 ? s->rules.min_ranks : 1));
            return end.code ? end.code : 1;
        }
        bnf_restart_verdict v = bnf_restart_decide(&s->rules, &end);
        int64_t newest = bnf_restart_newest(s->folder);
        char ranks[48] = "", step[48] = "no checkpoint";
        if (newest >= 0)
            snprintf(step, sizeof step, "checkpoint of step %lld", (long long)newest);
        if (v.ranks > 0 && !s->hosts)
            snprintf(ranks, sizeof ranks, ", %lld ranks", (long long)v.ranks);
        if (!v.again) {
            if (end.code != 0)
                fprintf(stderr, "banff run: exit code %d (%s), %s; not started again: %s\n", end.code, v.why, step,
                        v.but);
            return end.code;
        }
        end.restarts++;
        end.ranks = v.ranks;
        fprintf(stderr, "banff run: restart %lld of %lld in %g s%s: exit code %d (%s), %s\n", (long long)end.restarts,
                (long long)s->rules.max_restarts, s->delay, ranks, end.code, v.why, step);
        pause_for(s->delay);
        if (asked) {
            fprintf(stderr, "banff run: asked to stop; not started again\n");
            return end.code;
        }
    }
}

/* ---- arguments ---- */

/* Index of the first word of the command: behind `--`, or the first that is neither option nor an option's value. */
static int command_at(const bnf_arg *args, int count, int argc, char **argv)
{
    int i = 1;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        if (argv[i][2] == '\0')
            return i + 1;
        for (int k = 0; k < count; k++)
            if (strcmp(argv[i] + 2, args[k].name) == 0 && args[k].kind != BNF_ARG_FLAG)
                i++;
    }
    return i;
}

static bnf_status prepare(supervisor *s, int argc, char **argv, bool *help)
{
    const char *hosts = NULL;
    const bnf_arg args[] = {
        {"max-restarts", "N", "start it again at most so often (10)", BNF_ARG_INT, &s->rules.max_restarts},
        {"max-idle", "K", "give up after so many starts in a row without a new checkpoint (3)", BNF_ARG_INT,
         &s->rules.max_idle},
        {"delay", "SECONDS", "wait so long before a restart (5)", BNF_ARG_REAL, &s->delay},
        {"min-ranks", "N", "where it does not begin, try with fewer ranks (-n of the command), down to N", BNF_ARG_INT,
         &s->rules.min_ranks},
        {"hosts", "A[:SLOTS],...", "hosts to ask before each start; see {hosts} and {n} above", BNF_ARG_STR, &hosts},
        {"probe", "COMMAND", "how to ask {host} (ssh -o BatchMode=yes -o ConnectTimeout=5 {host} true)", BNF_ARG_STR,
         &s->probe},
        {"folder", "RUN-FOLDER", "where to look for checkpoints; otherwise CONFIG and --set of the command tell",
         BNF_ARG_STR, &s->folder},
        {"through-signals", NULL, "start it again, too, after it was stopped (75), e.g. by its own time limit",
         BNF_ARG_FLAG, &s->rules.through_signals},
        {"help", NULL, "print this", BNF_ARG_FLAG, help},
    };
    const int n = (int)(sizeof args / sizeof args[0]);
    int at = command_at(args, n, argc, argv);
    BNF_TRY(bnf_args_parse(args, n, at < argc ? at : argc, argv, NULL));
    if (*help) {
        bnf_args_help(stdout, "run [options] [--] COMMAND...", about, args, n);
        return BNF_OK;
    }
    if (at >= argc)
        return bnf_fail(BNF_ERR_CONFIG, "give a command to run (banff run --help)");
    if (argc - at > MAX_WORDS)
        return bnf_fail(BNF_ERR_CONFIG, "a command of more than %d words", MAX_WORDS);
    if (s->rules.max_restarts < 0 || s->rules.max_idle < 1 || s->rules.min_ranks < 0 ||
        !(s->delay >= 0 && s->delay < 1e6))
        return bnf_fail(BNF_ERR_CONFIG,
                        "--max-restarts, --min-ranks and --delay are at least 0, --max-idle at least 1");
    s->command = argv + at;
    s->words = argc - at;
    look_at_command(s);
    if (hosts)
        BNF_TRY(read_hosts(s, hosts));
    if (s->rules.min_ranks > 0 && !s->ranks_at && !hosts)
        return bnf_fail(BNF_ERR_CONFIG, "--min-ranks needs a number of ranks in the command (-n N), or --hosts");
    return find_folder(s);
}

int bnf_cmd_supervise(int argc, char **argv)
{
    static supervisor s = {.rules = {.max_restarts = 10, .max_idle = 3},
                           .delay = 5,
                           .probe = "ssh -o BatchMode=yes -o ConnectTimeout=5 {host} true"};
    bool help = false;
    bnf_status status = prepare(&s, argc, argv, &help);
    if (status != BNF_OK)
        fprintf(stderr, "banff run: %s\n", bnf_error_message());
    int code = status != BNF_OK || help ? bnf_cmd_exit_code(status) : supervise(&s);
    bnf_job_destroy(s.job);
    return code;
}
