#!/usr/bin/env bash
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
#
# importer.sh: build the collection and let galaxy-importer judge the artifact; a warning counts as a failure.
set -euo pipefail

checkout=$(cd "$(dirname "$0")/.." && pwd)
cache=${MEMLAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/memlab}
mkdir -p "$cache"
work=$(mktemp -d "$cache/importer.XXXXXX")
trap 'rm -rf "$work"' EXIT

"$checkout/.venv/bin/ansible-galaxy" collection build --output-path "$work" "$checkout"
export PATH="$checkout/.venv/importer/bin:$PATH"
export GALAXY_IMPORTER_CHECK_REQUIRED_TAGS=true
cd "$work"
status=0
python -m galaxy_importer.main memlab-testbed-*.tar.gz 2>&1 | tee log || status=$?
if [ "$status" -ne 0 ] || grep -Eq '^(WARNING|ERROR)' log; then
    echo "galaxy-importer is not satisfied: see above" >&2
    exit 1
fi
echo "galaxy-importer: no warnings"
