"""gemmapipe serve for one `with` block, and what its answers hold; for the tests of the server."""
import http.client
import json
import os
import re
import signal
import time

from relay import DEMO, GEMMAPIPE, PATIENCE, need, start


class Server:
    """gemmapipe serve on a free port, for one `with` block."""

    def __init__(self, *options, model=DEMO, ready=True, under=()):
        self.process = start(*under, GEMMAPIPE, "serve", "--model", model, "--listen", "127.0.0.1:0", *options)
        self.said = []
        while True:
            line = self.process.stderr.readline().decode()
            need(line, "it ended: %s" % self.said)
            self.said.append(line)
            found = re.search(r"listening at http://127.0.0.1:(\d+)", line)
            if found:
                self.port = int(found.group(1))
                if not ready:
                    break
            if "serving" in line:
                break

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def ask(self, where, body=None, timeout=60, method=None, **headers):
        """(status, headers, bytes)"""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout * PATIENCE)
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        c.request(method or ("GET" if body is None else "POST"), where, data, headers)
        r = c.getresponse()
        text = r.read()
        c.close()
        return r.status, r.headers, text

    def chat(self, text, **more):
        status, _, out = self.ask("/v1/chat/completions", chat(text, **more))
        need(status == 200, "%d %s" % (status, out))
        return json.loads(out)

    def end(self, seconds=20):
        """SIGTERM; returns (status, stderr)."""
        self.process.send_signal(signal.SIGTERM)
        _, err = self.process.communicate(timeout=seconds * PATIENCE)
        return self.process.returncode, err.decode()


def chat(text, **more):
    return dict({"messages": [{"role": "user", "content": text}], "temperature": 0}, **more)


def words(answer):
    return answer["choices"][0]["message"]["content"]


def events(text):
    return [e[6:] for e in text.decode().split("\n\n") if e.startswith("data: ")]


def streamed(text, index=0):
    """The words of a stream, and how it ended."""
    said, how = "", None
    for e in events(text)[:-1]:
        for c in json.loads(e)["choices"]:
            if c["index"] == index:
                said += c["delta"].get("content", "")
                how = c["finish_reason"] or how
    return said, how


def until(what, seconds=20):
    deadline = time.time() + PATIENCE * seconds
    while not what():
        need(time.time() < deadline, "it did not come to that")
        time.sleep(0.02)


def state(s):
    """(descriptors, threads, KiB of memory) of the server."""
    folder = "/proc/%d/" % s.process.pid
    memory = int(re.search(r"VmRSS:\s+(\d+)", open(folder + "status").read()).group(1))
    return len(os.listdir(folder + "fd")), len(os.listdir(folder + "task")), memory
