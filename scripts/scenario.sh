#!/usr/bin/env bash
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
#
# scenario.sh test NAME: one Molecule scenario whole; what it prints is kept in tests/output/, too.
# scenario.sh closing: how each of them ended, by its test runner's last line; of those that failed, what did and why.
set -euo pipefail

checkout=$(cd "$(dirname "$0")/.." && pwd)
logs=$checkout/tests/output
mkdir -p "$logs"

run() {
    local log=$logs/scenario-$1.log
    # wide enough that nobody folds a line
    if ! PATH="$checkout/.venv/bin:$PATH" COLUMNS=200 molecule test --scenario-name "$1" 2>&1 | tee "$log"; then
        mv "$log" "$log.failed"
        return 1
    fi
}

plain() {
    # Molecule frames and colours what it passes on.
    sed -e 's/\x1b\[[0-9;]*m//g' -e 's/^ *│ \{0,1\}//' "$1"
}

closing() {
    local log name
    for log in "$logs"/scenario-*.log*; do
        [ -e "$log" ] || continue
        name=${log##*/scenario-}
        printf '%-14s %s\n' "${name%.log*}" "$(plain "$log" | grep -aE '^=+ .* in [0-9.]+s' | tail -n 1 | tr -d = || true)"
        if [ "$log" != "${log%.failed}" ]; then
            plain "$log" | grep -aE '^(FAILED|ERROR) |^fatal: ' | sort -r | cut -c 1-300 | head -n 20 || true
            plain "$log" | grep -aE '^E  ' | cut -c 1-200 | head -n 20 || true
        fi
    done
}

case ${1-} in
    test) run "$2" ;;
    closing) closing ;;
    *) sed -n 's/^# \(scenario\.sh\)/\1/p' "$0" >&2; exit 2 ;;
esac
