#!/usr/bin/python3
"""Links with keys carry the same numbers; strangers of every kind get nothing; and an honest person is told why."""
import os
import socket
import stat
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(__file__))
from relay import *
from served import until
from strangers import kinds_of, keys, recorded

MODEL = synth("tiny.gguf", "--size", "tiny", "--seed", 3)
ASK = ["run", "--model", MODEL, "--raw", "-n", "12", "--temp", "0", "--fingerprint", "hi"]
os.environ["XDG_CONFIG_HOME"] = path("config")  # never the keys of whoever runs the tests


PUBLIC = {name: keys(name, "new")[0] for name in ("alice", "bob", "carol", "mallory")}
for one, other in (("alice", "bob"), ("alice", "carol"), ("bob", "alice"), ("carol", "alice")):
    keys(one, "trust", other, PUBLIC[other])


class Listening:
    """A worker whose words on stderr are kept."""

    def __init__(self, *options):
        self.port = free_ports(1)[0]
        self.address = "tcp://127.0.0.1:%d" % self.port
        self.process = start(WORKER, "--listen", self.address, *options)
        self.said = self.process.stderr.readline().decode()  # it listens when it has said so
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stderr:
            self.said += line.decode(errors="replace")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10 * PATIENCE)

    def wait_for(self, words):
        end = time.time() + 10 * PATIENCE
        while words not in self.said and time.time() < end:
            time.sleep(0.02)
        need(words in self.said, "\"%s\" is not in: %s" % (words, self.said))


def same_fingerprint():
    plain = fingerprints(good(GEMMAPIPE, *ASK))
    with Listening("--keys", path("bob")) as b, Listening("--keys", path("carol")) as c:
        need(PUBLIC["bob"] in b.said, "the worker did not say its key: " + b.said)
        names = "bob@%s,carol@%s" % (b.address, c.address)
        got = fingerprints(good(GEMMAPIPE, *ASK, "--connect", names, "--keys", path("alice")))
        need(got == plain, "%s is not %s" % (got, plain))
        demo = ["run", "--model", DEMO, "--raw", "-n", "4", "--temp", "0", "--fingerprint", "--micro-batch", "512", "The sea is wide. " * 120]
        whole = fingerprints(good(GEMMAPIPE, *demo))  # rows for the neighbour, whose first words they are, of more than a stranger may send
        need(fingerprints(good(GEMMAPIPE, *demo, "--split", "4,4", "--connect", names, "--keys", path("alice"))) == whole, "with a long prompt")
        cluster = path("cluster.json")
        with open(cluster, "w") as f:
            f.write('{"workers": [{"address": "%s", "key": "bob"}, {"address": "%s", "key": "%s"}]}' % (b.address, c.address, PUBLIC["carol"]))
        need(fingerprints(good(GEMMAPIPE, *ASK, "--cluster", cluster, "--keys", path("alice"))) == plain, "with a cluster file")
        with open("/proc/%d/environ" % b.process.pid, "rb") as f, open("/proc/%d/cmdline" % b.process.pid, "rb") as g:
            secret = open(path("bob/id.key")).read().split()[-1].encode()
            need(secret not in f.read() + g.read(), "the secret key is where all can read it")


def meeting():
    """Workers that are measured call each other with the keys that the coordinator tells them."""
    with Listening("--keys", path("bob")) as b, Listening("--keys", path("carol")) as c:
        names = "bob@%s,carol@%s" % (b.address, c.address)
        good(GEMMAPIPE, "plan", "--model", DEMO, "--connect", names, "--keys", path("alice"), "--probe")
    kept = [os.path.join(folder, f) for folder, _, files in os.walk(os.environ["XDG_CACHE_HOME"]) for f in files if f.endswith(".speed")]
    need(len(kept) == 2 and all('"ways": [[' in open(f).read() for f in kept), "the way from one worker to the other was not measured: %r" % kept)



# ---- strangers ----

def strangers_get_nothing():
    keys("bob", "trust", "dave", keys("dave", "new")[0])
    PUBLIC["dave"] = keys("dave", "show")[0]
    with Listening("--keys", path("bob")) as b:
        heard = recorded(b.address)
        need(len(heard) >= 3, "the trusted one was not heard")
        b.wait_for("the run is over")
        keys("bob", "revoke", "dave")
        kinds = {kind: make() for kind, make in kinds_of(b.address, heard).items()}
        time.sleep(1)
        told = [kind for kind, s in kinds.items() if s.hears() >= 0]
        for s in kinds.values():
            s.close()
        need(not told, "heard something: " + ", ".join(told))
        b.wait_for("gemmapipe keys trust NAME ")
        good(GEMMAPIPE, *ASK, "--connect", "bob@" + b.address, "--keys", path("alice"))
        return "%d kinds" % len(kinds)


# ---- honest people ----

def told(status, words, *command):
    got, _, err = run(GEMMAPIPE, *ASK, *command, "--wait", "2")
    need(got == status and words in err, "status %d, wanted %d with \"%s\": %s" % (got, status, words, err))


def the_honest_are_told_why():
    with Listening("--keys", path("bob")) as b, Listening() as plain:
        cases = [(5, "its links are encrypted and ours are plain", "--connect", b.address),
                 (5, "its links are plain", "--connect", "bob@" + plain.address, "--keys", path("alice")),
                 (5, "its key is another than the one known here", "--connect", "carol@" + b.address, "--keys", path("alice")),
                 (2, "no key is known by the name nobody; gemmapipe keys trust", "--connect", "nobody@" + b.address, "--keys", path("alice")),
                 (2, "is not known by the name 127.0.0.1", "--connect", b.address, "--keys", path("alice")),
                 (3, "gemmapipe keys new makes one", "--connect", b.address, "--keys", path("none")),
                 (3, "gemmapipe keys new makes one", "--connect", "tcp://192.0.2.1:7001"),
                 (2, "exclude each other", "--connect", b.address, "--keys", path("alice"), "--insecure"),
                 (5, "it does not serve the key of this machine", "--connect", PUBLIC["bob"] + "@" + b.address, "--keys", path("mallory"))]
        threads, failed = [], []
        for c in cases:  # each waits for a while, so all at once
            def one(c=c):
                try:
                    told(*c)
                except Failed as e:
                    failed.append(str(e))
            threads.append(threading.Thread(target=one))
            threads[-1].start()
        for t in threads:
            t.join()
        need(not failed, "; ".join(failed))
        b.wait_for(PUBLIC["mallory"])  # the one line that says how to let it in


def a_key_may_be_trusted_while_it_waits():
    with Listening("--keys", path("bob")) as b:
        waiting = start(GEMMAPIPE, *ASK, "--connect", PUBLIC["bob"] + "@" + b.address, "--keys", path("mallory"), "--wait", "20")
        b.wait_for(PUBLIC["mallory"])
        keys("bob", "trust", "mallory", PUBLIC["mallory"])
        status, _, err = wait(waiting, 20, "a coordinator that was trusted late")
        keys("bob", "revoke", PUBLIC["mallory"])
        need(status == 0, err)


def files_that_others_may_touch_are_refused():
    worker = [WORKER, "--listen", "tcp://127.0.0.1:%d" % free_ports(1)[0], "--keys", path("carol")]
    for name, mode, words in (("id.key", 0o640, "so others may read it: chmod 600"), ("id.key", 0o604, "others may read it"),
                              ("trusted", 0o622, "others may change it")):
        file = path("carol/" + name)
        os.chmod(file, mode)
        status, _, err = run(*worker)
        os.chmod(file, 0o600)
        need(status == 3 and words in err and PUBLIC["carol"] not in err, "status %d: %s" % (status, err))
    need(not stat.S_IMODE(os.stat(path("bob/trusted")).st_mode) & 0o022, "others may write a list that was written anew")
    before = open(path("carol/id.key")).read()
    status, _, err = run(GEMMAPIPE, "keys", "new", "--keys", path("carol"))
    need(status == 3 and "is there already" in err and open(path("carol/id.key")).read() == before, err)
    for words in (["trust", "x", "12"], ["trust", "self", PUBLIC["bob"]], ["trust", "a b", PUBLIC["bob"]], ["revoke", "nobody"], ["sing"], []):
        status, _, err = run(GEMMAPIPE, "keys", *words, "--keys", path("carol"))
        need(status == 2 and len(err.strip().splitlines()) == 1, "%s: %d: %s" % (words, status, err))


def a_key_that_root_hands_to_a_group_is_taken():
    if os.getuid():
        return "skipped: only root can hand a key to another user"
    file, as_another = path("handed/id.key"), ["setpriv", "--reuid", "10001", "--regid", "10001", "--clear-groups"]
    keys("handed", "new")
    os.chmod(FOLDER, 0o755)
    os.chmod(path("handed"), 0o755)
    os.chown(file, 0, 10001)
    for mode, wanted in ((0o440, 0), (0o640, 0), (0o444, 3), (0o660, 3)):
        os.chmod(file, mode)
        status, _, err = run(*as_another, GEMMAPIPE, "keys", "show", "--keys", path("handed"))
        need(status == wanted, "mode %04o: status %d: %s" % (mode, status, err))
    os.chmod(file, 0o640)
    need(run(GEMMAPIPE, "keys", "show", "--keys", path("handed"))[0] == 3, "root takes a key that a group may read")


# ---- what strangers may send ----

def resident(process):
    with open("/proc/%d/status" % process.pid) as f:
        return next(int(l.split()[1]) for l in f if l.startswith("VmRSS")) >> 10


def greets(mechanism):
    return b"\xff" + b"\0" * 8 + b"\x7f\x03\0" + mechanism.ljust(20, b"\0") + b"\0" * 32


READY = b"\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06DEALER"
MUCH = 250 << 20


def descriptors(process):
    return len(os.listdir("/proc/%d/fd" % process.pid))


def sends_without_end(worker, begin, again):
    """Until it is cut off, of which the kernel does not always tell who waits for room to send; then nothing of it is held."""
    before, others, sent = resident(worker.process), descriptors(worker.process), 0
    s = socket.create_connection(("127.0.0.1", worker.port))
    s.settimeout(1)
    s.send(begin)
    while sent < MUCH:
        try:
            sent += s.send(b"\0" * (1 << 20) + again)
        except ConnectionError:
            break
        except TimeoutError:
            if descriptors(worker.process) <= others:
                break
    need(sent < MUCH, "%d MiB were taken" % (sent >> 20))
    until(lambda: descriptors(worker.process) <= others and resident(worker.process) - before <= 2)
    s.close()


def strangers_take_no_memory():
    """Without keys all may talk; but who was not heard yet is cut off, and 400 who say little keep nobody out."""
    one_large, parts_without_end = b"\x02" + struct.pack(">Q", MUCH), b"\x03" + struct.pack(">Q", 1 << 20)
    with Listening("--keys", path("bob")) as b:
        sends_without_end(b, greets(b"CURVE") + b"\x06" + struct.pack(">Q", MUCH), b"")
    with Listening("--memory", "64M") as b:
        with socket.create_connection(("127.0.0.1", b.port)) as s:
            s.sendall(greets(b"NULL") + READY)
            need(b"READY" in s.recv(64 + len(READY), socket.MSG_WAITALL), "what strangers say here is no ZMTP")
        sends_without_end(b, greets(b"NULL") + READY + one_large, b"")
        sends_without_end(b, greets(b"NULL") + READY + parts_without_end, parts_without_end)
        memory, others = resident(b.process), descriptors(b.process)
        many = [socket.create_connection(("127.0.0.1", b.port)) for _ in range(400)]
        for s in many:
            try:
                s.sendall(greets(b"NULL") + READY + one_large + b"\0" * 60000)
            except ConnectionError:  # one of those that were too many
                pass
        until(lambda: descriptors(b.process) <= others + 260)
        good(GEMMAPIPE, *ASK, "--connect", b.address, timeout=20)
        grown = resident(b.process) - memory
        need(grown <= 40, "%d MiB for 256 that may send 64 KiB each" % grown)  # libzmq has 36 KiB for each besides, and the run took 4 MiB
        for s in many:
            s.close()


def who_calls_proves_its_key_too():
    """A worker that nobody can connect to is let in by the key that is known of its host, and another one is not."""
    keys("alice", "trust", socket.gethostname(), PUBLIC["bob"])
    for name, ends in (("carol", 5), ("bob", 0)):
        at = "tcp://127.0.0.1:%d" % free_ports(1)[0]
        w = start(WORKER, "--join", at, "--keys", path(name), "--quiet")
        status, out, err = run(GEMMAPIPE, *ASK, "--accept", at, "--keys", path("alice"), "--wait", "2")
        need(status == ends, "%s: status %d: %s" % (name, status, err))
        w.kill()
    need(fingerprints(out) == fingerprints(good(GEMMAPIPE, *ASK)), "other numbers")


claim("workers_with_keys_measure_the_way_between_them", meeting)
if os.environ.get("EMULATOR"): print("skip strangers_take_no_memory: emulators do not say how much came over a connection (TCP_INFO)")
else: claim("strangers_take_no_memory", strangers_take_no_memory)
claim("keys_change_no_number", same_fingerprint)
claim("strangers_get_nothing", strangers_get_nothing)
claim("who_calls_proves_its_key_too", who_calls_proves_its_key_too)
claim("the_honest_are_told_why", the_honest_are_told_why)
claim("a_key_may_be_trusted_while_its_owner_waits", a_key_may_be_trusted_while_it_waits)
claim("files_that_others_may_touch_are_refused", files_that_others_may_touch_are_refused)
claim("a_key_that_root_hands_to_a_group_is_taken", a_key_that_root_hands_to_a_group_is_taken)
finish()
