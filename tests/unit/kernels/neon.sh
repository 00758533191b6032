#!/bin/sh
# tests/unit/kernels/neon.sh — the NEON kernels against ref.c on a machine that is no ARM: cross-compiles the kernels, a
# stage of the picture encoder and their four tests, and runs them under qemu's user mode. Prints what the tests print,
# a line a claim; skips where the tools
# are missing.
#
#   tests/unit/kernels/neon.sh [WORD…]      only claims whose name holds a word
#   NEON_CC  the compiler, aarch64-linux-gnu-gcc     QEMU  the emulator with its options     B  where to build
set -eu
cd "$(dirname "$0")/../../.."
CC=${NEON_CC:-aarch64-linux-gnu-gcc}
QEMU=${QEMU:-qemu-aarch64 -L /usr/aarch64-linux-gnu -cpu max}
out=${B:-build}/neon

for tool in "$CC" "${QEMU%% *}"; do
    command -v "$tool" >/dev/null || { echo "skip neon_equals_ref_under_qemu: $tool is not installed"; exit 0; }
done

# Only what they need: memory.c for act_bytes, without the model files it also speaks of (sections are dropped).
sources="base/error base/clock tests/support/check partition/format/panels partition/format/blocks partition/model/memory
         worker/kernels/acts partition/format/pack worker/kernels/ref worker/kernels/ref_vision worker/kernels/blas worker/kernels/rope worker/kernels/dispatch
         worker/kernels/neon worker/kernels/neon_dot worker/kernels/neon_i8mm
         base/threads base/cgroup base/hash partition/model/vision_config partition/model/vision_memory partition/model/vision_weights partition/model/part partition/model/weights
         partition/format/quantize partition/format/quantize_q6
         base/mapped base/whole_file base/disk base/inputs base/log base/size_text base/plain_text base/utf8_read partition/file/packed_file partition/file/verified
         worker/weights/region worker/weights/weight worker/weights/held_weights worker/weights/packed_store worker/encoder/vision worker/encoder/vision_attention"
warn="-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes"
flags="-std=gnu11 -O2 $warn -ffp-contract=off -fopenmp -ffunction-sections -I."
# libxxhash is there for this machine only; its header can stand for it.
mkdir -p "$out/include"
for header in xxhash.h xxh3.h; do [ ! -e /usr/include/$header ] || ln -sf /usr/include/$header "$out/include/"; done
compile() {
    extra=
    case $1 in
        */neon) extra="-O3" ;;
        */neon_dot) extra="-O3 -march=armv8.2-a+dotprod" ;;
        */neon_i8mm) extra="-O3 -march=armv8.2-a+dotprod+i8mm" ;;
        base/hash) extra="-isystem $out/include -DXXH_INLINE_ALL" ;;
    esac
    # shellcheck disable=SC2086
    $CC $flags $extra -c "$1.c" -o "$out/$(basename "$1").o"
}

# Two at a time, the kernels beside the rest: they take longest. No -g, which would double that.
tests="tests/unit/kernels/kernels_test tests/unit/kernels/kernels_truth_test tests/unit/kernels/vision_kernels_test tests/unit/encoder/vision_test"
objects=
rest=
for s in $sources; do objects="$objects $out/$(basename "$s").o"; done
for s in $sources $tests; do case $s in */neon*) ;; *) rest="$rest $s" ;; esac; done
(for s in worker/kernels/neon worker/kernels/neon_dot; do compile "$s"; done) &
for s in $rest worker/kernels/neon_i8mm; do compile "$s"; done
wait $!

status=0
for t in kernels_test kernels_truth_test vision_kernels_test vision_test; do
    # shellcheck disable=SC2086
    $CC -fopenmp -Wl,--gc-sections $objects "$out/$t.o" -lm -o "$out/$t"
    [ $# -gt 0 ] || [ $t != vision_test ] || set -- same # how a picture is cut is not the emulator's affair
    $QEMU "$out/$t" "$@" || status=1
done
exit $status
