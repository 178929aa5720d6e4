#!/usr/bin/env bash
# The shell scripts: each parses, has no shellcheck finding (if shellcheck is installed), refuses an unknown option, and
# explains itself with --help. Usage: scripts.sh BUILD SOURCE
set -euo pipefail
source_dir=${2:?usage: scripts.sh BUILD SOURCE}
cd "$source_dir"
bad=0

complain() {
    echo "scripts: $*"
    bad=1
}

mapfile -t all < <(grep -rlE --include='*' '^#!.*\b(ba)?sh\b|^# shellcheck shell=' .ci scripts tests jobs | sort)
[ ${#all[@]} -gt 5 ] || complain "only ${#all[@]} scripts were found"
for f in "${all[@]}"; do
    bash -n "$f" || complain "$f does not parse"
done

if command -v shellcheck >/dev/null; then
    shellcheck -x -P SCRIPTDIR -S warning "${all[@]}" || complain "shellcheck has findings"
else
    echo "scripts: shellcheck is not installed; only bash -n was run"
fi

# Commands that a user runs: executable, --help works and names the command, nonsense is refused without doing anything.
for f in scripts/*; do
    case $f in *.sh | *.py | *.md) continue ;; esac
    [ -f "$f" ] || continue
    [ -x "$f" ] || complain "$f is not executable"
    "$f" --help >/dev/null 2>&1 || complain "$f --help fails"
    "$f" --help 2>&1 | grep -q "$(basename "$f")" || complain "$f --help does not name the command"
    if out=$("$f" --no-such-option 2>&1); then
        complain "$f accepts --no-such-option"
    elif ! grep -q 'no-such-option' <<<"$out"; then
        complain "$f refuses --no-such-option without naming it: $out"
    fi
done

# install-deps --list: every package with a reason, and the libraries that CMake looks for among them.
list=$(scripts/install-deps --list)
while read -r name reason; do
    case $name in '#' | '') continue ;; esac
    [ -n "$reason" ] || complain "install-deps gives no reason for $name"
done <<<"$list"
for name in libopenmpi-dev libdnnl-dev libhdf5-openmpi-dev libscalapack-openmpi-dev libcmocka-dev dataset-fashion-mnist; do
    grep -q "^$name " <<<"$list" || complain "install-deps does not list $name"
done

# install-deps with stand-ins for apt-get, dpkg-query, id and sudo, so that nothing of this machine is touched.
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
for tool in bash dirname sed env cat; do ln -s "$(command -v $tool)" "$temp/$tool"; done
stand_in() { printf '#!%s\n%s\n' "$temp/bash" "$2" >"$temp/$1" && chmod +x "$temp/$1"; }
stand_in apt-get 'echo "apt-get $*" >>"'"$temp"'/calls"'

stand_in dpkg-query 'printf installed'
stand_in id 'echo 1000'
out=$(PATH=$temp bash scripts/install-deps 2>&1) || complain "install-deps fails when all is installed: $out"
grep -q 'all packages are installed' <<<"$out" || complain "install-deps does not say that all is there: $out"
[ ! -e "$temp/calls" ] || complain "install-deps calls apt-get although all is installed"

stand_in dpkg-query '[ "${!#}" != libdnnl-dev ] && printf installed'
if out=$(PATH=$temp bash scripts/install-deps 2>&1); then complain "install-deps succeeds without root, sudo and libdnnl-dev"; fi
grep -q 'apt-get install libdnnl-dev$' <<<"$out" || complain "install-deps does not say what an administrator must install: $out"
[ ! -e "$temp/calls" ] || complain "install-deps calls apt-get without root and sudo"

stand_in id 'echo 0'
PATH=$temp bash scripts/install-deps >/dev/null 2>&1 || complain "install-deps fails as root"
[ "$(wc -l <"$temp/calls")" -eq 2 ] && grep -q ' update$' "$temp/calls" && grep -q ' libdnnl-dev$' "$temp/calls" ||
    complain "as root, install-deps should update once and install libdnnl-dev only; it ran: $(cat "$temp/calls")"

[ $bad -eq 0 ] && echo "scripts: ${#all[@]} scripts are well"
exit $bad
