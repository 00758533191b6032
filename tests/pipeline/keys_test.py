#!/usr/bin/python3
"""Links with keys carry the same numbers; strangers of every kind get nothing; and an honest person is told why."""
import ctypes
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

MODEL = synth("tiny.gguf", "--size", "tiny", "--seed", 3)
ASK = ["run", "--model", MODEL, "--raw", "-n", "12", "--temp", "0", "--fingerprint", "hi"]
os.environ["XDG_CONFIG_HOME"] = path("config")  # never the keys of whoever runs the tests


def keys(folder, *words):
    return good(GEMMAPIPE, "keys", *words, "--keys", path(folder)).decode().split()


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
        self.process.wait(10)

    def wait_for(self, words):
        end = time.time() + 10
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

zmq = ctypes.CDLL("libzmq.so.5")
zmq.zmq_ctx_new.restype = zmq.zmq_socket.restype = ctypes.c_void_p
zmq.zmq_socket.argtypes = [ctypes.c_void_p, ctypes.c_int]
zmq.zmq_setsockopt.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t]
zmq.zmq_connect.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
zmq.zmq_send.argtypes = zmq.zmq_recv.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]
zmq.zmq_close.argtypes = [ctypes.c_void_p]
CONTEXT = zmq.zmq_ctx_new()
DEALER, DONTWAIT, LINGER, PLAIN_NAME, PLAIN_WORD, PUBLICKEY, SECRETKEY, SERVERKEY = 5, 1, 17, 45, 46, 48, 49, 50
GREETING = next(bytes.fromhex(l.split()[1]) for l in open(os.path.join(ROOT, "tests/golden/wire.txt")) if l.startswith("GREET "))
PUBLISHED = ("Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID", "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs")


def drawn():
    public, secret = ctypes.create_string_buffer(41), ctypes.create_string_buffer(41)
    zmq.zmq_curve_keypair(public, secret)
    return public.value, secret.value


def of(name):
    return bytes.fromhex(PUBLIC[name]), bytes.fromhex(open(path(name + "/id.key")).read().split()[-1])


class Stranger:
    def __init__(self, address, pair=None, server=None, name=None, message=GREETING):
        self.socket = zmq.zmq_socket(CONTEXT, DEALER)
        zmq.zmq_setsockopt(self.socket, LINGER, struct.pack("i", 0), 4)
        if pair:
            for option, key in ((PUBLICKEY, pair[0]), (SECRETKEY, pair[1]), (SERVERKEY, server)):
                need(zmq.zmq_setsockopt(self.socket, option, key, len(key)) == 0, "libzmq did not take a key")
        if name:
            zmq.zmq_setsockopt(self.socket, PLAIN_NAME, name, len(name))
            zmq.zmq_setsockopt(self.socket, PLAIN_WORD, b"word", 4)
        zmq.zmq_connect(self.socket, address.encode())
        for _ in range(3):
            zmq.zmq_send(self.socket, message, len(message), DONTWAIT)

    def hears(self):
        return zmq.zmq_recv(self.socket, ctypes.create_string_buffer(4096), 4096, DONTWAIT)

    def close(self):
        zmq.zmq_close(self.socket)


class Raw:
    """Bytes on a plain connection; what comes back is at most a greeting and the server's first word, 64 and some 200 bytes."""

    def __init__(self, address, *sent):
        self.socket = socket.create_connection(("127.0.0.1", int(address.split(":")[-1])))
        self.socket.setblocking(False)
        self.got = b""
        for s in sent:
            try:
                self.socket.send(s)
                time.sleep(0.05)
            except OSError:
                break

    def hears(self):
        try:
            while True:
                more = self.socket.recv(65536)
                if not more:
                    break
                self.got += more
        except OSError:
            pass
        return -1 if len(self.got) < 64 + 256 and b"READY" not in self.got else len(self.got)

    def close(self):
        self.socket.close()


def recorded(address):
    """What an honest coordinator sends during its handshake and its greeting."""
    door, sent, ends = socket.create_server(("127.0.0.1", 0)), [], []

    def carry(a, b, keep):
        try:
            while True:
                data = a.recv(65536)
                if not data:
                    break
                if keep:
                    sent.append(data)
                b.sendall(data)
        except OSError:
            pass

    def serve():
        while True:
            try:
                a = door.accept()[0]
            except OSError:
                return
            b = socket.create_connection(("127.0.0.1", int(address.split(":")[-1])))
            ends.extend((a, b))
            threading.Thread(target=carry, args=(a, b, True), daemon=True).start()
            threading.Thread(target=carry, args=(b, a, False), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    honest = Stranger("tcp://127.0.0.1:%d" % door.getsockname()[1], of("alice"), of("bob")[0])
    end = time.time() + 5
    while honest.hears() < 0 and time.time() < end:
        time.sleep(0.02)
    honest.close()
    door.close()
    for e in ends:
        e.close()
    return [s for s in sent if s]


def strangers_get_nothing():
    keys("bob", "trust", "dave", keys("dave", "new")[0])
    PUBLIC["dave"] = keys("dave", "show")[0]
    with Listening("--keys", path("bob")) as b:
        bob = of("bob")[0]
        heard = recorded(b.address)
        need(len(heard) >= 3, "the trusted one was not heard")
        b.wait_for("the run is over")
        keys("bob", "revoke", "dave")
        as_worker = bytearray(GREETING)
        kinds = {
            "no key": Stranger(b.address),
            "a key drawn now": Stranger(b.address, drawn(), bob),
            "a key that was revoked": Stranger(b.address, of("dave"), bob),
            "a trusted key, and another server's": Stranger(b.address, of("alice"), of("carol")[0]),
            "the key of a worker of another run": Stranger(b.address, of("carol"), bob),
            "the key of ZeroMQ's manual": Stranger(b.address, tuple(k.encode() for k in PUBLISHED), bob),
            "a trusted public key without its secret": Stranger(b.address, (of("alice")[0], of("mallory")[1]), bob),
            "a name and a password": Stranger(b.address, name=b"alice"),
            "a trusted key that greets as a worker": Stranger(b.address, of("alice"), bob, message=bytes(as_worker[:32] + b"\2\0" + as_worker[34:])),
            "silence": Raw(b.address),
            "a page asked for": Raw(b.address, b"GET / HTTP/1.1\r\n\r\n" * 50),
            "a handshake that was recorded": Raw(b.address, *heard),
            "an old protocol": Raw(b.address, b"\x01\x00" * 100),
        }
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


# ---- what strangers may send ----

def resident(process):
    with open("/proc/%d/status" % process.pid) as f:
        return next(int(l.split()[1]) for l in f if l.startswith("VmRSS")) >> 10


def greets(mechanism):
    return b"\xff" + b"\0" * 8 + b"\x7f\x03\0" + mechanism.ljust(20, b"\0") + b"\0" * 32


READY = b"\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06DEALER"
MUCH = 250 << 20


def sends_without_end(worker, begin, again):
    """Until it is cut off; then nothing of it is held."""
    before, sent = resident(worker.process), 0
    s = socket.create_connection(("127.0.0.1", worker.port))
    s.settimeout(20)
    s.sendall(begin)
    try:
        while sent < MUCH:
            sent += s.send(b"\0" * (1 << 20) + again)
    except ConnectionError:
        pass
    need(sent < MUCH, "%d MiB were taken" % (sent >> 20))
    until(lambda: resident(worker.process) - before <= 2)
    s.close()


def strangers_take_no_memory():
    """Without keys all may talk; but who was not heard yet is cut off, and 400 who say little keep nobody out."""
    one_large, parts_without_end = b"\x02" + struct.pack(">Q", MUCH), b"\x03" + struct.pack(">Q", 1 << 20)
    with Listening("--keys", path("bob")) as b:
        sends_without_end(b, greets(b"CURVE") + b"\x06" + struct.pack(">Q", MUCH), b"")
    with Listening("--memory", "64M") as b:
        sends_without_end(b, greets(b"NULL") + READY + one_large, b"")
        sends_without_end(b, greets(b"NULL") + READY + parts_without_end, parts_without_end)
        descriptors = lambda: len(os.listdir("/proc/%d/fd" % b.process.pid))
        memory, others = resident(b.process), descriptors()
        many = [socket.create_connection(("127.0.0.1", b.port)) for _ in range(400)]
        for s in many:
            try:
                s.sendall(greets(b"NULL") + READY + one_large + b"\0" * 60000)
            except ConnectionError:  # one of those that were too many
                pass
        until(lambda: resident(b.process) - memory >= 12)  # it has heard most of what it lets them say
        until(lambda: descriptors() <= others + 260)
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
claim("strangers_take_no_memory", strangers_take_no_memory)
claim("keys_change_no_number", same_fingerprint)
claim("strangers_get_nothing", strangers_get_nothing)
claim("who_calls_proves_its_key_too", who_calls_proves_its_key_too)
claim("the_honest_are_told_why", the_honest_are_told_why)
claim("a_key_may_be_trusted_while_its_owner_waits", a_key_may_be_trusted_while_it_waits)
claim("files_that_others_may_touch_are_refused", files_that_others_may_touch_are_refused)
finish()
