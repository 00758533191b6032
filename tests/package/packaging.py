"""tests/package/packaging.py — what the tests of this folder share: commands in a known environment, claims, a copy of the source."""
import os, shutil, subprocess

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
B = os.path.abspath(os.environ.get("B", "build"))
DEMO = os.path.abspath("models/demo/demo-q4_0.gguf")
ASK = ["--temp", "0", "What is 12 + 9?"]
ANSWER = "12 + 9 = 21."
LONG = os.environ.get("LONG") == "1"
env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "GEMMAPIPE_MPI")}
env.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", GEMMAPIPE_NO_PROBE="1")
env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"  # Open MPI's own are not looked for
failed = []


def call(*words, **more):
    """(exit status, stdout and stderr)"""
    p = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, env=dict(env, **more))
    return p.returncode, p.stdout


def claim(name, holds, seen=""):
    if not holds:
        print("  " + str(seen)[-2000:].replace("\n", "\n  "))
        failed.append(name)
    print(("ok " if holds else "FAIL ") + name, flush=True)


def answers(name, *words, **more):
    code, said = call(*words, *ASK, **more)
    claim(name, code == 0 and ANSWER in said, said)


def copy_of_the_source(copy):
    shutil.copytree(".", copy, ignore=lambda at, names: [n for n in names if at == "." and n in ("build", ".git", ".cache", "shared")])
    return copy
