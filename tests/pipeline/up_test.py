#!/usr/bin/python3
# turn: 0 (tests/run)
"""Workers on other machines: `gemmapipe up`, `status`, `logs`, `down` and `up --scan`, over a real sshd. The machines are three users'
homes on this one, each behind a name of an ssh configuration of the test's own; addresses are 127.0.0.1's.
timeout: 300
"""
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
from relay import *

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
NAMES = ["alpha", "beta", "gamma"]


PORT, *PORTS = free_ports(4)


def keygen(name):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path(name)], check=True)


def start_sshd():
    """Each name logs in as this user, with a home of its own."""
    keygen("host"), keygen("me")
    user = pwd.getpwuid(os.getuid()).pw_name
    for n in NAMES:
        os.makedirs(path("home-" + n), exist_ok=True)
    with open(path("me.pub")) as f, open(path("authorized"), "w") as out:
        out.write(f.read())
    os.chmod(path("authorized"), 0o600)
    with open(path("sshd_config"), "w") as f:
        f.write(kind_for_logins() + "Port %d\nListenAddress 127.0.0.1\nHostKey %s\nPidFile none\nAuthorizedKeysFile %s\nStrictModes no\nUsePAM no\n"
                "PasswordAuthentication no\nPermitRootLogin yes\nAcceptEnv XDG_CACHE_HOME XDG_STATE_HOME XDG_CONFIG_HOME\nLogLevel ERROR\n"
                % (PORT, path("host"), path("authorized")))
    with open(path("known"), "w") as f, open(path("host.pub")) as key:
        f.write("[127.0.0.1]:%d %s" % (PORT, key.read()))
    with open(path("ssh_config"), "w") as f:
        for n in NAMES:
            f.write("Host %s\n  HostName 127.0.0.1\n  Port %d\n  User %s\n  IdentityFile %s\n  UserKnownHostsFile %s\n"
                    "  SetEnv XDG_STATE_HOME=%s XDG_CACHE_HOME=%s XDG_CONFIG_HOME=%s\n" % (n, PORT, user, path("me"), path("known"), *[path("home-" + n)] * 3))
        f.write("Host nowhere\n  HostName 127.0.0.1\n  Port 1\n")
    os.makedirs("/run/sshd", exist_ok=True)
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", path("sshd_config")], stderr=subprocess.DEVNULL)
    for _ in range(100):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", PORT)) == 0:
                return server
        time.sleep(0.05)
    raise AssertionError("no sshd")


os.environ["GEMMAPIPE_SSH"] = "ssh -F " + path("ssh_config")


def cluster(name, names=NAMES, **more):
    workers = [{"address": "tcp://127.0.0.1:%d" % PORTS[NAMES.index(n) if n in NAMES else 2], "name": n, "ssh": n, "memory": "1G", "threads": 1, **more}
               for n in names]
    with open(path(name), "w") as f:
        json.dump({"workers": workers}, f)
    return path(name)


def up(*words, status=0):
    code, out, err = run(GEMMAPIPE, *words)
    need(code == status, "%r ended with %d: %s %s" % (words, code, out, err))
    return out.decode(), err


def running(host="127.0.0.1"):
    """Workers on the ports of this test."""
    found = []
    for p in os.listdir("/proc"):
        try:
            line = open("/proc/%s/cmdline" % p, "rb").read().split(b"\0") if p.isdigit() else []
        except OSError:
            continue
        if any(b"tcp://%s:%d" % (host.encode(), port) in line for port in PORTS) and b"--listen" in line:
            found.append(int(p))
    return found


def whole_life():
    file = cluster("c.json")
    out, err = up("up", file)
    need(out.count(" ready ") == 3 and err.count("copying gemmapipe-worker") == 3 and len(running()) == 3, out + err)
    before = running()
    out, err = up("up", file)
    need(out.count(" ready ") == 3 and "copying" not in err and sorted(running()) == sorted(before), "up again: " + out + err)
    got = json.loads(up("status", file, "--json")[0])
    need([w["state"] for w in got] == ["ready"] * 3 and sorted(w["process"] for w in got) == sorted(before), got)
    answer = good(GEMMAPIPE, "run", "--model", DEMO, "--cluster", file, "--temp", "0", "--quiet", "What is 3 + 4?")
    need(answer == b"3 + 4 = 7.\n", answer)
    out, _ = up("status", file)
    holds = [w["holds"] for w in json.loads(up("status", file, "--json")[0])]
    need(all(h.startswith("layer") for h in holds) and "head" in holds[2] and all(h in out for h in holds), "%r %s" % (holds, out))
    out, _ = up("logs", file, "beta", "--lines", "50")
    need("listening on" in out and out.count("==>") == 1, out)
    up("down", file, "beta")
    need(len(running()) == 2, "down of one left %d" % len(running()))
    out, err = up("status", file, status=7)
    need(out.count(" ready ") == 2 and "1 of 3 workers are not ready" in err, out + err)
    os.kill(running()[0], signal.SIGKILL)
    out, _ = up("status", file, status=7)
    need("ended" in out, out)
    out, _ = up("up", file)
    need(out.count(" ready ") == 3, out)
    out, _ = up("down", file)
    need(out.count("stopped") == 3 and not running(), out)
    out, _ = up("down", file)
    need(out.count("did not run") == 3, out)


def nothing_is_left_behind():
    out, err = up("up", cluster("half.json", ["alpha", "beta", "nowhere"]), status=7)
    need("no login" in out and not running(), out + err)
    held = socket.socket()
    held.bind(("127.0.0.1", PORTS[1]))
    held.listen()
    out, err = up("up", cluster("busy.json", ["alpha", "beta"]), status=7)
    held.close()
    need("failed" in out and "1" in out and not running(), out + err)


def nobody_elses_is_hit():
    file = cluster("one.json", ["alpha"])
    up("up", file)
    pid = running()[0]
    book = subprocess.run(["find", path("home-alpha"), "-name", "pid"], capture_output=True, text=True).stdout.split()[0]
    other = subprocess.Popen(["sleep", "100"])
    said = open(book).read().split()
    open(book, "w").write("%d %s %s\n" % (other.pid, said[1], said[2]))
    out, _ = up("down", file)
    left = running()
    still = other.poll() is None
    other.kill(), other.wait()
    os.kill(pid, signal.SIGTERM)
    need(all_gone([pid]), "the worker stays")
    need("did not run" in out and still and left == [pid], "%s %r %r" % (out, left, pid))


def other_words():
    up("up", cluster("w.json", ["alpha"]))
    out, _ = up("up", cluster("w.json", ["alpha"], threads=2), status=7)
    need("differs" in out and len(running()) == 1, out)
    up("down", path("w.json"))


def hostile_words():
    with open(path("evil.json"), "w") as f:
        json.dump({"workers": [{"address": "tcp://127.0.0.1:%d" % PORTS[0], "ssh": "alpha", "cache": "/tmp/'; touch %s; '" % path("owned"), "program": "$(touch %s)" % path("owned")}]}, f)
    run(GEMMAPIPE, "up", path("evil.json"), "--wait", "2")
    run(GEMMAPIPE, "down", path("evil.json"))
    need(not os.path.exists(path("owned")), "a word of the file was executed")
    for bad in ({"ssh": "-oProxyCommand=x"}, {"ssh": "a b"}, {"program": "--help"}):
        with open(path("bad.json"), "w") as f:
            json.dump({"workers": [{"address": "tcp://127.0.0.1:7001", **bad}]}, f)
        _, err = up("up", path("bad.json"), status=3)
        need(list(bad)[0] in err, err)


def scanned():
    out, err = up("up", "--scan", "alpha,beta,nowhere")
    got = json.loads(out)["workers"]
    need([w["ssh"] for w in got] == ["alpha", "beta"] and all(w["threads"] >= 1 and w["memory"].endswith("M") for w in got) and "nowhere" in err, out + err)
    up("up", "--scan", "nowhere", status=7)
    for words in ((), ("c.json", "x", "y"), ("--scan", "a,,b"), ("--scan", "-x")):
        up("up", *words, status=2)


def interrupted():
    with open(path("slow"), "w") as f:
        f.write("#!/bin/sh\nsleep 60\n")
    os.chmod(path("slow"), 0o755)
    p = start(GEMMAPIPE, "up", cluster("i.json"), env=dict(os.environ, GEMMAPIPE_SSH=path("slow")))
    time.sleep(0.5)
    kids = children_of(p.pid)
    p.send_signal(signal.SIGINT)
    status, _, _ = wait(p, 20, "an interrupted up")
    need(status == 130 and all_gone(kids), "status %d" % status)


def keys_are_exchanged():
    """In a network of its own, where addresses are not loopback's: this script again, with UP_FAR set."""
    p = subprocess.run(["unshare", "-n", "sh", "-c", "ip link set lo up && ip addr add 10.77.0.1/32 dev lo && exec "
                        + os.path.abspath(__file__)], capture_output=True, text=True, env=dict(os.environ, UP_FAR="1"), timeout=120)
    need("ok far" in p.stdout and p.returncode == 0, p.stdout + p.stderr)


def far():
    os.environ["XDG_CONFIG_HOME"] = path("own-config")
    workers = [{"address": "tcp://10.77.0.1:%d" % PORTS[i], "name": n, "ssh": n, "memory": "1G", "threads": 1} for i, n in enumerate(NAMES[:2])]
    with open(path("far.json"), "w") as f:
        json.dump({"workers": workers}, f)
    for again in range(2):
        out, err = up("up", path("far.json"))
        need(out.count(" ready ") == 2, out + err)
    answer = good(GEMMAPIPE, "run", "--model", DEMO, "--cluster", path("far.json"), "--temp", "0", "--quiet", "What is 3 + 4?")
    need(answer == b"3 + 4 = 7.\n", answer)
    for home in ("own-config", "home-alpha"):
        need(oct(os.stat(path(home + "/gemmapipe/id.key")).st_mode)[-3:] == "600", "a key that others may read")
    trusted = open(path("home-alpha/gemmapipe/trusted")).read()
    need(trusted.count("coordinator") == 1, trusted)
    os.environ["XDG_CONFIG_HOME"] = path("stranger")
    good(GEMMAPIPE, "keys", "new")
    status, _, err = run(GEMMAPIPE, "run", "--model", DEMO, "--cluster", path("far.json"), "--wait", "3", "hi")
    need(status in (2, 5), "a stranger: %d %s" % (status, err))
    os.environ["XDG_CONFIG_HOME"] = path("own-config")
    up("down", path("far.json"))


if os.environ.get("UP_FAR"):
    server = start_sshd()
    try:
        claim("far", far)
    finally:
        for pid in running("10.77.0.1"):
            os.kill(pid, signal.SIGKILL)
        server.terminate()
        server.wait()
    finish()
if not os.path.exists(SSHD):
    print("skip workers_are_started_over_ssh: openssh-server is not installed")
else:
    server = start_sshd()
    try:
        claim("workers_are_copied_started_shown_used_and_ended_over_ssh", whole_life)
        claim("an_up_that_fails_leaves_no_worker_behind", nothing_is_left_behind)
        claim("down_ends_nobody_elses_process", nobody_elses_is_hit)
        claim("a_worker_that_runs_with_other_words_is_not_touched", other_words)
        claim("words_of_the_file_are_words_and_never_commands", hostile_words)
        claim("machines_are_scanned_into_a_first_cluster_file", scanned)
        if os.getuid() == 0:
            claim("off_loopback_keys_are_exchanged_over_ssh", keys_are_exchanged)
        claim("an_interrupted_up_ends_the_logins_under_way", interrupted)
    finally:
        for pid in running():
            os.kill(pid, signal.SIGKILL)
        server.terminate()
        server.wait()
    finish()
