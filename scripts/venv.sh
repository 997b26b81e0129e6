#!/usr/bin/env bash
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
#
# venv.sh VENV LOCK STAMP: make the virtual environment VENV hold what LOCK names, hashes checked, then touch STAMP.
# PYTHON names the interpreter (default python3). Two calls at once wait for each other.
set -euo pipefail

venv=$1 lock=$2 stamp=$3
python=${PYTHON:-python3}

# A bare Debian lacks the interpreter or its ensurepip.
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    "$(dirname "$0")/apt-install.sh" python3 python3-venv
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "$("$python" --version) is too old: ansible-core 2.19 needs 3.11 or newer; name one with PYTHON=..." >&2
    exit 1
fi

mkdir -p "$venv"
exec 9>"$venv/.lock"
flock 9
if [ "$stamp" -nt "$lock" ]; then
    exit 0  # whoever held the lock has done it
fi
# An interrupted start, or an interpreter that has gone since, leaves an environment that cannot be repaired.
if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    rm -rf "${venv:?}"/{bin,include,lib,lib64,pyvenv.cfg}
    "$python" -m venv "$venv"
fi
echo "Installing $(basename "$lock") into $(basename "$venv")"
"$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-deps --require-hashes -r "$lock"
touch "$stamp"
