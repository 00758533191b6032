#!/usr/bin/python3
# turn: 1 (tests/run)
"""Layers packed once, in a cache or by `split --packed`, and mapped from then on: the same bits with and without, nothing that is damaged
is computed from, and what is not used for the longest time goes first."""
import glob
import os
import re
import shutil
import time

from relay import DEMO, EMULATED, GEMMAPIPE, PARTITION, ROOT, Workers, claim, finish, first_text, good, mpirun, need, path, run, start, wait

ENCODER = os.path.join(ROOT, "models/demo/demo-mmproj-f16.gguf")
SEES = ["--mmproj", ENCODER, "--image", os.path.join(ROOT, "models/demo/picture.png")]
PICTURE = [*SEES, "Describe the picture."]


def ask(*options, before=()):
    status, out, err = run(*before, GEMMAPIPE, "run", "--model", DEMO, "--temp", 0, "-n", 12, "--fingerprint", "--verbose", *options)
    need(status == 0, err[-800:])
    return out.splitlines()[-1], err


def kept(cache):
    return sorted(glob.glob(os.path.join(cache, "*.panels")))


def one_byte(file, at=100):
    """Another byte, and the same time of writing."""
    st = os.stat(file)
    with open(file, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 16]))
    os.utime(file, ns=(st.st_atime_ns, st.st_mtime_ns))


def same_bits():
    want, _ = ask(*PICTURE)
    cache = path("same")
    for workers in (["--here", 1], ["--workers", 1], ["--workers", 2], ["--workers", 3, "--whole-head"], ["--workers", 2, "--vision-type", "q8_0"]):
        want_of = ask(*workers, *PICTURE)[0] if "q8_0" in workers else want
        for again in range(2):
            got, err = ask(*workers, "--cache", cache, *PICTURE)
            need(got == want_of, "%r, run %d: %s, wanted %s" % (workers, again, got, want_of))
            held = re.findall(r"(\d+) of (\d+) tensors are held", err)
            need(again == 0 or all(a == b for a, b in held), "run %d: %r" % (again, held))
    for _ in range(2):
        need(ask("--cache", path("mpi"), *PICTURE, before=mpirun(3))[0] == want, "under mpirun")
    need(len(kept(path("mpi"))) >= 14, "the ranks keep %d files" % len(kept(path("mpi"))))


def sent_once():
    cache = path("sent")
    for again in range(2):
        with Workers(2, "--no-file", "--cache", cache) as w:
            _, err = ask(*w.connect, "Count.")
            had = re.findall(r"has (\d+) of its (\d+) tensors", err)
            need(len(had) == 2 and all((a == b) == (again == 1) for a, b in had), "%r" % had)
    one, other = path("carried"), path("kept")
    good(PARTITION, "split", DEMO, "--layers", "4,4", "--packed", "-o", one)
    ask("--split", "4,4", "--cache", other, "Count.")
    files = [{open(f, "rb").read() for f in names} for names in (glob.glob(one + "/*/*.panels"), kept(other))]
    need(len(files[0]) == 9 and files[0] == files[1], "the two forms differ")


def packed_shards():
    want, _ = ask("Count.")
    shards = path("shards")
    good(PARTITION, "split", DEMO, "--layers", "4,4", "--packed", "-o", shards)
    folders = sorted(f for f in glob.glob(shards + "/*") if os.path.isdir(f))

    def with_shards(*options):
        with Workers(1, "--no-file", "--shard", folders[0]) as a, Workers(1, "--no-file", "--shard", folders[1]) as b:
            both = ["--connect", a.connect[1] + "," + b.connect[1]]
            return run(GEMMAPIPE, "run", "--model", DEMO, *both, "--temp", 0, "-n", 12, "--fingerprint", "--verbose", *options, "Count.",
                       env={"XDG_CACHE_HOME": path("no-hashes-known")})

    for split, all_there in (("4,4", True), ("3+8,5+8", False)):
        status, out, err = with_shards("--split", split)
        had = re.findall(r"has (\d+) of its (\d+) tensors", err)
        need(status == 0 and out.decode().split()[-1] == want.decode().split()[-1], "%s: %d %s" % (split, status, err[-500:]))
        need(all(a == b for a, b in had) == all_there, "%s: %r" % (split, had))
    one_byte(os.path.join(folders[1], "layer-6.panels"))
    status, out, err = with_shards("--split", "4,4")
    need(status == 3 and "layer-6.panels is damaged" in err and not out, "%d: %s" % (status, err[-500:]))
    one_byte(os.path.join(folders[1], "layer-6.panels"))
    other = path("other.gguf")
    good(PARTITION, "synth", other, "--size", "tiny", "--layers", 8)
    with Workers(1, "--shard", folders[0]) as w:
        good(GEMMAPIPE, "run", "--model", other, *w.connect, "-n", 2, "hi") # of another model: passed over
    return "%d files" % len(glob.glob(shards + "/*/*.panels"))


def damaged():
    cache = path("damaged")
    want, _ = ask("--cache", cache, "Count.")
    whole = {f: open(f, "rb").read() for f in kept(cache)}
    file = kept(cache)[0]
    version = len(whole[file]) - 64 + 52
    for what, sentence in ((lambda: one_byte(file), "is damaged"), (lambda: os.truncate(file, 4096), "does not end as packed weights do"),
                           (lambda: os.truncate(file, 3), "too short"), (lambda: one_byte(file, version), "panels 17"),
                           (lambda: shutil.copy(kept(cache)[1], file), "holds other weights"),
                           (lambda: shutil.copy(DEMO, file), "does not end as packed weights do")):
        what()
        got, err = ask("--cache", cache, "Count.")
        need(got == want and err.count("made anew") == 1 and sentence in err and file in err, "%s: %s" % (sentence, err[-600:]))
        need(open(file, "rb").read() == whole[file], "%s: it was not made anew" % sentence)
    need("made anew" not in ask("--cache", cache, "Count.")[1], "what was made anew is refused")


def cut_while_mapped():
    cache = path("cut")
    ask("--cache", cache, "Count.")
    with open(path("questions.txt"), "w") as f:
        f.write("Count from 7 to 15.\n" * (200 if EMULATED else 2000))  # long enough to be lost in the middle
    p = start(GEMMAPIPE, "run", "--model", DEMO, "--workers", 1, "--cache", cache, "--temp", 0, "--prompts", path("questions.txt"))
    first_text(p)
    for f in kept(cache):
        os.truncate(f, 0)
    status, _, err = wait(p, 60, "a run whose weights are gone")
    need(status == 0 and "ended by itself with status 3" in err and "was cut while it was read" in err, "%d: %s" % (status, err[-600:]))


def oldest_go_first():
    cache = path("small")
    models = [path("m%d.gguf" % i) for i in range(3)]
    for i, m in enumerate(models):
        good(PARTITION, "synth", m, "--seed", i + 1)

    def use(i, size):
        return run(GEMMAPIPE, "run", "--model", models[i], "--cache", cache, "--cache-size", size, "-n", 1, "--temp", 0, "hi")[2]

    use(0, "1G")
    first = set(kept(cache))
    size = sum(os.path.getsize(f) for f in first)
    use(1, size * 2)
    second = set(kept(cache)) - first
    need(len(second) == len(first), "%d files beside %d" % (len(second), len(first)))
    foreign = os.path.join(cache, "of-somebody-else.panels")
    open(foreign, "w").close()
    use(0, size * 2)
    use(2, size * 2)
    now = set(kept(cache))
    need(first <= now and not second & now and foreign in now, "%d of the first, %d of the second" % (len(first & now), len(second & now)))
    err = use(1, size // 2) # less than one run has: what it uses itself is not given up
    need("what this run uses fills it" in err and sum(map(os.path.getsize, kept(cache))) <= size // 2, err[-400:])


def verified_again():
    cache = path("boot")
    ask("--cache", cache, "Count.")
    for f in kept(cache):
        os.utime(f)  # a change of time alone
    time.sleep(2.1)
    ask("--cache", cache, "Count.")
    notes = glob.glob(cache + "/*.verified")
    need(len(notes) == len(kept(cache)), "%d notes of %d files" % (len(notes), len(kept(cache))))
    note = open(notes[0]).read()
    with open("/proc/sys/kernel/random/boot_id") as f:
        need(f.read().strip() in note, note)
    for n in notes:
        with open(n, "w") as f:
            f.write(note.replace("boot ", "boot 0"))
    one_byte(notes[0][:-len(".verified")])
    _, err = ask("--cache", cache, "Count.")
    need(err.count("is damaged") == 1, err[-600:])


claim("packed_layers_give_the_same_bits_over_every_kind_of_worker", same_bits)
claim("what_was_sent_once_is_mapped_by_the_next_worker_and_split_writes_the_same_bytes", sent_once)
claim("a_packed_shard_serves_if_it_holds_the_layers_and_one_that_is_damaged_ends_the_run", packed_shards)
claim("a_damaged_foreign_or_cut_file_of_the_cache_is_said_and_made_anew", damaged)
claim("a_mapped_file_that_is_cut_ends_the_worker_with_a_sentence_and_another_goes_on", cut_while_mapped)
claim("of_a_full_cache_what_was_not_used_for_the_longest_time_goes_first", oldest_go_first)
claim("files_are_hashed_once_since_the_machine_started", verified_again)
finish()
