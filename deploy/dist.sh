#!/usr/bin/env bash
# deploy/dist.sh — a tarball of this version that runs wherever it is unpacked: programs, the part for MPI, pages, the demo model, and
# the libraries they need but for those of libc and MPI, which belong to the machine.
#
# The same source on the same Debian gives the same bytes, whatever folder it lies in and whenever it is made.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
    cat <<TXT
deploy/dist.sh [x86_64|aarch64]     writes build/dist/gemmapipe-VERSION-linux-ARCH.tar.gz and its SHA-256
  For another machine than this one: gcc-aarch64-linux-gnu, and what deploy/sysroot.sh brings.
TXT
}

arch=${1:-$(uname -m)}
case $arch in
    x86_64 | aarch64) ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
esac
out=build/dist
objects=$out/$arch-build
export LC_ALL=C TZ=UTC
unset CFLAGS CPPFLAGS LDFLAGS MAKEFLAGS MFLAGS MAKELEVEL
version=$(sed -n 's/.*GEMMAPIPE_VERSION "\(.*\)"/\1/p' base/version.h)
# The day of the version in the changelog: known without git too.
: "${SOURCE_DATE_EPOCH:=$(date -d "$(sed -n "s/^## $version, //p" CHANGELOG.md)" +%s)}"
name=gemmapipe-$version-linux-$arch
stage=$out/$name
compiler=${CC:-gcc}
cross=()
if [ "$arch" != "$(uname -m)" ]; then
    root=${SYSROOT:-$PWD/build/sysroot-$arch}
    [ -d "$root/usr/include" ] || deploy/sysroot.sh "$arch" "$root"
    compiler="$arch-linux-gnu-gcc --sysroot=$root"
    libraries=$root/usr/lib/$arch-linux-gnu
    export PKG_CONFIG_LIBDIR=$libraries/pkgconfig:$root/usr/share/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root
    cross=(PKG_CONFIG_SYSROOT_DIR="$root")
else
    libraries=/usr/lib/$arch-linux-gnu
fi

rm -rf "$stage"
make -s -j"$(nproc)" B="$objects" CC="$compiler" CFLAGS=-O2 \
    LDFLAGS="-s -Wl,--disable-new-dtags,-rpath,'\$\$ORIGIN/../lib/gemmapipe' -Wl,-rpath-link,$libraries" "${cross[@]}" all
make -s B="$objects" CC="$compiler" DESTDIR="$PWD/$stage" PREFIX= "${cross[@]}" install

# What is needed, and what that needs in turn.
needed() { readelf -d "$@" 2>/dev/null | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort -u; }
declare -A taken
take() {
    local library path
    for library in $(needed "$@"); do
        case $library in ld-linux* | libc.so.* | libm.so.* | libpthread.so.* | libdl.so.* | librt.so.* | libresolv.so.*) continue ;; esac
        [ -z "${taken[$library]:-}" ] || continue
        taken[$library]=1
        path=$({ find "$libraries" "${root:-}/lib/$arch-linux-gnu" -name "$library" -print -quit 2>/dev/null || true; } | head -1)
        [ -n "$path" ] || { echo "dist: $library is nowhere in $libraries" >&2; exit 1; }
        install -m 644 "$path" "$stage/lib/gemmapipe/$library"
        take "$path"
    done
}
take "$stage"/bin/*
deploy/licenses.py "$version" "$arch" "$SOURCE_DATE_EPOCH" "$stage"

tar -C "$out" --sort=name --owner=0 --group=0 --numeric-owner --mode=u+rwX,go+rX,go-w --mtime="@$SOURCE_DATE_EPOCH" -cf - "$name" |
    gzip -9n >"$out/$name.tar.gz.part"
mv "$out/$name.tar.gz.part" "$out/$name.tar.gz"
(cd "$out" && sha256sum "$name.tar.gz" | tee "$name.tar.gz.sha256")
rm -rf "$stage"
