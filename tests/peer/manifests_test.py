#!/usr/bin/python3
"""What deploy/ has for containers and Kubernetes: every word of a command line in it is one that the program knows, and the objects are what
the published schemas say (npm's kubernetes-models). With LONG=1 the container's steps are run in a folder of their own (debootstrap), as
no registry of images is needed for that.
timeout: 600
"""
import json
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "pipeline"))
from relay import *

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
CACHE = os.path.join(ROOT, ".cache/kubernetes-models")
CHECK = """
import fs from "fs"; import * as yaml from "js-yaml"; import * as apps from "kubernetes-models/apps/v1"; import * as v1 from "kubernetes-models/v1";
for (const o of yaml.loadAll(fs.readFileSync(process.argv[2], "utf8"))) new ({...apps, ...v1}[o.kind])(o).validate();
"""


def words_of(file):
    """Command lines in a manifest: lists in brackets that name one of the programs."""
    text = open(os.path.join(ROOT, "deploy", file)).read()
    found = []
    for words in re.findall(r"\[((?:\s*\"[^\"]*\",?)+)\s*\]", text):
        words = re.findall(r'"([^"]*)"', words)
        if any(w in ("gemmapipe", "gemmapipe-worker", "serve") for w in words):
            found.append(words)
    return found


def known_options():
    seen = 0
    for file in ("compose.yaml", "kubernetes/workers.yaml", "kubernetes/mpijob.yaml"):
        for words in words_of(file):
            while words and words[0] not in ("gemmapipe", "gemmapipe-worker", "serve"):
                words = words[1:]
            program, rest = ("gemmapipe-worker", words[1:]) if words[0] == "gemmapipe-worker" else ("gemmapipe", words[words[0] == "gemmapipe":])
            command = [GEMMAPIPE + ("-worker" if program == "gemmapipe-worker" else "")] + rest[:program == "gemmapipe"] + ["--help"]
            manual = good(*command).decode()
            for w in rest:
                if w.startswith("--"):
                    need(re.search(r"^ +%s\b" % w, manual, re.M), "%s: %s of %s is no option" % (file, w, " ".join(command[:2])))
                    seen += 1
    need(seen > 15, "only %d options were found" % seen)
    return "%d options" % seen


def by_schema():
    os.makedirs(CACHE, exist_ok=True)
    npm = subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1", "kubernetes-models@4", "js-yaml"], cwd=CACHE,
                         capture_output=True, text=True)
    if npm.returncode:
        return "skipped: npm could not fetch the schemas"
    with open(os.path.join(CACHE, "check.mjs"), "w") as f:
        f.write(CHECK)
    check = lambda file: subprocess.run(["node", "check.mjs", file], cwd=CACHE, capture_output=True, text=True)
    p = check(os.path.join(ROOT, "deploy/kubernetes/workers.yaml"))
    need(p.returncode == 0, p.stderr[-1500:])
    with open(os.path.join(ROOT, "deploy/kubernetes/workers.yaml")) as f, open(path("bad.yaml"), "w") as out:
        out.write(f.read().replace("replicas: 3", "replicas: three"))
    need(check(path("bad.yaml")).returncode != 0, "a wrong object passes")


def container_steps():
    """The lines of the Containerfile, in two folders that debootstrap made; what is copied from stage to stage is copied."""
    if os.environ.get("LONG") != "1" or os.getuid() or not shutil.which("debootstrap"):
        return "skipped: make test-all runs it, as root, with debootstrap"
    build, final = path("build"), path("final")
    os.chmod(FOLDER, 0o755)
    sh = lambda root, line: subprocess.run(["chroot", root, "sh", "-ec", line], capture_output=True, text=True)
    subprocess.run(["debootstrap", "--variant=minbase", "bookworm", build], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cp", "-a", build, final], check=True)
    for root in (build, final):
        shutil.copy("/etc/resolv.conf", root + "/etc/resolv.conf")
        for f in os.listdir("/etc/apt/apt.conf.d"):
            shutil.copy("/etc/apt/apt.conf.d/" + f, root + "/etc/apt/apt.conf.d/")
        if os.path.exists("/etc/apt/sources.list"):
            shutil.copy("/etc/apt/sources.list", root + "/etc/apt/sources.list")
    text = open(os.path.join(ROOT, "deploy/Containerfile")).read().replace("\\\n", " ")
    runs = re.findall(r"^RUN (.*)$", text, re.M)
    need(len(runs) == 2, "%d RUN lines" % len(runs))
    subprocess.run("mkdir -p %s/src && git ls-files -z | tar --null -T - -c | tar -x -C %s/src" % (build, build), shell=True, cwd=ROOT, check=True)
    p = sh(build, "mount -t proc proc /proc; cd /src; " + runs[0] + "; umount /proc")
    need(p.returncode == 0, p.stdout[-1500:] + p.stderr[-1500:])
    p = sh(final, runs[1])
    need(p.returncode == 0, p.stdout[-1500:] + p.stderr[-1500:])
    for names, to in re.findall(r"^COPY --from=build (.*) (\S+)$", text, re.M):
        os.makedirs(final + to, exist_ok=True)
        for n in names.split():
            subprocess.run(["cp", "-a", build + n] + ([final + to] if to.endswith("/") else ["-T", final + to]), check=True)
    p = sh(final, "mount -t proc proc /proc; setpriv --reuid 10001 --clear-groups gemmapipe run --model /usr/local/share/gemmapipe/demo/demo-q4_0.gguf --workers 3 "
                  "--temp 0 --quiet 'What is 3 + 4?'; code=$?; umount /proc; exit $code")
    need(p.stdout == "3 + 4 = 7.\n", p.stdout + p.stderr)


claim("every_option_in_the_manifests_is_one_of_the_program", known_options)
claim("the_objects_of_kubernetes_are_what_the_schemas_say", by_schema)
claim("the_steps_of_the_container_give_programs_that_answer", container_steps)
finish()
