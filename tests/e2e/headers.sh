#!/usr/bin/env bash
# Every public header compiles alone, without a warning: as C17 with gcc and clang, as C++17 with g++ (those that are
# installed; at least one C compiler must be). Private headers compile alone as well. Usage: headers.sh BUILD SOURCE
set -euo pipefail
source_dir=${2:?usage: headers.sh BUILD SOURCE}
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
warnings=(-Wall -Wextra -Wpedantic -Werror -fsyntax-only)
bad=0

# compiles HEADER COMPILER FLAGS...: the header, included twice to try its guard, in an otherwise empty file
compiles() {
    local header=$1
    shift
    if ! printf '#include <%s>\n#include <%s>\nint main(void) { return 0; }\n' "$header" "$header" |
        "$@" "${warnings[@]}" - 2>"$temp/log"; then
        echo "headers: $header does not compile alone with: $*"
        sed 's/^/    /' "$temp/log"
        bad=1
    fi
}

compilers=()
for cc in gcc clang; do
    command -v $cc >/dev/null && compilers+=("$cc")
done
[ ${#compilers[@]} -gt 0 ] || { echo "headers: neither gcc nor clang"; exit 77; }

n=0
for path in "$source_dir"/include/banff/*.h; do
    header=banff/$(basename "$path")
    for cc in "${compilers[@]}"; do
        compiles "$header" "$cc" -std=c17 -x c -I"$source_dir/include"
    done
    if command -v g++ >/dev/null; then
        compiles "$header" g++ -std=c++17 -x c++ -I"$source_dir/include"
    fi
    n=$((n + 1))
done

private=0
flags=(-std=gnu17 -D_GNU_SOURCE -fopenmp -x c -I"$source_dir/include" -I"$source_dir/src")
if libs=$(pkg-config --cflags ompi-c hdf5-openmpi openblas yaml-0.1 2>/dev/null); then
    # shellcheck disable=SC2206 # flags are words
    flags+=($libs)
fi
while read -r path; do
    compiles "${path#"$source_dir"/src/}" "${compilers[0]}" "${flags[@]}"
    private=$((private + 1))
done < <(find "$source_dir/src" -name '*.h' | sort)

[ $bad -eq 0 ] && echo "headers: $n public headers with ${compilers[*]}$(command -v g++ >/dev/null && echo ' g++'), $private private ones with ${compilers[0]}"
exit $bad
