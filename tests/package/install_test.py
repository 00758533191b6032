#!/usr/bin/python3
"""tests/package/install_test.py — what is installed answers from where it lies; MPI and ZeroMQ may be missing; one version everywhere.

With LONG=1 (`make test-all`) also the tarballs: the same bytes from two folders, and answers where they are unpacked, that for ARM by an emulator.
timeout: 600"""
import glob, os, re, shutil, sys, tempfile
from packaging import ASK, B, DEMO, LONG, answers, call, claim, copy_of_the_source, failed

MPIRUN = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n"]
SAN = ["SAN=" + os.environ.get("SAN", "")]


def files_below(folder):
    return sorted(os.path.relpath(os.path.join(at, f), folder) for at, _, names in os.walk(folder) for f in names)


def versions():
    version = re.search(r'VERSION "(.*)"', open("base/version.h").read()).group(1)
    said = [call(B + "/" + p, "--version")[1].split() for p in ("gemmapipe", "gemmapipe-worker", "gemmapipe-partition")]
    claim("all_programs_say_one_version", all(s[1:] == [version] for s in said), said)
    newest = re.search(r"^## (\S+), \d{4}-\d\d-\d\d$", open("CHANGELOG.md").read(), re.M).group(1)
    debian = re.match(r"gemmapipe \((\S+)\)", open("debian/changelog").read()).group(1)
    claim("the_changelogs_begin_with_it", newest == debian == version, (newest, debian))


def mpi_is_a_part_of_its_own(folder):
    needed = call("readelf", "-d", B + "/gemmapipe", LC_ALL="C")[1]
    claim("the_program_needs_no_mpi", "NEEDED" in needed and "mpi" not in needed, needed)
    alone = shutil.copy(B + "/gemmapipe", folder + "/gemmapipe")
    code, said = call(alone, "run", "--model", DEMO, *ASK, OMPI_COMM_WORLD_SIZE="2")
    claim("under_mpirun_without_that_part_it_says_what_to_install", code == 2 and "gemmapipe-mpi" in said, said)
    with open(folder + "/other.c", "w") as f: f.write('struct { const char *version; void *rest[3]; } gemmapipe_mpi = {"0.0.9", {0}};\n')
    call("gcc", "-shared", "-fPIC", folder + "/other.c", "-o", folder + "/gemmapipe-mpi.so")
    code, said = call(alone, "run", "--model", DEMO, *ASK, OMPI_COMM_WORLD_SIZE="2")
    claim("a_part_of_another_version_is_refused", code == 3 and "0.0.9" in said and "install both of one version" in said, said)


def built_without(folder):
    """The objects that are there already, and linked anew: what differs is compiled, the rest is not."""
    for library in ("ZMQ", "MPI"):
        less = "%s/no-%s" % (folder, library)
        shutil.copytree(B, less, ignore=lambda at, names: [n for n in names if at == B and n not in ("base", "partition", "transport", "worker", "coordinator")])
        code, said = call("make", "-s", "B=" + less, library + "=0", *SAN, "all")
        claim("it_builds_without_%s_and_no_warning" % library.lower(), code == 0 and "warning" not in said, said)
        claim("then_it_needs_none_of_it_%s" % library.lower(), "lib" + library.lower() not in call("readelf", "-d", less + "/gemmapipe")[1])
        answers("it_answers_without_%s" % library.lower(), less + "/gemmapipe", "run", "--model", DEMO, "--here", "3")
        if library == "MPI": continue
        code, said = call(less + "/gemmapipe", "run", "--model", DEMO, "--workers", "2", *ASK)
        claim("workers_without_zmq_are_refused_in_a_sentence", code == 2 and "--here" in said, said)
        answers("ranks_need_no_zmq", *MPIRUN, "3", less + "/gemmapipe", "run", "--model", DEMO)


def installed(folder):
    to = ["B=" + B, "DESTDIR=" + folder, "PREFIX=/opt/gp", *SAN]
    root = folder + "/opt/gp"
    code, said = call("make", "-s", "install", *to)
    there = files_below(root)
    wanted = ["bin/gemmapipe", "bin/gemmapipe-worker", "bin/gemmapipe-partition", "lib/gemmapipe/gemmapipe-mpi.so", "share/man/man1/gemmapipe.1",
              "share/gemmapipe/demo/demo-q4_0.gguf", "share/doc/gemmapipe/README.md", "share/doc/gemmapipe/LICENSE",
              "share/bash-completion/completions/gemmapipe", "share/fish/vendor_completions.d/gemmapipe.fish", "share/zsh/site-functions/_gemmapipe"]
    claim("make_install_brings_programs_pages_and_the_demo", code == 0 and set(wanted) <= set(there), said + "\n".join(there))
    demo = root + "/share/gemmapipe/demo/demo-q4_0.gguf"
    answers("what_is_installed_answers", root + "/bin/gemmapipe", "run", "--model", demo, "--workers", "2")
    answers("what_is_installed_answers_under_mpirun", *MPIRUN, "3", root + "/bin/gemmapipe", "run", "--model", demo)
    code, said = call("make", "-s", "uninstall", *to)
    claim("make_uninstall_leaves_no_file", code == 0 and not files_below(root), files_below(root))


def tarball(folder):
    made = []
    for at in ("one", "another/place"):
        copy = copy_of_the_source(folder + "/" + at)
        code, said = call(copy + "/deploy/dist.sh")
        made += [copy + "/build/dist/" + f for f in os.listdir(copy + "/build/dist") if f.endswith(".tar.gz")]
        if code or not made: return claim("make_dist_makes_a_tarball", False, said)
    claim("two_folders_give_the_same_bytes", open(made[0], "rb").read() == open(made[1], "rb").read(), made)
    call("tar", "-xzf", made[0], "-C", folder)
    root = folder + "/" + os.path.basename(made[0])[:-len(".tar.gz")]
    answers("the_tarball_answers_where_it_is_unpacked", root + "/bin/gemmapipe", "run", "--model", root + "/share/gemmapipe/demo/demo-q4_0.gguf", "--workers", "3")
    linked = call("ldd", root + "/bin/gemmapipe")[1]
    outside = [l for l in linked.splitlines() if "=> /" in l and root not in l and not re.search(r"lib(c|m|pthread|dl|rt|resolv)\.so", l)]
    claim("it_takes_no_library_of_this_machine_but_libc", not outside, outside)
    claim("it_says_under_which_licences_it_is", "LGPL" in open(root + "/share/doc/gemmapipe/LICENSES.spdx").read())


def tarball_for_arm(folder):
    missing = [w for w in ("aarch64-linux-gnu-gcc", "qemu-aarch64", "apt-get") if not shutil.which(w)]
    if missing: return print("skip the_tarball_for_arm_answers: no " + ", ".join(missing))
    copy, sysroot = copy_of_the_source(folder + "/source"), os.path.abspath("build/sysroot-aarch64")
    code, said = call(copy + "/deploy/dist.sh", "aarch64", SYSROOT=sysroot)
    made = glob.glob(copy + "/build/dist/*-linux-aarch64.tar.gz")
    if code or not made: return claim("make_dist_makes_a_tarball_for_arm", False, said)
    os.mkdir(folder + "/empty")
    call("tar", "-xzf", made[0], "-C", folder + "/empty")
    root, = glob.glob(folder + "/empty/*")
    shutil.rmtree(copy)
    # Of Debian's arm64 files only libc, as the machine has it; what is bundled must do for the rest.
    bare = folder + "/bare"
    os.makedirs(bare + "/lib/aarch64-linux-gnu")
    for wanted in ["ld-linux-aarch64.so.1"] + ["aarch64-linux-gnu/lib%s.so.%s" % tuple(w.split()) for w in ("c 6", "m 6", "pthread 0", "dl 2", "rt 1", "resolv 2")]:
        shutil.copy(sysroot + "/lib/" + wanted, bare + "/lib/" + wanted)
    demo = root + "/share/gemmapipe/demo/"
    answers("the_tarball_for_arm_answers", "qemu-aarch64", "-L", bare, root + "/bin/gemmapipe", "run", "--model", demo + "demo-q4_0.gguf", "--here", "3", GOMP_SPINCOUNT="500")


with tempfile.TemporaryDirectory(prefix="gemmapipe-install-") as folder:
    versions()
    for part in (mpi_is_a_part_of_its_own, built_without, installed) + ((tarball, tarball_for_arm) if LONG else ()):
        os.mkdir(folder + "/" + part.__name__)
        part(folder + "/" + part.__name__)
sys.exit(bool(failed))
