#!/usr/bin/python3
"""Several hosts, each a network namespace with a name and an address (tests/support/hosts.sh): `gemmapipe up` with a real sshd on each, mpirun
over them by an agent for its logins, and the job script for PBS. Needs root; skips where something is missing.
timeout: 300
"""
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.dirname(__file__))
from relay import *

HOSTS = os.path.join(ROOT, "tests/support/hosts.sh")
ADDRESSES = ["10.98.0.%d" % i for i in (1, 2, 3)]
ANSWER = "3 + 4 = 7.\n"
os.environ["HOSTS"] = "gp%d" % (os.getpid() % 1000000)


def on(host, *command):
    return [HOSTS, "on", str(host), *command]


def start_logins():
    """An sshd on each host, with a home for each; who may log in is this test."""
    for name in ("host", "me"):
        good("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path(name))
    shutil.copy(path("me.pub"), path("authorized"))
    os.makedirs("/run/sshd", exist_ok=True)
    with open(path("ssh_config"), "w") as config, open(path("known"), "w") as known:
        for i, a in enumerate(ADDRESSES):
            os.makedirs(path("home%d" % i))
            known.write("%s %s" % (a, open(path("host.pub")).read()))
            config.write("Host %s\n  User root\n  IdentityFile %s\n  UserKnownHostsFile %s\n  SetEnv XDG_STATE_HOME=%s XDG_CACHE_HOME=%s XDG_CONFIG_HOME=%s\n"
                         % (a, path("me"), path("known"), *[path("home%d" % i)] * 3))
    kind = kind_for_logins()
    for i, a in enumerate(ADDRESSES):
        with open(path("sshd%d" % i), "w") as f:
            f.write(kind + "ListenAddress %s\nHostKey %s\nPidFile none\nAuthorizedKeysFile %s\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"
                    "AcceptEnv XDG_CACHE_HOME XDG_STATE_HOME XDG_CONFIG_HOME\n" % (a, path("host"), path("authorized")))
        start(*on(i + 1, "/usr/sbin/sshd", "-D", "-e", "-f", path("sshd%d" % i)))
    for a in ADDRESSES:
        for _ in range(100):
            if run(*on(1, "ssh", "-F", path("ssh_config"), a, "true"))[0] == 0:
                break
            time.sleep(0.1)


def by_ssh():
    start_logins()
    os.environ.update(GEMMAPIPE_SSH="ssh -F " + path("ssh_config"), XDG_CONFIG_HOME=path("own"))
    scanned = json.loads(good(*on(1, GEMMAPIPE, "up", "--scan", ",".join(ADDRESSES))))["workers"]
    names = [w["name"] for w in scanned]
    need(names == [os.environ["HOSTS"] + str(i) for i in (1, 2, 3)], names)
    with open(path("c.json"), "w") as f:
        json.dump({"workers": [{**w, "memory": "1G", "threads": 1} for w in scanned]}, f)
    try:
        out = good(*on(1, GEMMAPIPE, "up", path("c.json"))).decode()
        need(out.count(" ready ") == 3 and all(a in out for a in ADDRESSES), out)
        answer = good(*on(1, GEMMAPIPE, "run", "--model", DEMO, "--cluster", path("c.json"), "--temp", "0", "--quiet", "What is 3 + 4?")).decode()
        need(answer == ANSWER, answer)
        out = good(*on(1, GEMMAPIPE, "status", path("c.json"))).decode()
        need(out.count(" ready ") == 3 and out.count("layer") == 3, out)
    finally:
        out = good(*on(1, GEMMAPIPE, "down", path("c.json"))).decode()
    need(out.count("stopped") == 3, out)


def by_mpirun():
    """The workers say the names of their machines, so it is seen that each was another host's."""
    with open(path("hostfile"), "w") as f:
        f.write("".join("%s slots=%d\n" % (a, 2 if a == ADDRESSES[0] else 1) for a in ADDRESSES))
    status, out, err = run(*on(1, os.path.join(ROOT, "deploy/mpi.sh"), "-n", "4", "-f", path("hostfile"), "-i", "10.98.0.0/24", "-r", HOSTS + " rsh", "run",
                             "--model", DEMO, "--temp", "0", "--report-json", path("report"), "What is 3 + 4?"), env={"GEMMAPIPE_BIN": BUILD})
    need(status == 0 and out.decode().endswith(ANSWER), "%d %s %s" % (status, out, err))
    report = open(path("report")).read()
    need(all(os.environ["HOSTS"] + str(i) in report for i in (1, 2, 3)), report[:2000])


def by_pbs():
    with open(path("nodes"), "w") as f:
        f.write("".join(a + "\n" for a in (ADDRESSES[0], *ADDRESSES)))
    with open(path("prompts"), "w") as f:
        f.write("What is 3 + 4?\nOpposite of hot?\n")
    job = {"PBS_NODEFILE": path("nodes"), "PBS_O_WORKDIR": ROOT, "RSH": HOSTS + " rsh", "NETWORK": "10.98.0.0/24", "MODEL": DEMO, "PROMPTS": path("prompts"),
           "MORE": "--temp 0", "NCPUS": "1", "GEMMAPIPE_BIN": BUILD}
    copy = shutil.copy(os.path.join(ROOT, "deploy/pbs.sh"), path("spooled"))
    status, out, err = run(*on(1, copy), env=job)
    need(status == 0 and ANSWER + "The opposite of hot is cold.\n" in out.decode(), "%d %s %s" % (status, out, err))
    good("bash", "-n", copy)
    need(run(copy)[0] == 2, "without a node file it goes on")


missing = [w for w in ("ip", "unshare", "ssh-keygen", "mpirun") if not shutil.which(w)] + ([] if os.path.exists("/usr/sbin/sshd") else ["sshd"])
if missing or os.getuid():
    print("skip pipelines_over_three_hosts: " + ("no " + ", ".join(missing) if missing else "not root"))
elif run(HOSTS, "up", "3")[0]:
    run(HOSTS, "down")
    print("skip pipelines_over_three_hosts: no network namespaces here")
else:
    try:
        claim("up_starts_workers_on_three_hosts_each_with_its_own_sshd", by_ssh)
        claim("mpirun_starts_ranks_on_three_hosts_by_an_agent", by_mpirun)
        claim("the_job_script_for_pbs_starts_a_rank_for_each_line_of_its_node_file", by_pbs)
    finally:
        run(HOSTS, "down")
    finish()
