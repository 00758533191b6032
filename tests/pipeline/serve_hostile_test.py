#!/usr/bin/python3
# turn: 0 (tests/run)
"""Whoever floods, dawdles or lies to a server costs the others little: they are answered, and descriptors, threads and memory stay what they were.

Seconds; with LONG=1 (`make test-all`) the streams go on for minutes.
"""
import json
import os
import re
import signal
import socket
import threading
import time

from relay import DEMO, PATIENCE, claim, children_of, finish, mpirun, need, path
from served import Server, chat, state, streamed, until, words

LONG = os.environ.get("LONG") == "1"
SUM = "What is 3 + 4?", "3 + 4 = 7."


def answers(s):
    need(words(s.chat(SUM[0])) == SUM[1], "others are not answered")


def send(s, data, wait=20):
    """All that comes back for these bytes, until the server closes or says no more for so many seconds."""
    c = socket.create_connection(("127.0.0.1", s.port), timeout=wait)
    text = b""
    try:
        c.sendall(data)
        while True:
            more = c.recv(65536)
            if not more: break
            text += more
    except OSError:
        pass
    c.close()
    return text


def bodies():
    """40-fold JSON, deep JSON, 64 MiB, half a body, and more than that: refused or answered, and forgotten."""
    post = lambda body, n=None: b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (len(body) if n is None else n) + body
    with Server("--ctx", 500) as s:
        answers(s)
        before = state(s)
        large = b'{"messages":[{"role":"user","content":"' + b"x" * ((64 << 20) - 60) + b'"}]}'
        many = [b"[" * 100000, b'{"messages":[' + b"{}," * 1000000 + b"{}]}", b'{"messages":[' + b'{"role":"user","content":[{"type":"text","text":""}]},' * 200000 + b"{}]}",
                b'{"metadata":{' + b",".join(b'"%d":{}' % i for i in range(300000)) + b'},"messages":[]}', b'{"stop":["' + b'","'.join([b"a"] * 100000) + b'"]}', large]
        for body in many:
            text = send(s, post(body))
            need(b" 400 " in text.split(b"\r\n")[0], "%r: %r" % (body[:40], text[:300]))
        need(b" 413 " in send(s, post(b"x", (64 << 20) + 1)), "a body that is too long")
        halves = []
        for i in range(50):
            c = socket.create_connection(("127.0.0.1", s.port))
            c.sendall(post(b'{"messages":', 1000000 + i))
            halves.append(c)
        answers(s)
        for c in halves: c.close()
        until(lambda: state(s)[0] <= before[0] + 2)
        need(state(s)[1] == before[1] and state(s)[2] < before[2] + 200000, "%s and before %s" % (state(s), before))


def smuggled():
    """One request may not hide another: what is not one clear request is closed or refused, and nothing behind it is answered."""
    body = json.dumps(chat(SUM[0])).encode()
    hidden = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    tricks = [b"Content-Length: 5\r\nContent-Length: %d\r\n\r\n" % len(hidden) + hidden, b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + hidden,
              b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + hidden, b"Content-Length: -1\r\n\r\n" + hidden, b"Content-Length: 0x10\r\n\r\n" + hidden,
              b"Content-Length: +5\r\n\r\nhello" + hidden, b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n" + hidden, b"Transfer-Encoding: xchunked\r\n\r\n" + hidden,
              b"Content-Length : 5\r\n\r\nhello" + hidden]
    with Server() as s:
        for trick in tricks:
            text = send(s, b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n" + trick, 0.5)
            statuses = re.findall(rb"HTTP/1\.1 (\d+)", text)
            need(all(status >= b"400" for status in statuses), "%r: %r" % (trick, text[:400]))
            need(trick not in tricks[:3] or statuses[:1] == [b"400"], "%r is not refused: %r" % (trick, text[:400]))
        answers(s)
        for where in ("/v1/chat/completions/../../etc/passwd", "/%2e%2e/etc/passwd", "//etc/passwd", "/v1/files/..%2f..%2fx", "/\0x", "/v1/models%00"):
            text = send(s, b"GET " + where.encode() + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 5)
            need(b"root:" not in text and not text.startswith(b"HTTP/1.1 5") and b'"object":"list"' not in text, "%s: %r" % (where, text[:300]))
        need(s.ask("/v1/chat/completions", body)[0] == 200, "the server still answers")


def media():
    """Below --media-path alone: not by dots, links, absolute names or other ways to write them."""
    os.makedirs(path("media/in"), exist_ok=True)
    with open(path("secret.png"), "w") as f: f.write("root:secret")
    os.symlink(path("secret.png"), path("media/link.png"))
    os.symlink("/", path("media/in/all"))
    os.mkfifo(path("media/pipe.png"))
    encoder = os.path.join(os.path.dirname(DEMO), "demo-mmproj-f16.gguf")
    with Server("--mmproj", encoder, "--media-path", path("media")) as s:
        for where in ("../secret.png", "link.png", "in/all/etc/passwd", "in/../../secret.png", "/etc/passwd", "file:///etc/passwd", "file://../secret.png", "file://link.png", "pipe.png", "",
                      ".", "in", "file://", "FILE:///etc/passwd", "..%2fsecret.png", "http://127.0.0.1/x", "x" * 5000, "data:image/png;base64,AAAA", "data:,", "//etc/passwd"):
            body = {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": where}}]}]}
            status, _, text = s.ask("/v1/chat/completions", body, timeout=10)
            need(status == 400 and b"secret" not in text.replace(b"secret.png", b"") and b"root:" not in text, "%s: %d %s" % (where[:60], status, text))
        answers(s)


def flooded():
    """Hundreds of connections that ask for nothing, half, or everything at once: no 5xx, and whoever asks besides is answered."""
    with Server("--workers", 2, "--sequences", 4, "--queue", 20) as s:
        answers(s)
        before, statuses, over = state(s), [], []

        def flood():
            while not over:
                try: statuses.append(s.ask("/v1/chat/completions", chat(SUM[0], max_tokens=3), timeout=20)[0])
                except OSError: pass

        threads = [threading.Thread(target=flood) for _ in range(30)]
        idle = []
        for t in threads: t.start()
        for i in range(200):
            c = socket.create_connection(("127.0.0.1", s.port))
            c.sendall((b"", b"G", b"GET / HTTP/1.1\r\nHo", b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 9\r\n\r\n{")[i % 4])
            idle.append(c)
        for _ in range(20): need(s.ask("/livez")[0] == 200, "it does not say that it lives")
        until(lambda: len(statuses) > 300, 60)
        over.append(True)
        for t in threads: t.join()
        need(set(statuses) <= {200, 429} and 200 in statuses, set(statuses))
        for c in idle: c.close()
        answers(s)
        until(lambda: state(s)[0] <= before[0] + 2)
        need(state(s)[1] == before[1], "threads: %s and before %s" % (state(s), before))


def soaked():
    """64 clients streaming: each has the words of a lone one, and nothing grows."""
    with Server("--workers", 2) as s:
        want = words(s.chat("Tell me a long story.", max_tokens=60, ignore_eos=True))
        wrong, states = [], []

        def client(rounds):
            for _ in range(rounds):
                try: said = streamed(s.ask("/v1/chat/completions", chat("Tell me a long story.", max_tokens=60, ignore_eos=True, stream=True), timeout=120)[2])[0]
                except OSError as e: said = e
                if said != want: wrong.append(said)

        for _ in range(40 if LONG else 3):
            threads = [threading.Thread(target=client, args=(4 if LONG else 1,)) for _ in range(64)]
            for t in threads: t.start()
            for t in threads: t.join()
            need(not wrong, wrong[:2])
            until(lambda: not states or state(s)[0] <= states[0][0] + 2)
            states.append(state(s))
        need(states[-1][1] == states[0][1] and states[-1][2] < states[0][2] + 20000, "it grew: %s" % states)


def killed():
    """Workers are killed while many stream: every stream is whole and has the words of a lone one."""
    kills = 5 if LONG else 2
    with Server("--workers", 3) as s:
        ask = chat("Tell me a long story.", max_tokens=1500, ignore_eos=True)
        want = words(s.chat("Tell me a long story.", max_tokens=1500, ignore_eos=True))
        wrong, ended = [], []

        def client():
            while len(ended) < kills:
                try: said = streamed(s.ask("/v1/chat/completions", dict(ask, stream=True), timeout=120)[2])
                except OSError as e: said = e
                if said != (want, "length"): wrong.append(said)

        threads = [threading.Thread(target=client) for _ in range(64 if LONG else 12)]
        for t in threads: t.start()
        lost = lambda: int(re.search(rb"gemmapipe_workers_lost_total\{[^}]*\} (\d+)", s.ask("/metrics")[2]).group(1))
        for i in range(kills):
            time.sleep(0.3)
            os.kill(children_of(s.process.pid)[i % 3], signal.SIGKILL)
            until(lambda: lost() > i, 60)
            ended.append(i)
        for t in threads: t.join()
        need(not wrong, wrong[:2])


def of_mpirun():
    """Under mpirun: chats are answered; told to end by the signal that mpirun passes on it answers what is under way; a rank that is killed ends
    the streams with an error, if mpirun lets who is left say so."""
    with Server(under=mpirun(3)) as s:
        out = []
        t = threading.Thread(target=lambda: out.append(s.ask("/v1/chat/completions", chat("Count.", ignore_eos=True, max_tokens=1500))))
        t.start()
        until(lambda: b"requests_running{model_name=\"demo-q4_0\"} 1" in s.ask("/metrics")[2])
        s.process.send_signal(signal.SIGUSR1)
        t.join()
        need(out[0][0] == 200 and json.loads(out[0][2])["usage"]["completion_tokens"] == 1500, out)
        need(s.process.wait(30 * PATIENCE) == 0, "it did not end well")
    os.environ["OMPI_MCA_odls_base_sigkill_timeout"] = "6"
    with Server(under=mpirun(3)) as s:
        answers(s)
        ranks = [p for c in [s.process.pid] for p in children_of(c)]
        c = socket.create_connection(("127.0.0.1", s.port), timeout=30 * PATIENCE)
        body = json.dumps(chat("Tell me a long story.", stream=True, ignore_eos=True, max_tokens=8000, n=8)).encode()
        c.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        need(c.recv(300), "no stream")
        os.kill(max(ranks), signal.SIGKILL)
        text = b""
        try:
            while True:
                more = c.recv(65536)
                if not more: break
                text += more
        except OSError: pass
        need(b'"code":"worker_lost"' in text and b"[DONE]" not in text, text[-300:])
        _, err = s.process.communicate(timeout=60 * PATIENCE)
        need(s.process.returncode != 0 and b"was lost" in err and b"errorcode 7" in err, "%d %s" % (s.process.returncode, err))


claim("bodies_that_are_large_deep_or_half_are_refused_and_forgotten", bodies)
claim("a_request_hides_no_other", smuggled)
claim("pictures_come_from_one_folder_however_they_are_named", media)
claim("a_flood_is_answered_or_refused_and_leaves_nothing_behind", flooded)
claim("many_streams_take_no_more_each_time", soaked)
claim("streams_go_on_where_workers_are_killed", killed)
claim("under_mpirun_it_serves_ends_well_and_says_who_was_lost", of_mpirun)
finish()
