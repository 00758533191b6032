#!/usr/bin/python3
"""What others do to the files of a run, and what is no file: a sentence that names it and status 3, never a signal, a wait without
end, or an answer from half of this and half of that."""
import os
import re
import shutil
import signal
import subprocess
import time

from relay import *

MMPROJ = os.path.join(ROOT, "models/demo/demo-mmproj-f16.gguf")
PICTURE = os.path.join(ROOT, "models/demo/picture.png")
WAYS = ([], ["--workers", "2"])
MODEL = synth("some.gguf", "--size", "270m", "--seed", 3)
LONG = ["--raw", "--temp", 0, "-n", 3000, "--quiet", "hi"]  # a minute; what is changed ends it at its next token


def cut(file):
    os.truncate(file, 4096)


def overwrite(file):
    with open(file, "r+b") as f:
        f.write(bytes(os.path.getsize(file)))


def changed_under_a_run(change, words):
    for way in WAYS:
        name = path("changes.gguf")
        shutil.copy(MODEL, name)
        p = start(GEMMAPIPE, "run", "--model", name, *way, *LONG)
        first_text(p)
        change(name)
        status, _, err = wait(p, 30, "a run whose model was changed")
        need(status == 3 and words in err and name in err, "status %d: %s" % (status, err))
        os.remove(name)


def replaced_under_a_run():
    name = path("replaced.gguf")
    shutil.copy(MODEL, name)
    p = start(GEMMAPIPE, "run", "--model", name, "--raw", "--temp", 0, "-n", 40, "--quiet", "hi")
    first_text(p)
    shutil.copy(DEMO, path("other.gguf"))
    os.rename(path("other.gguf"), name)
    status, _, err = wait(p, 30, "a run whose model was replaced")
    need(status == 0, "status %d: %s" % (status, err))


def no_number():
    """An infinite scale in the middle of a matrix."""
    name = path("no-number.gguf")
    shutil.copy(DEMO, name)
    said = good(PARTITION, "inspect", name, "--tensors").decode()
    at = int(re.search(r"blk.6.ffn_up\.weight .* bytes at (\d+)", said).group(1))
    with open(name, "r+b") as f:
        f.seek(at + 500 * 18)
        f.write(b"\x00\x7c")
    for way in WAYS:
        status, out, err = run(GEMMAPIPE, "run", "--model", name, *way, "--temp", 0, "hi")
        said = "ffn_up of layer 6 is damaged" in err and "no finite number" in err
        need(status == 3 and not out and said, "status %d: %s" % (status, err))
    for file, word in ((name, "tensor blk.6.ffn_up.weight is damaged"), (DEMO, "gemmapipe run")):
        said = good(PARTITION, "inspect", file).decode()
        need(word in said, said)


def no_files():
    pipe = path("pipe")
    os.mkfifo(pipe)
    for what, name in ((pipe, "a pipe"), ("/dev/zero", "a device"), (FOLDER, "a folder")):
        run_it = [GEMMAPIPE, "run", "--temp", 0, "-n", 2]
        inspect = [[PARTITION, "inspect", what]] if what != FOLDER else []  # a folder may be a checkpoint
        for command in inspect + [[*run_it, "--model", what, "hi"], [*run_it, "--model", DEMO, "--mmproj", what, "hi"],
                                  [*run_it, "--model", DEMO, "--mmproj", MMPROJ, "--image", what, "hi"],
                                  [*run_it, "--model", DEMO, "--prompts", what],
                                  [PARTITION, "split", what, "--layers", "4,4", "-o", path("s")],
                                  [PARTITION, "quantize", what, path("q.gguf")] if what != FOLDER else inspect and inspect[0]]:
            if not command:
                continue
            status, _, err = run(*command, timeout=20)
            need(status == 3 and str(what) in err and name in err, "%s: status %d: %s" % (command, status, err))
    with Workers(1, "--shard", pipe) as w:
        good(GEMMAPIPE, "run", "--model", DEMO, *w.connect, "-n", 2, "hi")  # it is sent


def interrupted(what, stdin):
    """While it waits for bytes that do not come."""
    p = start(GEMMAPIPE, "run", "--model", DEMO, "--workers", 2, "--temp", 0, *what, stdin=stdin)
    for _ in range(1000 * SLOWER):
        workers = children_of(p.pid)
        if len(workers) == 2:
            break
        time.sleep(0.01)
    need(len(workers) == 2, "no workers came")
    p.send_signal(signal.SIGINT)
    p.wait(20 * PATIENCE)
    out, err = p.stdout.read(), p.stderr.read().decode()
    need(p.returncode == 130 and not out and "interrupted" in err, "status %d: %s" % (p.returncode, err))
    need(all_gone(workers), "workers are left")


def prompts_and_pictures_from_pipes():
    want = good(GEMMAPIPE, "run", "--model", DEMO, "--temp", 0, "What is 3 + 4?")
    for where in "-", "/dev/stdin", "/dev/fd/0":
        got = good(GEMMAPIPE, "run", "--model", DEMO, "--temp", 0, "--prompts", where, stdin=b"What is 3 + 4?\n")
        need(got == want, "%s: %r" % (where, got))
        with open(PICTURE, "rb") as f:
            good(GEMMAPIPE, "run", "--model", DEMO, "--mmproj", MMPROJ, "--image", where, "-n", 2, "hi", stdin=f.read())


claim("a_model_that_is_cut_under_a_run_ends_it_with_status_3", changed_under_a_run, cut, "it was cut while it was read")
claim("so_does_one_that_is_overwritten", changed_under_a_run, overwrite, "was written to since it was opened")
claim("one_that_is_replaced_by_renaming_does_not", replaced_under_a_run)
claim("pipes_devices_and_folders_are_refused_by_name", no_files)
claim("a_weight_that_is_no_number_is_named_by_run_and_inspect", no_number)
claim("interrupted_while_prompts_come_from_stdin_nothing_is_left", interrupted, ["--prompts", "-"], subprocess.PIPE)
claim("nor_while_a_picture_comes_slowly", interrupted, ["--mmproj", MMPROJ, "--image", "/dev/stdin", "hi"], subprocess.PIPE)
claim("what_was_given_as_a_descriptor_may_be_a_pipe", prompts_and_pictures_from_pipes)
finish()
