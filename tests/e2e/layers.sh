#!/usr/bin/env bash
# The rooms keep to their places: CMakeLists.txt says which room may know which (bnf_room ... DEPS), and the sources are
# held to it. Also: MPI only in src/comm, HDF5 only in src/h5, heap memory only through base/mem.h, output only from
# src/cli, files of at most 800 lines. Lists every offender. Usage: layers.sh BUILD SOURCE
set -euo pipefail
source_dir=${2:?usage: layers.sh BUILD SOURCE}

# Prints one line per offence in the tree $1: path:line: what.
offences() {
    local tree=$1 files
    mapfile -t files < <(cd "$tree" && find src include -name '*.[ch]' | sort)
    (
        cd "$tree"
        awk '
            # --- CMakeLists.txt: closure of DEPS, and the order "bottom up" of the table itself.
            FILENAME == "CMakeLists.txt" {
                if ($0 !~ /^bnf_room\(/) next
                line = $0; gsub(/^bnf_room\(|\).*/, "", line)
                n = split(line, w, " "); room = w[1]; known[room] = 1; may[room, room] = 1; rooms[++nrooms] = room
                in_deps = 0
                for (i = 2; i <= n; i++) {
                    if (w[i] == "DEPS") { in_deps = 1; continue }
                    if (w[i] == "LIBS") in_deps = 0
                    if (!in_deps) continue
                    if (!(w[i] in known)) printf "CMakeLists.txt:%d: room %s depends on %s, which is not below it\n", FNR, room, w[i]
                    for (r = 1; r <= nrooms; r++) if (may[w[i], rooms[r]]) may[room, rooms[r]] = 1
                }
                next
            }
            FNR == 1 {
                room = FILENAME; in_comment = 0
                if (sub(/^include\/banff\//, "", room)) sub(/\.h$/, "", room)
                else { sub(/^src\//, "", room); sub(/\/[^\/]*$/, "", room) }
                if (room != "cli" && room != "banff" && !(room in known)) {
                    printf "%s:1: no room of that name in CMakeLists.txt\n", FILENAME
                    nextfile
                }
            }
            # --- includes, before comments and strings are taken away
            !in_comment && /^[ \t]*#[ \t]*include/ {
                name = $0; sub(/^[^"<]*["<]/, "", name); sub(/[">].*/, "", name)
                if (name == "mpi.h" && room != "comm") printf "%s:%d: only src/comm may include mpi.h\n", FILENAME, FNR
                if (name ~ /^hdf5/ && room != "h5") printf "%s:%d: only src/h5 may include %s\n", FILENAME, FNR, name
                other = ""
                if (name ~ /^banff\//) { other = name; sub(/^banff\//, "", other); sub(/\.h$/, "", other) }
                else if ($0 ~ /"/) {
                    other = name
                    if (!sub(/\/[^\/]*$/, "", other)) { printf "%s:%d: write \"room/%s\"\n", FILENAME, FNR, name; next }
                    if (FILENAME ~ /^include/) printf "%s:%d: a public header includes a private one: %s\n", FILENAME, FNR, name
                }
                if (other == "" || other == "banff") next
                if (!(other in known) && other != "cli") printf "%s:%d: no such room: %s\n", FILENAME, FNR, name
                else if (other ~ /^recipes\// && room != other) printf "%s:%d: nobody includes a recipe: %s\n", FILENAME, FNR, name
                else if (room != "cli" && room != "banff" && !may[room, other])
                    printf "%s:%d: %s may not know %s: %s\n", FILENAME, FNR, room, other, name
                next
            }
            # --- the rest of the line without strings and comments
            {
                text = $0; gsub(/\\./, "", text); gsub(/"[^"]*"/, "\"\"", text)
                out = ""
                while (text != "") {
                    if (in_comment) {
                        p = index(text, "*/"); if (!p) { text = ""; break }
                        text = substr(text, p + 2); in_comment = 0
                    } else {
                        p = index(text, "/*"); q = index(text, "//")
                        if (q && (!p || q < p)) { out = out substr(text, 1, q - 1); text = ""; break }
                        if (!p) { out = out text; break }
                        out = out substr(text, 1, p - 1); text = substr(text, p + 2); in_comment = 1
                    }
                }
                if (out ~ /(^|[^A-Za-z0-9_])(malloc|calloc|realloc|strdup|strndup|aligned_alloc|posix_memalign)[ \t]*\(/ &&
                    FILENAME != "src/base/mem.c")
                    printf "%s:%d: heap memory goes through base/mem.h\n", FILENAME, FNR
                if ((out ~ /(^|[^A-Za-z0-9_])(printf|vprintf|puts|putchar|perror)[ \t]*\(/ || out ~ /(^|[^A-Za-z0-9_])(stdout|stderr)([^A-Za-z0-9_]|$)/) &&
                    FILENAME !~ /^src\/cli\// && FILENAME !~ /^src\/(base\/(assert|log)|report\/progress)\.c$/)
                    printf "%s:%d: only src/cli prints\n", FILENAME, FNR
            }
        ' CMakeLists.txt "${files[@]}"
        find src include tests scripts -type f \( -name '*.[ch]' -o -name '*.sh' -o -name '*.inc' \) -exec wc -l {} + |
            awk '$2 != "total" && $1 > 800 { printf "%s:%d: a file has at most 800 lines\n", $2, $1 }'
    )
}

# The check itself is checked: each planted offence must be found, and where it was planted.
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
mkdir -p "$temp/t/scripts" "$temp/t/tests"
cp -r "$source_dir"/{src,include,CMakeLists.txt} "$temp/t/"
plants=0
plant() {
    local path=$1 text=$2 expected=$3
    mkdir -p "$(dirname "$temp/t/$path")"
    printf '%b' "$text" >"$temp/t/$path"
    if ! offences "$temp/t" | grep -q "^$path:[0-9]*: .*$expected"; then
        echo "self-check: a planted offence in $path was not found ($expected)"
        exit 1
    fi
    rm "$temp/t/$path"
    plants=$((plants + 1))
}
plant src/base/planted.c '#include "graph/plan.h"\n' 'base may not know graph'
plant src/comm/planted.c '#include <banff/train.h>\n' 'comm may not know train'
plant src/nn/planted.h '#include "optim/rules.h"\n' 'nn may not know optim'
plant src/data/planted.c '#include "ckpt/writer.h"\n' 'data may not know ckpt'
plant src/train/planted.c '#include "recipes/lipschitz/model.h"\n' 'nobody includes a recipe'
plant src/cli/planted.c '#include "recipes/lipschitz/model.h"\n' 'nobody includes a recipe'
plant src/graph/planted.c 'int a;\n#include <mpi.h>\n' 'only src/comm'
plant src/ckpt/planted.c '# include <hdf5.h>\n' 'only src/h5'
plant src/ops/planted.c '#include "planted.h"\n' 'write "room/planted.h"'
plant src/ops/planted.c '/* a\n*/ void f(void) { printf("%d", 1); }\n' 'only src/cli prints'
plant src/report/planted.c 'void f(void)\n{\n    fprintf(stderr, "x");\n}\n' 'only src/cli prints'
plant src/optim/planted.c 'void *f(void) { return malloc(4); }\n' 'heap memory'
plant src/attic/planted.c 'int a;\n' 'no room of that name'
plant src/tensor/planted.c "$(printf '\\n%.0s' $(seq 801))" 'at most 800 lines'
# ... and nothing is found in what only looks like one.
printf '/* printf("x"); malloc(3); */ // puts("x")\nstatic const char *s = "malloc(3) /* stderr";\n' >"$temp/t/src/base/innocent.c"
if offences "$temp/t" | grep -q '^src/base/innocent.c'; then
    echo "self-check: an offence was reported in a comment or a string"
    exit 1
fi

found=$(offences "$source_dir")
if [ -n "$found" ]; then
    printf '%s\n' "$found"
    echo "layers: $(wc -l <<<"$found") offences"
    exit 1
fi
echo "layers: no offences in $(find "$source_dir"/src "$source_dir"/include -name '*.[ch]' | wc -l) files; $plants planted ones were found"
