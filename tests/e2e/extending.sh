#!/usr/bin/env bash
# The listings of docs/extending.md compile as they stand there: every fenced block of C that begins with a comment naming its
# file is compiled against the tree's headers, without a warning. Usage: extending.sh BUILD SOURCE
set -euo pipefail
source_dir=${2:?usage: extending.sh BUILD SOURCE}
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT

awk -v dir="$temp" '
    /^```c$/ { fenced = 1; n++; file = sprintf("%s/%02d.c", dir, n); next }
    /^```$/ && fenced { fenced = 0; close(file); next }
    fenced { print > file }
' "$source_dir/docs/extending.md"

flags=(-std=gnu17 -D_GNU_SOURCE -fopenmp -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror
    -fsyntax-only -I"$source_dir/include" -I"$source_dir/src" -I"$source_dir/tests")
compiled=0
bad=0
for file in "$temp"/*.c; do
    name=$(sed -n '1s|^/\* \([^ ]*\.[ch]\) .*|\1|p' "$file")
    [ -n "$name" ] || continue
    if gcc "${flags[@]}" "$file" 2>"$temp/log"; then
        compiled=$((compiled + 1))
    else
        echo "extending: the listing of $name does not compile"
        sed "s|$file|$name|; s/^/    /" "$temp/log"
        bad=1
    fi
done
if [ $compiled -eq 0 ]; then
    echo "extending: no listing was compiled"
    bad=1
fi
[ $bad -eq 0 ] && echo "extending: $compiled listings compile"
exit $bad
