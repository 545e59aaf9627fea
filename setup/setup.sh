#!/usr/bin/env bash
# Installs what is missing: Debian's redis-server and PostgreSQL, and a virtual environment for each version of Celery that the tests speak to.
# Run it as often as you like; a second run only looks. Root is needed only when a Debian package is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

command -v go >/dev/null || fail "Go is not installed: install Go 1.26 or later (https://go.dev/dl), then run make setup again"
version=$(go env GOVERSION); version=${version#go}
[ "$(printf '%s\n1.26\n' "$version" | sort -V | head -n 1)" = "1.26" ] || fail "Go $version is too old: Lovage needs Go 1.26 or later"

has_postgres() { command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; }
missing=()
command -v redis-server >/dev/null || missing+=(redis-server)
has_postgres || missing+=(postgresql)
command -v python3 >/dev/null || missing+=(python3)
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
command -v curl >/dev/null || missing+=(curl)
if [ ${#missing[@]} -gt 0 ]; then
  command -v apt-get >/dev/null || fail "these are missing and this is not Debian: ${missing[*]}; install them, then run make setup again"
  [ "$(id -u)" = 0 ] || fail "these Debian packages are missing: ${missing[*]}; run: sudo apt-get install ${missing[*]}"
  say "installing Debian packages: ${missing[*]}"
  # The packages' own services are not wanted: Lovage starts private servers.
  policy=/usr/sbin/policy-rc.d made=
  if [ ! -e "$policy" ]; then printf '#!/bin/sh\nexit 101\n' > "$policy"; chmod +x "$policy"; made=1; fi
  trap '[ -z "$made" ] || rm -f "$policy"' EXIT
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
  say "redis-server, PostgreSQL and Python are there"
fi

for requirements in setup/requirements-celery-*.txt; do
  name=$(basename "$requirements" .txt); name=${name#requirements-}
  venv=.venv/$name
  stamp=$venv/.requirements
  if "$venv/bin/python" -c '' 2>/dev/null && cmp -s "$requirements" "$stamp"; then
    say "$name is there"
    continue
  fi
  say "installing $name from PyPI into $venv"
  rm -rf "$venv"
  python3 -m venv "$venv"
  # Celery 4.4 is built with a setuptools of its time.
  build=(); grep -q '^celery==4' "$requirements" && build=(--no-build-isolation)
  grep -E '^(setuptools|wheel)==' "$requirements" > "$venv/.build" && "$venv/bin/pip" install -q --disable-pip-version-check -r "$venv/.build"
  "$venv/bin/pip" install -q --disable-pip-version-check "${build[@]}" -r "$requirements"
  # Celery 4.4 imports names that Python 3.11 has removed. A .pth file is read in every environment; sitecustomize.py is not: Debian's Python has one of its own.
  if grep -q '^celery==4' "$requirements"; then cp setup/compat/lovage_compat.* "$venv"/lib/python3*/site-packages/; fi
  "$venv/bin/python" -W ignore -c 'import celery, kombu, redis' || fail "$name does not work with $(python3 --version); Lovage's tests are made for the Python 3.11 of Debian 12"
  cp "$requirements" "$stamp"
done
say "ready"
