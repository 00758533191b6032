#!/usr/bin/env bash
# deploy/sysroot.sh — Debian's libraries and headers of another architecture, unpacked into a folder for the cross compiler. Changes
# nothing of this machine: apt works with lists and a state of its own.
set -euo pipefail

arch=${1:-} root=${2:-}
case $arch in
    aarch64) debian=arm64 ;;
    x86_64) debian=amd64 ;;
    *) echo "deploy/sysroot.sh aarch64|x86_64 FOLDER" >&2; exit 2 ;;
esac
[ -n "$root" ] || { echo "deploy/sysroot.sh aarch64|x86_64 FOLDER" >&2; exit 2; }
mkdir -p "$root"/apt/{lists,archives}/partial "$root/debs" "$root/dpkg"
root=$(realpath "$root")
: >"$root/dpkg/status"
apt=(-o "APT::Architecture=$debian" -o "APT::Architectures=$debian" -o "Dir::State=$root/apt" -o "Dir::State::status=$root/dpkg/status"
    -o "Dir::Cache=$root/apt" -o APT::Install-Recommends=false -o Debug::NoLocking=1 -qq)
apt-get "${apt[@]}" update
wanted="libc6-dev libzmq3-dev libcjson-dev libedit-dev libstb-dev libxxhash-dev libwebp-dev libmicrohttpd-dev libseccomp-dev libopenmpi-dev libgomp1 libgcc-s1 libstdc++6 libopenblas0-pthread"
# shellcheck disable=SC2086 # a list of words
apt-get "${apt[@]}" install -y --download-only $wanted >/dev/null
mv "$root"/apt/archives/*.deb "$root/debs"
for deb in "$root"/debs/*.deb; do dpkg-deb -x "$deb" "$root"; done
# Debian's own root has these links; packages expect them.
for folder in lib bin sbin; do
    [ -L "$root/$folder" ] || { [ ! -d "$root/$folder" ] || cp -a "$root/$folder/." "$root/usr/$folder/"; rm -rf "${root:?}/$folder"; ln -s "usr/$folder" "$root/$folder"; }
done
# Links to files of the whole system are links within the folder; a linker finds no others.
find "$root" -type l -lname '/*' | while read -r link; do
    ln -sfn "$(realpath -m -s --relative-to="$(dirname "$link")" "$root$(readlink "$link")")" "$link"
done
ln -sfn openblas-pthread/libopenblas.so.0 "$root/usr/lib/$arch-linux-gnu/" # as its package does when it is installed
rm -rf "$root/apt"
