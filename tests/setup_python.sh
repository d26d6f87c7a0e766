#!/bin/sh
# Makes the Python environment of the tests and prints the path of its interpreter.
#
#   PYTHON="$(tests/setup_python.sh)"
#
# It lies outside the clone, in ${BACKPLANE_CACHE:-~/.cache/backplane}/venv-HASH, named by the hash of the requirements:
# made once, then found at once. Several callers at a time are safe: each builds its own and the first to finish wins.
set -eu

here="$(cd "$(dirname "$0")" && pwd)"
requirements="$here/oracle/requirements.txt"
data="$here/oracle/requirements-data.txt"
python="${PYTHON3:-python3}"

version="$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
hash="$(cat "$requirements" "$data" | "$python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest()[:16])')"
cache="${BACKPLANE_CACHE:-$HOME/.cache/backplane}"
environment="$cache/venv-$version-$hash"

if [ ! -e "$environment/ready" ]; then
    mkdir -p "$cache"
    building="$environment.$$"
    trap 'rm -rf "$building"' EXIT
    echo "setting up Python for the tests in $environment" >&2
    "$python" -m venv "$building" >&2
    "$building/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements" >&2
    "$building/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$data" >&2
    touch "$building/ready"
    # a virtual environment finds its packages by the place of its interpreter, so that it may be moved
    if ! mv -T "$building" "$environment" 2>/dev/null && [ ! -e "$environment/ready" ]; then
        echo "cannot put the Python environment at $environment: remove that folder and try again" >&2
        exit 1
    fi
fi
echo "$environment/bin/python"
