"""Programs that were not let in, of every kind there is: for the tests of keys, and for what they cost (tests/bench/strangers)."""
import ctypes
import os
import socket
import struct
import threading
import time

from relay import GEMMAPIPE, ROOT, good, need, path

def keys(folder, *words):
    return good(GEMMAPIPE, "keys", *words, "--keys", path(folder)).decode().split()


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
    return bytes.fromhex(keys(name, "show")[0]), bytes.fromhex(open(path(name + "/id.key")).read().split()[-1])


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


def kinds_of(address, heard):
    """Ways to make one of each kind. Known by name: alice, a coordinator, bob, who listens there, carol, another worker, dave, whose key was revoked, and
    mallory, of whom nobody knows. `heard`: what an honest one sent."""
    bob = of("bob")[0]
    as_worker = bytes(GREETING[:32] + b"\2\0" + GREETING[34:])
    pairs = {name: of(name) for name in ("alice", "carol", "dave", "mallory")}
    return {
        "no key": lambda: Stranger(address),
        "a key drawn now": lambda: Stranger(address, drawn(), bob),
        "a key that was revoked": lambda: Stranger(address, pairs["dave"], bob),
        "a trusted key, and another server's": lambda: Stranger(address, pairs["alice"], pairs["carol"][0]),
        "the key of a worker of another run": lambda: Stranger(address, pairs["carol"], bob),
        "the key of ZeroMQ's manual": lambda: Stranger(address, tuple(k.encode() for k in PUBLISHED), bob),
        "a trusted public key without its secret": lambda: Stranger(address, (pairs["alice"][0], pairs["mallory"][1]), bob),
        "a name and a password": lambda: Stranger(address, name=b"alice"),
        "a trusted key that greets as a worker": lambda: Stranger(address, pairs["alice"], bob, message=as_worker),
        "silence": lambda: Raw(address),
        "a page asked for": lambda: Raw(address, b"GET / HTTP/1.1\r\n\r\n" * 50),
        "a handshake that was recorded": lambda: Raw(address, *heard),
        "an old protocol": lambda: Raw(address, b"\x01\x00" * 100),
    }
