#!/usr/bin/python3
"""What others do to the files of a run: a sentence that names it and status 3, never a signal, a wait without
end, or an answer from half of this and half of that."""
import os
import shutil

from relay import *

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


claim("a_model_that_is_cut_under_a_run_ends_it_with_status_3", changed_under_a_run, cut, "it was cut while it was read")
claim("so_does_one_that_is_overwritten", changed_under_a_run, overwrite, "was written to since it was opened")
claim("one_that_is_replaced_by_renaming_does_not", replaced_under_a_run)
finish()
