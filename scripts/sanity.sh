#!/usr/bin/env bash
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
#
# sanity.sh [ARGUMENT...]: ansible-test sanity with all its tests, run by the Python of .venv on a copy of the checkout's files.
# Arguments go to ansible-test (e.g. --test pep8).
set -euo pipefail

scripts=$(cd "$(dirname "$0")" && pwd)
checkout=$(dirname "$scripts")
cache=${MEMLAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/memlab}
venv=$checkout/.venv/bin

# Without the binary ansible-test skips its shellcheck test.
if ! command -v shellcheck >/dev/null; then
    "$scripts/apt-install.sh" shellcheck
fi

# ansible-test fetches get-pip by a way of its own, which mirrors and proxies do not serve. What it looks for in its
# cache first is made here from the wheel of that version, which pip fetches and checks.
tools=$HOME/.ansible/test/cache
if ! [ -e "$tools/get_pip_24_2.py" ]; then
    mkdir -p "$tools"
    "$venv/python" -m pip download -qq --disable-pip-version-check --no-deps --require-hashes -r "$scripts/sanity-pip.txt" -d "$tools"
    cp "$scripts/sanity-get-pip.py" "$tools/get_pip_24_2.py"
fi

# ansible-test works only below a real ansible_collections directory.
mkdir -p "$cache"
root=$(mktemp -d "$cache/sanity.XXXXXX")
trap 'rm -rf "$root"' EXIT
tree=$root/ansible_collections/memlab/testbed
mkdir -p "$tree"
cd "$checkout"
git ls-files -z --cached --others --exclude-standard --deduplicate |
    while IFS= read -r -d '' name; do
        # A file removed but not yet committed is still listed.
        if [ -e "$name" ]; then
            printf '%s\0' "$name"
        fi
    done |
    tar --create --null --files-from=- | tar --extract --directory="$tree"

# compile and import run once for every Python found. A shim of pyenv's is found, but will not start below
# ansible-test's own environment, so it sees the interpreters that answer now, and no shims.
mkdir "$root/bin"
if command -v pyenv >/dev/null; then
    PYENV_VERSION=$(pyenv versions --bare --skip-aliases | paste -s -d :)
    export PYENV_VERSION
fi
for version in 3.9 3.10 3.11 3.12 3.13; do
    if python=$("python$version" -c 'import sys; print(sys.executable)' 2>/dev/null); then
        ln -s "$python" "$root/bin/python$version"
    fi
done

cd "$tree"
PATH=$venv:$root/bin:/usr/local/bin:/usr/bin:/bin ansible-test sanity --color no "$@"
