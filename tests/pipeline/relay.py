"""What the pipeline tests share: programs, models made on the spot, workers on free ports, claims printed as lines.

A test file calls claim("name", function) and ends with finish(). Every process started here is gone when it ends.
"""
import atexit
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.path.join(ROOT, os.environ.get("B", "build"))
GEMMAPIPE = os.path.join(BUILD, "gemmapipe")
WORKER = os.path.join(BUILD, "gemmapipe-worker")
PARTITION = os.path.join(BUILD, "gemmapipe-partition")
DEMO = os.path.join(ROOT, "models/demo/demo-q4_0.gguf")
PYTHON = "/usr/bin/python3"

FOLDER = tempfile.mkdtemp(prefix="gemmapipe-test-")
_started = []
_failed = 0
_ran = 0

os.environ["XDG_CACHE_HOME"] = os.path.join(FOLDER, "cache")
os.environ.setdefault("GEMMAPIPE_NO_PROBE", "1")  # plans that do not depend on how busy this machine is
os.environ.setdefault("OMPI_ALLOW_RUN_AS_ROOT", "1")
os.environ.setdefault("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")

# What whoever started us ignores, as a shell does for a job behind `&`, is not ignored by what is tested.
for number in (signal.SIGHUP, signal.SIGQUIT): signal.signal(number, signal.SIG_DFL)

# Of the machine that is tested: this one, or the one emulated.
EMULATED = bool(os.environ.get("EMULATOR"))
MACHINE = "aarch64" if EMULATED else os.uname().machine
OPENBLAS = os.path.exists("%s/usr/lib/%s-linux-gnu/libopenblas.so.0" % (os.environ.get("SYSROOT", "") if EMULATED else "", MACHINE))

# How many times as long an emulated program may take, and what waits for it; it takes ten to thirty times as long to compute.
SLOWER = 4 if EMULATED else 1
PATIENCE = 4 * SLOWER # times as long as on a machine that does nothing else


def path(name):
    return os.path.join(FOLDER, name)


def _clean():
    for p in _started:
        if p.poll() is None:
            p.kill()
            p.wait()
    subprocess.run(["rm", "-rf", FOLDER])


atexit.register(_clean)


class Failed(Exception):
    pass


def need(condition, text):
    if not condition:
        raise Failed(text)


def claim(name, function, *arguments):
    """Runs one claim and prints its line; words on the command line choose claims by name."""
    global _failed, _ran
    wanted = [w for w in sys.argv[1:] if not w.startswith("-")]
    if wanted and not any(w in name for w in wanted):
        return
    _ran += 1
    start = time.time()
    try:
        note = function(*arguments)
        print("ok %s (%.1f s)%s" % (name, time.time() - start, ": " + note if note else ""), flush=True)
    except Failed as e:
        _failed += 1
        print("FAIL %s: %s" % (name, e), flush=True)
    except Exception:
        _failed += 1
        print("FAIL %s\n%s" % (name, traceback.format_exc()), flush=True)


def finish():
    sys.exit(1 if _failed else 0)


def run(*command, env=None, stdin=None, timeout=120):
    """Runs to the end; returns (status, stdout, stderr)."""
    if EMULATED: timeout *= PATIENCE
    e = dict(os.environ, **(env or {}))
    p = subprocess.run([str(c) for c in command], env=e, input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout)
    return p.returncode, p.stdout, p.stderr.decode(errors="replace")


def good(*command, **more):
    status, out, err = run(*command, **more)
    need(status == 0, "%s ended with %d: %s" % (" ".join(map(str, command))[:300], status, err[-600:]))
    return out


def start(*command, env=None, stdin=subprocess.DEVNULL, own_group=False):
    p = subprocess.Popen([str(c) for c in command], env=dict(os.environ, **(env or {})), stdin=stdin, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, start_new_session=own_group)
    _started.append(p)
    return p


def first_text(process):
    """Waits until the program has printed something."""
    if not process.stdout.read(1):
        raise Failed("no text came: %s" % process.stderr.read().decode(errors="replace"))


def wait(process, seconds, what):
    seconds *= PATIENCE
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise Failed("%s had not ended after %d s" % (what, seconds))
    return process.returncode, out, err.decode(errors="replace")


def free_ports(n):
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def kind_for_logins():
    """A line for sshd's file: whoever logs in finds a machine of the kind that is tested, which gets copies of programs."""
    if MACHINE == os.uname().machine: return ""
    os.makedirs(path("bin"))
    with open(path("bin/uname"), "w") as f: f.write('#!/bin/sh\n[ "$*" = -m ] && echo %s || exec /usr/bin/uname "$@"\n' % MACHINE)
    os.chmod(path("bin/uname"), 0o755)
    return "SetEnv PATH=%s:/usr/sbin:/usr/bin:/sbin:/bin\n" % path("bin")


class Workers:
    """n gemmapipe-workers on free loopback ports, for one `with` block."""

    def __init__(self, n, *options, env=None):
        self.addresses = ["tcp://127.0.0.1:%d" % p for p in free_ports(n)]
        self.processes = [start(WORKER, "--listen", a, "--quiet", *options, env=env) for a in self.addresses]
        self.connect = ["--connect", ",".join(self.addresses)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for p in self.processes:
            if p.poll() is None:
                p.send_signal(signal.SIGTERM)
        for p in self.processes:
            wait(p, 10, "a worker told to stop")


class Cable:
    """Passes what comes on to a port of this machine, a connection after another, until something happens to the one of this number: it
    is cut, and no other is let in; it swallows all; a bit of it is turned round. After `most` connections it refuses all others."""

    def __init__(self, to, most=None):
        self.listener, self.open = socket.create_server(("127.0.0.1", 0)), True
        self.address = "tcp://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.to, self.most, self.ends, self.swallows, self.damages = to, most, [], None, None
        threading.Thread(target=self.take, daemon=True).start()

    def take(self):
        while True:
            try:
                near = self.listener.accept()[0]
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.to))
            except OSError:  # nobody listens there, or not yet again
                near.close()
                continue
            self.ends.append((near, far))
            if len(self.ends) == self.most:
                self.close()
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self.pass_on, args=(a, b, near), daemon=True).start()

    def pass_on(self, a, b, near):
        try:
            while data := a.recv(65536):
                if near is self.swallows:
                    continue
                if near is self.damages and len(data) > 100:
                    data = data[:90] + bytes([data[90] ^ 4]) + data[91:]
                    self.damages = None
                b.sendall(data)
        except OSError:
            pass

    def cut(self, number):
        self.close()
        for end in self.ends[number]:
            end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.open = False
        self.listener.shutdown(socket.SHUT_RDWR)  # who waits for the next one wakes
        self.listener.close()

    def cut_all(self):
        self.close()
        for ends in self.ends:
            for end in ends:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        self.ends = []

    def mend(self):
        self.listener = socket.create_server(("127.0.0.1", int(self.address.rsplit(":", 1)[1])))
        self.open = True
        threading.Thread(target=self.take, daemon=True).start()

    def swallow(self, number):
        self.swallows = self.ends[number][0]

    def damage(self, number):
        self.damages = self.ends[number][0]


class Line:
    """Before a worker: bytes come out so much later and no faster. One connection after the other, both ways."""

    def __init__(self, to, delay, bytes_per_second):
        self.to, self.delay, self.rate = to, delay, bytes_per_second
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.address = "tcp://127.0.0.1:%d" % self.listening.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            here, _ = self.listening.accept()
            try:
                there = socket.create_connection(self.to)
            except OSError:  # nobody listens there yet
                here.close()
                continue
            for a, b in ((here, there), (there, here)):
                b.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.way(a, b)

    def way(self, source, sink):
        queue, more = [], threading.Condition()

        def take():
            free = 0.0
            while True:
                try: data = source.recv(8192)
                except OSError: data = b""
                free = max(free, time.monotonic()) + len(data) / self.rate
                with more:
                    queue.append((free + self.delay, data))
                    more.notify()
                if not data: return
                time.sleep(max(0, free - time.monotonic()))

        def give():
            while True:
                with more:
                    while not queue: more.wait()
                    at, data = queue.pop(0)
                time.sleep(max(0, at - time.monotonic()))
                try: sink.sendall(data) if data else sink.shutdown(socket.SHUT_WR)
                except OSError: return
                if not data: return

        threading.Thread(target=take, daemon=True).start()
        threading.Thread(target=give, daemon=True).start()


def mpirun(ranks):
    """Leaks are not looked for: Open MPI has some, in modules it has unloaded by the end, which no suppression can name. What
    we leak ourselves shows over the other links."""
    options = "ASAN_OPTIONS=%s:detect_leaks=0" % os.environ.get("ASAN_OPTIONS", "")
    return ["mpirun", "-n", str(ranks), "--oversubscribe", "--bind-to", "none", "-x", options.replace("=:", "=")]


def synth(name, *options):
    out = path(name)
    if not os.path.exists(out):
        good(PARTITION, "synth", out, *options, timeout=600)
    return out


def fingerprints(out):
    return [line.split()[-1] for line in out.decode(errors="replace").splitlines() if line.startswith("fingerprint")]


def children_of(pid):
    found = []
    for p in os.listdir("/proc"):
        if not p.isdigit():
            continue
        try:
            with open("/proc/%s/stat" % p) as f:
                fields = f.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(p))
    return found


def children_once_there(pid, n):
    end = time.time() + 20 * PATIENCE
    while len(found := children_of(pid)) < n:
        need(time.time() < end, "process %d has %d children and not %d" % (pid, len(found), n))
        time.sleep(0.02)
    return found


def all_gone(pids, seconds=6):
    end = time.time() + PATIENCE * seconds
    while any(alive(p) for p in pids):
        if time.time() > end:
            return False
        time.sleep(0.05)
    return True


def processor_seconds(pid):
    """Of all its threads; 0: it is gone."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
    except OSError:
        return 0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
