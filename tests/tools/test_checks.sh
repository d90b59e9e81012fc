#!/bin/sh
# Every check of tools/ passes a tiny tree that keeps the rules, and fails for each that breaks one.
#
# shellcheck disable=SC2317 # functions are called by name, from expect()
set -eu

tools=$(cd "$(dirname "$0")/../../tools" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0

header() { # ROOM/NAME LINE...
	path=src/$1.h
	guard=$(echo "$1" | tr 'a-z/' 'A-Z_')_H
	shift
	printf '%s\n' "#ifndef $guard" "#define $guard" "$@" '#endif' >"$path"
}

code() { # ROOM/NAME LINE...
	path=src/$1.c
	shift
	printf '%s\n' "$@" >"$path"
}

new_tree() {
	rm -rf "$work/tree"
	mkdir -p "$work/tree/tools" "$work/tree/fuzz"
	cd "$work/tree"
	mkdir -p src/base src/oci src/sys src/pod src/cli src/shim src/init tests/base tests/oci
	cp "$tools/layers.txt" "$tools/purity-allow.txt" "$tools/purity-ban.txt" tools/
	header base/text '#include <stddef.h>' 'struct bytes { size_t len; };' \
		'int text_size(struct bytes text);'
	code base/text '#include "base/text.h"' '' '#include <string.h>' \
		'int text_size(struct bytes text) { return (int)strnlen("ten", text.len); }'
	header oci/ref '#include "base/text.h"' 'int oci_ref(const char *name);'
	code oci/ref '#include "oci/ref.h"' '' '#include <string.h>' '' '#include "base/text.h"' \
		'int oci_ref(const char *name) { return text_size((struct bytes){ strlen(name) }); }'
	header sys/io 'int io_open(void);'
	code sys/io '#include "sys/io.h"' '' '#include <fcntl.h>' '#include <sys/ioctl.h>' \
		'int io_open(void) { return open("/dev/null", O_RDONLY); }'
	code cli/main '#include "oci/ref.h"' 'int main(void) { return oci_ref(""); }'
	for test in tests/base/test_text.c tests/oci/test_ref.c fuzz/fuzz_base_text.c; do
		echo 'int main(void) { return 0; }' >"$test"
	done
	printf '    %s\n' "['base', 'text', []]," "['oci', 'ref', []]," >tests/meson.build
	echo "    ['base', 'text', []]," >fuzz/meson.build
	echo 'base/text fuzz' >tools/twins.txt
}

# As meson lays a build folder out: an archive for each room, objects of the programs.
build_tree() {
	rm -rf build
	mkdir -p build/cli.p
	grep -E '^(pure|sys|service) ' tools/layers.txt | sed 's/^[a-z]* \([a-z]*\):.*/\1/' |
	while read -r room; do
		objects=
		for file in "src/$room"/*.c; do
			[ -f "$file" ] || continue
			object=build/$room-$(basename "$file" .c).o
			cc -O0 -w -Isrc -c "$file" -o "$object"
			objects="$objects $object"
		done
		# shellcheck disable=SC2086 # a list
		ar rc "build/lib$room.a" $objects
	done
	cc -O0 -w -Isrc -c src/cli/main.c -o build/cli.p/src_cli_main.c.o
	link='-pie -Wl,-z,relro,-z,now'
	echo 'int main(void) { return 0; }' >build/nothing.c
	# shellcheck disable=SC2086 # flags are words
	cc $link -fPIE ${SHIM_LIBS:-} build/nothing.c -o build/containerd-shim-casemate-v2
	# shellcheck disable=SC2086 # flags are words
	cc ${INIT_FLAGS:--static} build/nothing.c -o build/casemate-init
	cc -static build/nothing.c -o build/casemate-agent
	cc -static build/nothing.c -o build/casemate-prover
}

expect() { # STATUS NAME WORDS COMMAND...
	status=$1 name=$2 words=$3
	shift 3
	got=0
	"$@" >"$work/said" 2>&1 || got=$?
	echo . >>"$work/said"
	if [ "$got" != "$status" ] || ! grep -q -e "$words" "$work/said"; then
		echo "FAIL $name: status $got, not $status, or no '$words' in:"
		sed 's/^/  | /' "$work/said"
		bad=1
	else
		echo "passed $name"
	fi
}

passes() {
	name=$1
	shift
	expect 0 "$name" . "$@"
}

refuses() {
	name=$1 words=$2
	shift 2
	expect 1 "$name" "$words" "$@"
}

# --- includes

includes() { "$tools/check-includes" .; }

new_tree
passes 'includes: passes what keeps the rules' includes
echo '#include "sys/io.h"' >>src/oci/ref.c
refuses 'includes: a room above' "'oci' may not include 'sys'" includes
new_tree
echo '#include <unistd.h>' >>src/oci/ref.h
refuses 'includes: a system header in a pure room' 'no place in a pure room' includes
new_tree
code pod/pod '#include <sys/mount.h>'
refuses 'includes: a system call in a service' 'is for src/sys' includes
new_tree
code oci/ref '#include <string.h>' '#include "oci/ref.h"'
refuses 'includes: its own header not first' 'comes first' includes
new_tree
code cli/main '#include <string.h>' '#include <errno.h>'
refuses 'includes: not sorted' 'not in order' includes
new_tree
code cli/main '#include "oci/ref.h"' '#include <errno.h>'
refuses 'includes: the system after ours' 'after one of ours' includes
new_tree
echo '#include "cli/run.h"' >>src/shim/main.c
header cli/run 'int cli_run(void);'
refuses 'includes: one program in another' "'shim' may not include 'cli'" includes
new_tree
header oci/ref_priv 'int oci_inside(void);'
code cli/main '#include "oci/ref_priv.h"'
refuses 'includes: a private header outside' "for 'oci' alone" includes
new_tree
header base/a '#include "base/b.h"'
header base/b '#include "base/a.h"'
refuses 'includes: headers in a circle' 'in a circle' includes
new_tree
sed -i 's/OCI_REF_H/REF_H/' src/oci/ref.h
refuses 'includes: a guard of another name' 'guard is not OCI_REF_H' includes
new_tree
code cli/main '#include "oci/nowhere.h"'
refuses 'includes: a header that is not there' 'does not exist' includes
new_tree
mkdir src/attic
code attic/old 'int old;'
refuses 'includes: a room nobody knows' 'not in tools/layers.txt' includes
new_tree
sed -i 's/^pure base:/pure base: pod/' tools/layers.txt
refuses 'includes: a list out of order' "'pod' is not above 'base'" includes

# --- purity

purity() { build_tree && "$tools/check-purity" build tools; }

new_tree
passes 'purity: passes what keeps the rules' purity
code oci/io '#include <fcntl.h>' 'int oci_io(void) { return open("x", 0); }'
refuses 'purity: a pure room that opens a file' 'liboci.a calls open' purity
new_tree
code base/clock '#include <time.h>' 'long base_clock(void) { return time(0); }'
refuses 'purity: a pure room with a clock' 'libbase.a calls time' purity
new_tree
code base/count 'int base_count(void) { static int n; return n++; }'
refuses 'purity: a pure room with state' 'libbase.a keeps state' purity
new_tree
code base/sum 'int EVP_Digest(void); int base_sum(void) { return EVP_Digest(); }'
refuses 'purity: a name allowed in another room' 'libbase.a calls EVP_Digest' purity
new_tree
code sys/copy '#include <string.h>' 'char *sys_copy(char *a, char *b) { return strcpy(a, b); }'
refuses 'purity: a banned name in an archive' 'libsys.a calls strcpy, which is banned' purity
new_tree
code pod/fork '#include <unistd.h>' 'int pod_fork(void) { return fork(); }'
refuses 'purity: a service that makes a process' 'libpod.a calls fork, which is for src/sys' purity
new_tree
code cli/main '#include <stdlib.h>' 'int main(int n, char **v) { return system(v[n - 1]); }'
refuses 'purity: a banned name in a program' 'calls system, which is banned' purity
new_tree
missing() { build_tree && rm build/liboci.a && "$tools/check-purity" build tools; }
refuses 'purity: an archive that is not there' 'is not there' missing

# --- links

links() { build_tree && "$tools/check-links" build tools; }

new_tree
passes 'links: passes what keeps the rules' links
SHIM_LIBS='-Wl,--no-as-needed -lcrypto'
refuses 'links: a library kept from the shim' 'linked with libcrypto' links
SHIM_LIBS='-Wl,-z,lazy'
refuses 'links: symbols bound late' 'binds symbols late' links
SHIM_LIBS='-Wl,-z,execstack'
refuses 'links: an executable stack' 'stack can be executed' links
SHIM_LIBS=
INIT_FLAGS='-pie -fPIE'
refuses 'links: an init that needs a loader' 'casemate-init is not static' links
INIT_FLAGS=

# --- twins

twins() { "$tools/check-twins" .; }

new_tree
passes 'twins: passes what keeps the rules' twins
rm tests/oci/test_ref.c
refuses 'twins: a source without a test' 'test_ref.c. is missing' twins
new_tree
echo "    ['base', 'text', []]," >tests/meson.build
refuses 'twins: a test that is never run' 'is in no meson.build' twins
new_tree
rm fuzz/fuzz_base_text.c
refuses 'twins: a parser without a fuzz target' 'fuzz_base_text.c. is missing' twins
new_tree
: >fuzz/meson.build
refuses 'twins: a fuzz target that is never run' 'is in no meson.build' twins
new_tree
: >tools/twins.txt
refuses 'twins: a parser that nobody listed' 'say in tools/twins.txt' twins
new_tree
echo 'oci/gone fuzz' >>tools/twins.txt
refuses 'twins: a line for what has gone' "src/oci/gone.c' does not exist" twins
new_tree
code oci/part 'int oci_part;'
header oci/part_priv 'extern int oci_part;'
echo 'oci/part part-of oci/ref' >>tools/twins.txt
passes 'twins: passes a part of what is tested' twins
mv src/oci/part_priv.h src/oci/part.h
refuses 'twins: a part that all may use' 'needs its own test' twins

# --- scripts

scripts() { "$tools/check-scripts" .; }

new_tree
# shellcheck disable=SC2016 # it is the script's
printf '#!/bin/sh\nfor f in $1; do rm "$f"; done\n' >tools/tidy
passes 'scripts: passes what keeps the rules' scripts
# shellcheck disable=SC2016 # it is the script's
printf '#!/bin/sh\nrm $1\n' >tools/tidy
refuses 'scripts: a word that splits' SC2086 scripts
new_tree
printf '#!/usr/bin/env python3\nif:\n' >tools/count
refuses 'scripts: Python that does not compile' SyntaxError scripts

exit $bad
