#!/usr/bin/env bash
# deploy/deps.sh — installs what is needed to build, run and test, on Debian 12 and its relatives.
#
# Quick when everything is there (a dpkg-query, no network), so `make demo` can call it every time. It never guesses:
# where it may not install, it prints the command to type and fails.
set -euo pipefail

usage() {
    cat <<TXT
deploy/deps.sh [--build]      installs the missing packages (as root)
  --build    only what building and running need; without it also what the tests need
TXT
}

build="gcc libc6-dev make pkg-config openmpi-bin libopenmpi-dev libzmq3-dev libcjson-dev libedit-dev libstb-dev libxxhash-dev libwebp-dev libmicrohttpd-dev libseccomp-dev libopenblas0"
# The arm64 cross compiler and emulator hold the NEON kernels to the same bits on an x86-64 machine.
tests="python3 python3-numpy python3-pil qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross openssh-server openssh-client slurmctld slurmd slurm-client munge"

case "${1:-}" in
    "") wanted="$build $tests" ;;
    --build) wanted="$build" ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null; then
    echo "deps: not a Debian machine; install by hand what these packages hold: $wanted" >&2
    exit 1
fi
missing=()
for package in $wanted; do
    status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
    [ "$status" = "install ok installed" ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi
if [ "$(id -u)" -ne 0 ]; then
    echo "deps: not root; run: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
echo "deps: installing ${missing[*]}"
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
