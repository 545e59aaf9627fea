#!/usr/bin/env bash
# Runs every fuzz target of the module, one after the other, for the given time each: setup/fuzz.sh 30s
set -euo pipefail
cd "$(dirname "$0")/.."
each=${1:?how long each, for example 30s}
found=0
for package in $(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./...); do
  folder=.${package#"$(go list -m)"}
  grep -qs '^func Fuzz' "$folder"/*_test.go || continue
  for target in $(grep -hoE '^func Fuzz[A-Za-z0-9_]*' "$folder"/*_test.go | cut -d' ' -f2); do
    found=$((found + 1))
    echo "== $package $target, $each"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$each" -fuzzminimizetime 10x "$package"
  done
done
[ "$found" -gt 0 ] || { echo "fuzz: there is no fuzz target" >&2; exit 1; }
echo "fuzz: $found targets passed"
