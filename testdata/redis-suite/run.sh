#!/usr/bin/env bash
# Runs the test suite of Redis 7.0.15 against a node of this build, as against
# an external server: run.sh PARLOR REDIS_SRC [unit …]. Each unit gets a node of
# its own. It prints a table of what passed, failed and was left out, and ends
# with 1 if anything failed or a unit did not run to its end.
#
# REDIS_SRC is a checkout of Redis; its tests are copied, never changed. The
# binaries of Redis that a few tests want are those in its src, else installed.
set -u
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 2 ] && [ -d "$2" ] || { echo "usage: run.sh PARLOR REDIS_SRC [unit …], with a checkout of Redis 7.0.15" >&2; exit 2; }
parlor=$(realpath "$1") src=$(realpath "$2")
shift 2

grep -q '"7.0.15"' "$src/src/version.h" 2>/dev/null || { echo "$src is not a checkout of Redis 7.0.15" >&2; exit 2; }
command -v tclsh >/dev/null || { echo "tclsh is missing" >&2; exit 2; }

# A write waits for the disk; the tests make a million of them one by one.
memory=/dev/shm
[ -w $memory ] || memory=${TMPDIR:-/tmp}
work=$(mktemp -d "$memory/redis-suite.XXXXXX")
node=
trap '[ -n "$node" ] && kill $node 2>/dev/null; rm -rf "$work"' EXIT

mkdir "$work/src"
cp -r "$src/tests" "$src/runtest" "$work"
cp "$src/src/version.h" "$work/src"
for b in redis-server redis-cli redis-benchmark redis-check-aof redis-check-rdb; do
	bin=$src/src/$b
	[ -x "$bin" ] || bin=$(command -v $b) || { echo "$b is missing: build Redis or install it" >&2; exit 2; }
	ln -s "$bin" "$work/src/$b"
done

(cd "$work" && GIT_DIR=/nonexistent git apply "$here/tests.patch") || exit 2 # README.md says what it is for

units=("$@")
if [ ${#units[@]} -eq 0 ]; then
	mapfile -t units < <(grep -v '^#' "$here/units.txt")
fi

failed=0
count() { sed 's/\x1b\[[0-9;]*m//g; /^ *The End/q' "$1" | grep -ac "^\[$2\]: "; }
# reasons counts the tests that were skipped by the sections of skip.txt.
reasons() {
	sed 's/\x1b\[[0-9;]*m//g' "$1" | awk '
		NR == FNR {
			if (/^# -- /) { section = substr($0, 6); sub(/:.*/, "", section) }
			else if (!/^#/ && $0 != "") { lines[++n] = $0; of[n] = section }
			next
		}
		sub(/^\[skip\]: /, "") {
			for (i = 1; i <= n; i++) {
				if (lines[i] == $0 || (substr(lines[i], 1, 1) == "/" && $0 ~ substr(lines[i], 2))) {
					if (!count[of[i]]++) order[++m] = of[i]
					break
				}
			}
		}
		END { for (i = 1; i <= m; i++) printf "%s%s %d", (i > 1 ? ", " : ""), order[i], count[order[i]] }
	' "$here/skip.txt" -
}
echo '| unit | passed | failed | skipped | for reasons of | not for external servers |'
echo '|---|---|---|---|---|---|'
for u in "${units[@]}"; do
	log=$work/log dir=$work/node
	rm -rf "$dir" "$work/node.log"
	"$parlor" serve --data-dir "$dir" --resp 127.0.0.1:0 --http 127.0.0.1:0 --cluster 127.0.0.1:0 --resp-debug >"$work/node.log" 2>&1 &
	node=$!
	port=
	for _ in $(seq 600); do
		port=$(sed -n 's/.*msg=ready.* resp=[^ ]*:\([0-9]*\).*/\1/p' "$work/node.log" 2>/dev/null)
		[ -z "$port" ] && kill -0 $node 2>/dev/null || break
		sleep 0.1
	done
	if [ -z "$port" ]; then
		echo "the node did not start:" >&2
		kill -QUIT $node
		wait $node
		cat "$work/node.log" >&2
		exit 2
	fi
	(cd "$work" && timeout "${LIMIT:-900}" ./runtest --host 127.0.0.1 --port "$port" --single "$u" --skipfile "$here/skip.txt" \
		--baseport $((20000 + RANDOM % 10000)) --ignore-encoding --durable --tags "-slow -needs:repl") >"$log" 2>&1
	kill $node; wait $node 2>/dev/null; node=
	bad=$(count "$log" err)
	if ! grep -aq 'The End' "$log"; then
		bad="$bad, did not end"
	fi
	echo "| \`$u\` | $(count "$log" ok) | $bad | $(count "$log" skip) | $(reasons "$log") | $(count "$log" ignore) |"
	if [ "$bad" != 0 ]; then
		failed=1
		sed 's/\x1b\[[0-9;]*m//g; /^ *The End/q' "$log" | awk '/^\[(err|exception)\]/{p=1} /^\[(ok|ignore|skip|done|[0-9]+\/[0-9]+ done)\]/{p=0} p' >&2
	fi
	[ -n "${KEEP:-}" ] && cp "$log" "$KEEP/$(echo "$u" | tr / -).log"
done
exit $failed
