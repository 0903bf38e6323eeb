# SPDX-License-Identifier: MIT
#
# common.sh - what the tests of the tool share: one line a check, a folder of their own, an exit code.
set -u
tool=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
bad=0

ok() {
	echo "ok $1"
}
not_ok() {
	echo "not ok $1: $2"
	bad=1
}
# is NAME WHAT WANTED: equal
is() {
	if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "'$2', wanted '$3'"; fi
}
# has NAME TEXT PATTERN: grep -E finds the pattern
has() {
	if printf '%s\n' "$2" | grep -qE -- "$3"; then ok "$1"; else not_ok "$1" "no '$3' in: $2"; fi
}
# value TEXT KEY: of key=value, first occurrence
value() {
	printf '%s\n' "$1" | tr ' ' '\n' | sed -n "s/^$2=//p" | head -n 1
}
# soon COMMAND...: again and again until it succeeds, half a minute at most: never a sleep instead
soon() {
	soon_ends=$(($(date +%s) + 30))
	until "$@"; do
		[ "$(date +%s)" -lt $soon_ends ] || return 1
		sleep 0.02
	done
}
# at_least NAME NUMBER LEAST
at_least() {
	if [ "${2:-0}" -ge "$3" ] 2>/dev/null; then ok "$1"; else not_ok "$1" "$2, wanted $3 or more"; fi
}
