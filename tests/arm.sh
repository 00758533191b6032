#!/usr/bin/env bash
# tests/arm.sh — the tests on a machine that is no ARM: everything is cross-compiled for a 64-bit ARM and runs under qemu's user mode,
# links and pipelines included. Which tests: a part of them, by the number of commits, so that each run of all tests has one; says which.
# timeout: 600
#
#   tests/arm.sh [--all] [WORD…]     --all: every part; WORD as for tests/run
#   SYSROOT   Debian's arm64 libraries (build/sysroot-aarch64; fetched where they are missing)     PART   another part than the commits say
set -euo pipefail
cd "$(dirname "$0")/.."

parts=6
all=
[ "${1:-}" != --all ] || { all=1; shift; }
[ -z "${SAN:-}" ] || { echo "skip the_tests_hold_on_arm: not under sanitizers"; exit 0; }
root=${SYSROOT:-$PWD/build/sysroot-aarch64}
for tool in aarch64-linux-gnu-gcc qemu-aarch64 apt-get; do
    command -v $tool >/dev/null || { echo "skip the_tests_hold_on_arm: $tool is not installed"; exit 0; }
done
[ -e "$root/usr/include/zmq.h" ] || deploy/sysroot.sh aarch64 "$root" >/dev/null ||
    { echo "skip the_tests_hold_on_arm: Debian's arm64 libraries cannot be fetched"; exit 0; }

# This machine's own programs, for pipelines of both; quick where they are there.
export NATIVE=${B:-build}
make -s --no-print-directory -j2 "B=$NATIVE" all
export CC="${CCACHE:-} aarch64-linux-gnu-gcc --sysroot=$root" EMULATOR="qemu-aarch64 -L $root -cpu max" B=build/arm SYSROOT=$root
export PKG_CONFIG_LIBDIR=$root/usr/lib/aarch64-linux-gnu/pkgconfig:$root/usr/share/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root
export OMPI_MCA_btl_vader_single_copy_mechanism=none # emulators do not know how to read another process
export SECCOMP=0                                  # nor filters of system calls
unset TALLY
if [ -n "$all" ]; then
    export WORLDS=${WORLDS:-400} # of two thousand, for which an emulator takes longer than a test may
    exec tests/run "$@"
fi

# The dear ones are spread: a part is built and run in two minutes or so on two cores. Worlds, and pipelines but for one, are in make arm alone.
part_of() {
    case $1 in
        tests/unit/kernels/* | tests/unit/format/* | tests/fuzz/*) echo 0 ;;
        tests/unit/stage/stage_test.c) echo 1 ;;
        tests/unit/stage/* | tests/unit/encoder/*) echo 2 ;;
        tests/unit/engine/*) echo 3 ;;
        tests/unit/plan/*) echo 4 ;;
        tests/unit/* | tests/links/* | tests/pipeline/mixed_test.py) echo 5 ;;
        *) echo none ;;
    esac
}
part=$((${PART:-$(git rev-list --count HEAD 2>/dev/null || echo 0)} % parts))
ONLY=
for t in $(find tests -name '*_test.c' -o -name mixed_test.py | sort); do
    [ "$(part_of "$t")" != $part ] || ONLY+="${t%.c} "
done
echo "part $part of 0 to $((parts - 1)); make arm runs all"
# Quick to compile; what is installed is compiled with -O3 here, and bits do not depend on that.
export ONLY CFLAGS="-O1 -Wno-format-truncation -Wno-alloc-size-larger-than" KERNEL_O=-O1 PLAIN=1
exec tests/run "$@"
