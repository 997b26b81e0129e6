#!/usr/bin/env bash
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
#
# scenario.sh test NAME: one Molecule scenario whole; what it prints is kept in tests/output/, too.
# scenario.sh closing: how each of them ended, by its test runner's last line; of those that failed, which tests or tasks did and why.
set -euo pipefail

checkout=$(cd "$(dirname "$0")/.." && pwd)
logs=$checkout/tests/output
mkdir -p "$logs"

run() {
    PATH="$checkout/.venv/bin:$PATH" molecule test --scenario-name "$1" 2>&1 | tee "$logs/scenario-$1.log"
}

plain() {
    # Molecule frames and colours what it passes on.
    sed -e 's/\x1b\[[0-9;]*m//g' -e 's/^ *│ \{0,1\}//' "$1"
}

closing() {
    local log name
    for log in "$logs"/scenario-*.log; do
        [ -e "$log" ] || continue
        name=${log##*/scenario-}
        printf '%-14s %s\n' "${name%.log}" "$(plain "$log" | grep -aE '^=+ .*(passed|failed|error|no tests).* =+$' | tail -n 1 || true)"
        plain "$log" | grep -aE '^(FAILED|ERROR) |^E  |^fatal: ' | cut -c 1-400 | head -n 40 || true
    done
}

case ${1-} in
    test) run "$2" ;;
    closing) closing ;;
    *) sed -n 's/^# \(scenario\.sh\)/\1/p' "$0" >&2; exit 2 ;;
esac
