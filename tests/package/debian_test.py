#!/usr/bin/python3
"""tests/package/debian_test.py — with LONG=1 (`make test-all`): the Debian packages are built, found clean, installed in a root of their own, and the
demo answers there. timeout: 600"""
import os, shutil, sys, tempfile
from packaging import ANSWER, LONG, call, claim, copy_of_the_source, failed

# The root of this machine with a layer over it that is thrown away: dpkg installs for real, and nothing stays.
IN_A_ROOT = """set -e; cd "$0"; mkdir upper work root; mount -t tmpfs none upper; mkdir upper/up upper/work
mount -t overlay overlay -o lowerdir=/,upperdir=upper/up,workdir=upper/work root; mount --rbind /dev root/dev; mount --rbind /sys root/sys; mount -t proc proc root/proc
cp *.deb source/debian/tests/demo* root/tmp; chroot root sh -c 'cd /tmp && dpkg -i ./gemmapipe_*.deb && ! ldd /usr/bin/gemmapipe | grep mpi &&
./demo && dpkg -i ./gemmapipe-mpi_*.deb && ./demo-mpi && man -w gemmapipe'"""


def debian_packages(folder):
    missing = [w for w in ("dh", "lintian", "unshare") if not shutil.which(w)]
    if missing or os.getuid(): return print("skip debian_packages: %s" % ("not root" if os.getuid() else "no " + ", ".join(missing)))
    code, said = call("sh", "-c", 'cd "$0" && dpkg-buildpackage -b -us -uc', copy_of_the_source(folder + "/source"))
    claim("debian_packages_are_built", code == 0, said)
    if code: return
    code, said = call("sh", "-c", 'cd "$0" && lintian --allow-root --fail-on error,warning *.changes', folder)
    claim("lintian_finds_nothing_in_them", code == 0, said)
    code, said = call("sh", "-c", 'cd "$0" && rm -f *dbgsym*', folder)
    code, said = call("unshare", "-m", "sh", "-c", IN_A_ROOT, folder)
    claim("installed_from_the_packages_the_demo_answers_also_under_mpirun", code == 0 and said.count(ANSWER) == 2, said)


if LONG:
    with tempfile.TemporaryDirectory(prefix="gemmapipe-debian-") as folder: debian_packages(folder)
else: print("skip debian_packages: they take minutes; make test-all has them")
sys.exit(bool(failed))
