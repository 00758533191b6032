#!/usr/bin/python3
"""A batch job: each line's result once, in order, whatever the line asks and however often the job is killed on the way."""
import contextlib
import json
import math
import os
import pty
import random
import re
import shutil
import signal
import struct
import time

from relay import DEMO, GEMMAPIPE, PATIENCE, ROOT, children_of, claim, finish, good, need, path, run, start, wait, synth

ENCODER = os.path.join(ROOT, "models/demo/demo-mmproj-f16.gguf")


def lines_of(name):
    with open(name, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def write(name, lines):
    with open(path(name), "wb") as f:
        for line in lines:
            f.write((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n")
    return path(name)


def batch(jobs, out, *options):
    return run(GEMMAPIPE, "batch", "--model", DEMO, "--in", jobs, "--out", path(out), "--quiet", *options)


def chat(text, **more):
    return dict({"messages": [{"role": "user", "content": text}], "temperature": 0, "max_tokens": 24}, **more)


def text_of(result):
    choice = result["response"]["body"]["choices"][0]
    return choice["message"]["content"] if "message" in choice else choice["text"]


def forms():
    jobs = write("forms.jsonl", [
        {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": chat("What is 3 + 4?")},
        b'\xef\xbb\xbf' [3:] + json.dumps(chat("What is 3 + 4?", stop=["="])).encode() + b"\r",
        b"",
        {"prompt": "once upon a time", "max_tokens": 6, "n": 3, "seed": -1},
        {"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "What is 12 + 9?"}, {"role": "assistant", "content": "12 +"}],
         "temperature": 0, "max_tokens": 9, "stop": None, "unheard_of": [1, {"a": 2}]}])
    status, _, err = batch(jobs, "forms.out", "--here", 2)
    need(status == 0, err)
    results = lines_of(path("forms.out"))
    need([r["custom_id"] for r in results] == ["a", "line-2", "line-4", "line-5"], results)
    need(text_of(results[0]) == "3 + 4 = 7." and text_of(results[1]) == "3 + 4 ", results[:2])
    need([len(r["response"]["body"]["choices"]) for r in results] == [1, 1, 3, 1], results)
    body = results[0]["response"]["body"]
    need(body["object"] == "chat.completion" and body["choices"][0]["finish_reason"] == "stop", body)
    need(body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + body["usage"]["completion_tokens"], body)
    need(results[2]["response"]["body"]["object"] == "text_completion", results[2])


BAD = [
    (b'{"bad', "invalid_json"),
    (b'{"messages":[{"role":"user","content":"\xff"}]}', "invalid_utf8"),
    ({"custom_id": "a", **chat("x")}, None),
    ({"custom_id": "a", **chat("x")}, "duplicate_custom_id"),
    ({"custom_id": "b"}, "invalid_value"),
    (chat("x", temperature=-1), "invalid_value"),
    (chat("x", temperature="0"), "invalid_value"),
    (chat("x", max_tokens=0), "invalid_value"),
    (chat("x", stream=True), "unsupported"),
    (chat("x", logprobs=3), "invalid_value"),
    (chat("x", top_logprobs=3), "invalid_value"),
    (chat("x", logprobs=True, top_logprobs=21), "invalid_value"),
    ({"prompt": "x", "logprobs": True}, "invalid_value"),
    ({"prompt": "x", "logprobs": 6}, "invalid_value"),
    (chat("x", presence_penalty=2.5), "invalid_value"),
    (chat("x", logit_bias={"x": 1}), "invalid_value"),
    (chat("x", logit_bias={"5": 101}), "invalid_value"),
    (chat("x", logit_bias={"4000000000": 1}), "invalid_value"),
    (chat("x", logit_bias={"5": 1, "05": 2}), "invalid_value"),
    (chat("x", logit_bias={str(i): 1 for i in range(1025)}), "invalid_value"),
    (chat("x", response_format={"type": "json_schema", "json_schema": {"schema": {"pattern": "a"}}}), "unsupported_schema"),
    (chat("x", response_format={"type": "yaml"}), "invalid_value"),
    (chat("x", response_format={"type": "json_object"}, ignore_eos=True), "invalid_value"),
    ({"messages": [{"role": "assistant", "content": "x"}]}, "invalid_value"),
    ({"messages": [{"role": "user", "content": "x"}], "prompt": "y"}, "invalid_value"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "none.png"}}]}]}, "invalid_value"),
    (chat("word " * 3000), "context_length_exceeded"),
    ({"method": "GET", "url": "/v1/chat/completions", "body": chat("x")}, "invalid_value"),
    ({"method": "POST", "url": "/v1/embeddings", "body": chat("x")}, "invalid_value"),
    ({"method": "POST", "url": "/v1/completions", "body": chat("x")}, "invalid_value"),
]


def bad_lines():
    jobs = write("bad.jsonl", [line for line, _ in BAD])
    status, _, err = batch(jobs, "bad.out", "--here", 1)
    need(status == 8, "status %d: %s" % (status, err))
    failed = {r["response"]["body"]["error"]["line"]: r["response"]["body"]["error"] for r in lines_of(path("bad.out.errors"))}
    for number, (line, code) in enumerate(BAD, 1):
        got = failed.get(number, {}).get("code")
        need(got == code, "line %d, %.80r: %r, wanted %r" % (number, line, failed.get(number), code))
    need(len(lines_of(path("bad.out"))) == sum(code is None for _, code in BAD), "the good line")
    status, _, err = batch(jobs, "all.out", "--here", 1, "--one-file")
    need(status == 8 and len(lines_of(path("all.out"))) == len(BAD) and not os.path.exists(path("all.out.errors")), err)


def long_job():
    jobs = []
    for i in range(40):
        body = chat("Count from 1 to %d." % (i + 3), temperature=1, max_tokens=60, n=1 + (i % 5 == 0))
        if i % 7 == 0:
            body["messages"][0]["content"] = [{"type": "text", "text": "Describe the picture."},
                                              {"type": "image_url", "image_url": {"url": "picture.png"}}]
        jobs.append({"custom_id": "c%d" % i, "method": "POST", "url": "/v1/chat/completions", "body": body})
    shutil.copy(os.path.join(ROOT, "models/demo/picture.png"), path("picture.png"))
    return write("long.jsonl", jobs)


def begun_already():
    jobs = write("again.jsonl", [chat("hello", max_tokens=4)])
    need(batch(jobs, "again.out")[0] == 0, "the first run")
    status, _, err = batch(jobs, "again.out")
    need(status == 3 and "--resume" in err and "--overwrite" in err, "status %d: %s" % (status, err))
    need(batch(jobs, "again.out", "--resume")[0] == 0, "one that is done is resumed")
    need(batch(jobs, "again.out", "--overwrite")[0] == 0, "anew")
    status, _, err = batch(jobs, "again.out", "--resume", "--seed", 7)
    need(status == 3 and "seed is 0, this job's is 7" in err, "status %d: %s" % (status, err))
    status, _, err = batch(jobs, "again.out", "--resume", "--kv", "q8_0")
    need(status == 3 and "precision is nothing" in err, "status %d: %s" % (status, err))
    need(batch(jobs, "rounded.out", "--kv", "q8_0")[0] == 0, "with rounded keys")
    status, _, err = batch(jobs, "rounded.out", "--resume")
    need(status == 3 and "this job's is nothing" in err, "other precision was taken for the same: status %d: %s" % (status, err))
    write("again.jsonl", [chat("hello!", max_tokens=4)])
    status, _, err = batch(jobs, "again.out", "--resume")
    need(status == 3 and "input is" in err, "status %d: %s" % (status, err))
    shutil.copy(jobs, path("mine.txt"))
    status, _, err = batch(jobs, "mine.txt")
    need(status == 3 and open(path("mine.txt")).read() == open(jobs).read(), "somebody's file: status %d: %s" % (status, err))
    status, _, err = batch(jobs, "again.jsonl", "--overwrite")
    need(status == 2 and "same file" in err and open(jobs).read().startswith("{"), "the input as output: status %d: %s" % (status, err))


def torn_and_damaged():
    jobs = write("torn.jsonl", [chat("hello %d" % i, max_tokens=4) for i in range(5)])
    need(batch(jobs, "torn.out")[0] == 0, "the first run")
    want, journal = open(path("torn.out"), "rb").read(), open(path("torn.out.journal"), "rb").read()
    for cut in range(1, len(journal), len(journal) // 12):
        with open(path("torn.out.journal"), "wb") as f:
            f.write(journal[:cut])
        status, _, err = batch(jobs, "torn.out", "--resume")
        need(status == 0 and open(path("torn.out"), "rb").read() == want, "cut at %d: status %d: %s" % (cut, status, err))
    middle = journal.index(b"\n", 600) - 40
    with open(path("torn.out.journal"), "wb") as f:
        f.write(journal[:middle] + b"#" + journal[middle + 1:])
    status, _, err = batch(jobs, "torn.out", "--resume")
    need(status == 3 and "damaged" in err, "status %d: %s" % (status, err))


def orders_and_pipes():
    """As they come, from and to pipes: the same results as a set; a run that is resumed has none twice."""
    jobs = long_job()
    need(batch(jobs, "sorted.out", "--mmproj", ENCODER)[0] == 0, "in order")
    want = sorted(open(path("sorted.out"), "rb").readlines())
    p = start(GEMMAPIPE, "batch", "--model", DEMO, "--mmproj", ENCODER, "--in", jobs, "--out", path("done.out"), "--quiet", "--order", "done")
    while not os.path.exists(path("done.out")) or os.path.getsize(path("done.out")) < 3000:
        need(p.poll() is None, "ended before a result was seen: %r" % (p.poll(),))
        time.sleep(0.005)
    p.kill()
    p.communicate()
    status, out, err = run(GEMMAPIPE, "batch", "--status", path("done.out"))
    said = dict(line.split() for line in out.decode().splitlines())
    need(status == 9 and said["lines"] == "40" and 0 < int(said["done"]) < 40 and said["state"] == "stopped", "%d, %s" % (status, said))
    status, _, err = batch(jobs, "done.out", "--mmproj", ENCODER, "--order", "done", "--resume")
    need(status == 0 and sorted(open(path("done.out"), "rb").readlines()) == want, "status %d: %s" % (status, err))
    need(run(GEMMAPIPE, "batch", "--status", path("done.out"))[0] == 0, "the end")
    text = open(jobs, "rb").read().replace(b"picture.png", b"./picture.png")
    os.chdir(os.path.dirname(jobs))
    status, out, err = run(GEMMAPIPE, "batch", "--model", DEMO, "--mmproj", ENCODER, "--in", "-", "--out", "-", "--journal", path("pipe.journal"),
                           "--quiet", stdin=text)
    need(status == 0 and len(out.splitlines()) == 40, "status %d: %s" % (status, err))
    need(open(path("pipe.journal.input"), "rb").read() == text, "the input is kept")


def crashes():
    """A line that was under way at three crashes in a row is run alone, after two more it is a failure; --retry-failed asks it again."""
    jobs = write("crash.jsonl", [chat("hello %d" % i, max_tokens=4) for i in range(3)])
    need(batch(jobs, "crash.out")[0] == 0, "the first run")
    want, journal = open(path("crash.out"), "rb").read(), open(path("crash.out.journal"), "rb").read().splitlines(True)
    is_record = lambda r, word: r.startswith(b'{"%s"' % word)
    head, opened = journal[0], next(r for r in journal if is_record(r, b"opened"))
    begun = next(r for r in journal if is_record(r, b"begun") and b":2," in r)
    for crashed, status_wanted in ((4, 0), (5, 8)):
        with open(path("crash.out.journal"), "wb") as f:
            f.write(head + (opened + begun) * crashed)
        status, _, err = batch(jobs, "crash.out", "--resume")
        need(status == status_wanted, "%d crashes: status %d: %s" % (crashed, status, err))
    need(b"crashed 5 times" in open(path("crash.out.errors"), "rb").read(), "no word of it")
    need(batch(jobs, "crash.out", "--resume")[0] == 8, "it stays a failure")
    status, _, err = batch(jobs, "crash.out", "--resume", "--retry-failed")
    need(status == 0 and open(path("crash.out"), "rb").read() == want, "status %d: %s" % (status, err))
    need(batch(jobs, "crash.out", "--resume")[0] == 0, "it stays answered")


WISHES = [
    dict(prompt="1, 2, 3, 4, 5, 6", temperature=0, max_tokens=12, ignore_eos=True, logprobs=5),
    chat("What is 3 + 4?", logprobs=True, top_logprobs=20, min_tokens=20),
    chat("What is 3 + 4?", logprobs=True, stop=["="]),
    chat("Count from 1 to 9.", temperature=1, n=3, presence_penalty=1.5, frequency_penalty=0.5, logprobs=True, top_logprobs=2, ignore_eos=True),
    chat("Count from 1 to 9.", temperature=1, top_k=0, repeat_penalty=1.2, frequency_penalty=-0.25, logit_bias={"300": 3, "301": -2.5}, ignore_eos=True, max_tokens=100),
]


def choices_of(result):
    return result["response"]["body"]["choices"]


def wishes_everywhere():
    """Biases, penalties and log-probabilities are the same bytes wherever the model is cut, and where an answer goes on."""
    jobs = write("wishes.jsonl", WISHES * 12)
    status, _, err = batch(jobs, "wishes.out")
    need(status == 0, err)
    want = open(path("wishes.out"), "rb").read()
    for n, way in enumerate((["--here", 3, "--sequences", 3], ["--workers", 2, "--split", "3,5"], ["--here", 3, "--split", "2+7,3+0,3+9"])):
        status, _, err = batch(jobs, "wishes%d.out" % n, *way)
        need(status == 0 and open(path("wishes%d.out" % n), "rb").read() == want, "%s: status %d: %s" % (way, status, err))
    journal = open(path("wishes.out.journal"), "rb").read().splitlines(True)
    logged = [n for n, r in enumerate(journal) if r.startswith(b'{"tokens"')]
    need(logged and all(json.loads(journal[n])["tokens"] % 5 == 0 for n in logged), "tokens of who wants log-probabilities are not logged")
    for n in (logged[0], logged[len(logged) // 2]):
        with open(path("wishes.out.journal"), "wb") as f:
            f.writelines(journal[:n + 1])
        status, _, err = batch(jobs, "wishes.out", "--resume")
        need(status == 0 and open(path("wishes.out"), "rb").read() == want, "resumed: status %d: %s" % (status, err))
    results = lines_of(path("wishes.out"))
    need(len(choices_of(results[1])[0]["logprobs"]["content"]) >= 20, "min_tokens: %s" % choices_of(results[1]))
    stopped = choices_of(results[2])[0]
    need("".join(t["token"] for t in stopped["logprobs"]["content"]).startswith(stopped["message"]["content"]), stopped)
    said = choices_of(results[0])[0]
    need(said["logprobs"]["text_offset"] == [len("".join(said["logprobs"]["tokens"][:i])) for i in range(12)], said)


def tokens_of(body):
    jobs = write("one.jsonl", [dict(body, logprobs=True)])
    status, _, err = batch(jobs, "one.out", "--overwrite")
    need(status == 0, "%s: %s" % (body, err + str(os.path.exists(path("one.out.errors")) and lines_of(path("one.out.errors")))))
    return choices_of(lines_of(path("one.out"))[0])[0]["logprobs"]["content"]


def ids_of(text):
    return [int(i) for i in good(GEMMAPIPE, "tokenize", "--model", DEMO, stdin=text.encode()).split()]


def words():
    """A bias of 100 forces a word and one of -100 forbids it; penalties make an answer say what it has not said."""
    plain = tokens_of(chat("What is 3 + 4?"))
    seven, = ids_of("7")
    need([t["token"] for t in plain][6] == "7", plain)
    need(all(t["token"] == "7" for t in tokens_of(chat("What is 3 + 4?", logit_bias={str(seven): 100}))), "forced")
    need(all(t["token"] != "7" for t in tokens_of(chat("What is 3 + 4?", logit_bias={str(seven): -100}))), "forbidden")
    again = chat("What is 3 + 4?", ignore_eos=True, max_tokens=60)
    different = lambda **how: len({t["token"] for t in tokens_of(dict(again, **how))})
    need(different() < different(frequency_penalty=2, presence_penalty=2), "%d and %d words" % (different(), different(frequency_penalty=2, presence_penalty=2)))


def probabilities():
    """Log-probabilities are those of the scores that `logits` writes."""
    ids = [2] + ids_of("1, 2, 3, 4")
    good(GEMMAPIPE, "logits", "--model", DEMO, "--ids", ",".join(map(str, ids)), "--out", path("scores.f32"), "--quiet")
    row = struct.unpack("<%df" % (os.path.getsize(path("scores.f32")) // 4), open(path("scores.f32"), "rb").read())
    row = row[-(len(row) // len(ids)):]
    total = max(row) + math.log(sum(math.exp(s - max(row)) for s in row))
    jobs = write("p.jsonl", [dict(prompt="1, 2, 3, 4", max_tokens=1, temperature=0, ignore_eos=True, logprobs=5, logit_bias={str(row.index(max(row))): -100})])
    status, _, err = batch(jobs, "p.out")
    need(status == 0, err)
    got = choices_of(lines_of(path("p.out"))[0])[0]["logprobs"]
    best = sorted(row, reverse=True)[:5]
    top = sorted(got["top_logprobs"][0].values(), reverse=True)
    need(all(abs(a - (b - total)) < 1e-4 for a, b in zip(top, best)), "%s, wanted %s" % (top, [b - total for b in best]))
    need(abs(got["token_logprobs"][0] - (best[1] - total)) < 1e-4, "the second best is said, at its own probability: %s" % got)


def disk_full():
    """Where a file may have 6000 bytes, as on a full disk, the job ends with a sentence; with more room it goes on."""
    jobs = write("full.jsonl", [chat("hello %d" % i, max_tokens=8) for i in range(40)])
    need(batch(jobs, "roomy.out", "--workers", 2)[0] == 0, "with room")
    limited = ["/bin/bash", "-c", 'ulimit -f 6; exec "$@"', "-"]
    status, _, err = run(*limited, GEMMAPIPE, "batch", "--model", DEMO, "--in", jobs, "--out", path("full.out"), "--quiet", "--workers", 2)
    need(status == 3 and "cannot be written" in err, "status %d: %s" % (status, err))
    status, _, err = batch(jobs, "full.out", "--resume")
    need(status == 0 and open(path("full.out"), "rb").read() == open(path("roomy.out"), "rb").read(), "status %d: %s" % (status, err))
    status, _, err = run("/bin/bash", "-c", '"$@" | head -c 1', "-", GEMMAPIPE, "batch", "--model", DEMO, "--in", jobs, "--out", "-", "--order",
                         "done", "--journal", path("gone.journal"), "--quiet")
    need("fault" not in err, err)


def repaired():
    """What repair leaves out is done again, also of a job that had ended, and of an answer under way; what is no journal it leaves alone."""
    jobs = write("repair.jsonl", [chat("Count from 1 to %d." % i, max_tokens=90, ignore_eos=True) for i in (5, 6, 7)])
    need(batch(jobs, "repair.out")[0] == 0, "the first run")
    want, journal = open(path("repair.out"), "rb").read(), open(path("repair.out.journal"), "rb").read().splitlines(True)
    spoil = lambda record: record.replace(b'":', b'"!', 1)
    done = [n for n, r in enumerate(journal) if r.startswith(b'{"done":2')][0]
    tokens = [n for n, r in enumerate(journal) if r.startswith(b'{"tokens":2,')]
    need(len(tokens) >= 2, "%d records of tokens" % len(tokens))
    ended = journal[:done] + [spoil(journal[done])] + journal[done + 1:]
    under_way = [spoil(r) if n == tokens[0] else r for n, r in enumerate(journal) if not r.startswith((b'{"done":2', b'{"ended'))]
    for broken in (ended, under_way):
        with open(path("repair.out.journal"), "wb") as f:
            f.writelines(broken)
        need(batch(jobs, "repair.out", "--resume")[0] == 3, "a damaged journal was taken")
        need(run(GEMMAPIPE, "batch", "--repair", path("repair.out"))[0] == 0, "repair")
        need(run(GEMMAPIPE, "batch", "--status", path("repair.out"))[0] == 9, "something is left to do")
        status, _, err = batch(jobs, "repair.out", "--resume")
        need(status == 0 and open(path("repair.out"), "rb").read() == want, "status %d: %s" % (status, err))
    for content in (b"my notes\n", spoil(journal[0]) + journal[1]):
        with open(path("notes.journal"), "wb") as f:
            f.write(content)
        for how in (["--repair", path("notes")], ["--model", DEMO, "--in", jobs, "--out", path("notes"), "--resume"]):
            status, _, err = run(GEMMAPIPE, "batch", *how)
            need(status == 3 and open(path("notes.journal"), "rb").read() == content, "%s: status %d: %s" % (how, status, err))
    status, _, err = batch(jobs, "notes", "--overwrite")
    need(status == 0, "a broken journal may be overwritten: %s" % err)


def long_answers():
    """8192 tokens, far past every window, ring and page."""
    model = synth("long.gguf", "--layers", 2, "--hidden", 64, "--ffn", 64, "--heads", 1, "--kv-heads", 1, "--head-dim", 32, "--window", 16, "--ctx", 16384)
    jobs = write("long.jsonl", [{"prompt": "a b", "max_tokens": 8192, "ignore_eos": True, "temperature": 0.8}])
    said = []
    for way in (["--here", "1"], ["--here", "2"]):
        good(GEMMAPIPE, "batch", "--model", model, "--ctx", "8300", "--threads", "1", "--in", jobs, "--out", path("long.out"), "--overwrite", "--quiet", *way)
        said.append(open(path("long.out")).read())
    need(json.loads(said[0])["response"]["body"]["usage"]["completion_tokens"] == 8192 and said[0] == said[1], "an answer of 8192 tokens: %.300s" % said[0])


def names():
    """Files that are one and the same, pipes, and pictures that are not the job's."""
    jobs = write("names.jsonl", [chat("hello", max_tokens=2)])
    for options in (["--errors", path("names.out")], ["--journal", path("names.out")], ["--errors", path("names.out.journal")]):
        status, _, err = batch(jobs, "names.out", *options)
        need(status == 2 and "same file" in err and not os.path.exists(path("names.out.journal")), "%s: status %d: %s" % (options, status, err))
    os.mkfifo(path("names.fifo"))
    status, _, err = batch(path("names.fifo"), "fifo.out")
    need(status == 3 and "read twice" in err and not os.path.exists(path("fifo.out.journal")), "status %d: %s" % (status, err))
    shutil.copy(os.path.join(ROOT, "models/demo/picture.png"), path("inside.png"))
    os.makedirs(path("below"), exist_ok=True)
    os.symlink(os.path.join(ROOT, "models/demo/picture.png"), path("outside.png"))
    seen = lambda name: {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": name}}]}], "max_tokens": 2}
    pictures = ["inside.png", "below/../inside.png", "outside.png", os.path.join(ROOT, "models/demo/picture.png"), "../x.png", "names.fifo"]
    jobs = write("seen.jsonl", [seen(name) for name in pictures])
    status, _, err = batch(jobs, "seen.out", "--mmproj", ENCODER)
    need(status == 8 and len(lines_of(path("seen.out"))) == 2 and len(lines_of(path("seen.out.errors"))) == 4, "status %d: %s" % (status, err))


def pictures_stay():
    """A picture that is another one when the job is resumed ends the job with its name; when it is back the results are as if nothing had been."""
    seen = lambda i: chat([{"type": "image_url", "image_url": {"url": "stays%d.png" % (i % 2)}}, {"type": "text", "text": "What is it? %d" % i}])
    jobs = write("stays.jsonl", [seen(i) for i in range(8)])
    pictures = [open(os.path.join(ROOT, "models/demo/picture.png"), "rb").read(), b"P6 8 8 255\n" + bytes(range(192))]
    for i, content in enumerate(pictures):
        with open(path("stays%d.png" % i), "wb") as f:
            f.write(content)
    need(batch(jobs, "stays.out", "--mmproj", ENCODER)[0] == 0, "the first run")
    want, journal = open(path("stays.out"), "rb").read(), open(path("stays.out.journal"), "rb").read().splitlines(True)
    need(sum(r.startswith(b'{"picture"') for r in journal) == 2, "each picture is noted once")
    with open(path("stays.out.journal"), "wb") as f:
        f.writelines(r for r in journal if not r.startswith((b'{"done":6', b'{"done":8', b'{"ended"')))
    with open(path("stays1.png"), "wb") as f:
        f.write(pictures[0])
    for again in range(4): # as often as makes a line that crashes suspicious
        status, _, err = batch(jobs, "stays.out", "--mmproj", ENCODER, "--resume")
        need(status == 3 and "stays1.png is not what it was" in err, "status %d: %s" % (status, err))
    with open(path("stays1.png"), "wb") as f:
        f.write(pictures[1])
    status, _, err = batch(jobs, "stays.out", "--mmproj", ENCODER, "--resume")
    need(status == 0 and open(path("stays.out"), "rb").read() == want, "status %d: %s" % (status, err))


def requeued():
    """Under mpirun: a worker is killed, or Slurm says that the time is over. The job goes back into the queue, and the same line ends it as
    if nothing had been."""
    jobs = write("queue.jsonl", [chat("Count from 1 to %d." % (i % 20 + 2), max_tokens=100, ignore_eos=True, temperature=1) for i in range(90)])
    need(batch(jobs, "unqueued.out")[0] == 0, "undisturbed")
    os.makedirs(path("slurm"), exist_ok=True)
    with open(path("slurm/scontrol"), "w") as f:
        f.write('#!/bin/sh\necho "$@" >>%s\n' % path("slurm/asked"))
    os.chmod(path("slurm/scontrol"), 0o755)
    env = {"PATH": path("slurm") + ":" + os.environ["PATH"], "SLURM_NTASKS": "3", "SLURM_CPUS_PER_TASK": "1", "SLURM_JOB_ID": "17",
           "GEMMAPIPE_BIN": os.path.dirname(GEMMAPIPE), "OMPI_MCA_rmaps_base_oversubscribe": "1"}
    turn = lambda: start(os.path.join(ROOT, "deploy/slurm-batch.sbatch"), DEMO, jobs, path("queue.out"), "--quiet", env=env)
    size = lambda: os.path.getsize(path("queue.out.journal")) if os.path.exists(path("queue.out.journal")) else 0
    for n, disturb in enumerate(("worker", "time")):
        p, before = turn(), size()
        while size() < before + 1500:
            need(p.poll() is None, "it ended by itself")
            time.sleep(0.005)
        ranks = sorted(child for run in children_of(p.pid) for child in children_of(run))
        need(len(ranks) == 3, "ranks %s" % ranks)
        if disturb == "time":
            p.send_signal(signal.SIGUSR1)
        else:
            os.kill(ranks[-1], signal.SIGKILL)
        status, out, err = wait(p, 60, "a turn whose %s was disturbed" % disturb)
        asked = open(path("slurm/asked")).read() if os.path.exists(path("slurm/asked")) else ""
        need(status == 0 and asked == "requeue 17\n" * (n + 1), "%s: status %d, asked %r: %s, %s" % (disturb, status, asked, out, err))
    p = turn()
    status, out, err = wait(p, 60, "the last turn")
    need(status == 0 and open(path("queue.out"), "rb").read() == open(path("unqueued.out"), "rb").read(), "status %d: %s %s" % (status, out, err))
    need(open(path("slurm/asked")).read().count("requeue") == 2, "it is done, and asks no more")
    write("queue.jsonl", [chat("another job")])
    status, out, err = wait(turn(), 60, "another job's turn")
    need(status == 3 and open(path("slurm/asked")).read().count("requeue") == 2, "what would be wrong again is not tried again: %s" % err)


def interrupted_early():
    """SIGTERM ends a job of many lines that are all refused, and one whose first reading is long."""
    jobs = write("many.jsonl", [{"prompt": 1}] * 300000)
    p = start(GEMMAPIPE, "batch", "--model", DEMO, "--in", jobs, "--out", path("many.out"), "--quiet")
    while not os.path.exists(path("many.out.journal")) or os.path.getsize(path("many.out.journal")) < 10000:
        need(p.poll() is None, "it ended by itself")
        time.sleep(0.005)
    p.send_signal(signal.SIGTERM)
    p.communicate(timeout=20 * PATIENCE)
    need(p.returncode == 9, "status %d" % p.returncode)


def told():
    """The report of a job says of requests and tokens what the results say, and where all of each stage's time went."""
    lines = [chat("Count from 1 to %d." % (i % 9 + 2), n=1 + i % 3) for i in range(30)] + [{"prompt": 1}]
    lines[4]["messages"][0]["content"] = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": "told.png"}}]
    shutil.copy(os.path.join(ROOT, "models/demo/picture.png"), path("told.png"))
    jobs = write("told.jsonl", lines)
    status, _, err = run(GEMMAPIPE, "batch", "--model", DEMO, "--mmproj", ENCODER, "--in", jobs, "--out", path("told.out"), "--workers", 2,
                         "--report-json", path("told.json"))
    need(status == 8 and "30 completed, 1 failed" in err and " bubble: " in err, "status %d: %s" % (status, err))
    report, results = json.load(open(path("told.json"))), lines_of(path("told.out"))
    usage = lambda name: sum(r["response"]["body"]["usage"][name] for r in results)
    need((report["completed"], report["failed"], report["num_requests"], report["answers"]) == (30, 1, 31, 60), report)
    need(report["total_input_tokens"] == usage("prompt_tokens") and report["total_output_tokens"] == usage("completion_tokens"), report)
    need(report["pictures"] == 1 and report["rows_again"] == 0, report)
    seconds = report["elapsed_time"]
    for rate, amount in (("request_throughput", 30), ("output_throughput", usage("completion_tokens")), ("total_token_throughput", usage("total_tokens"))):
        need(math.isclose(report[rate] * seconds, amount, rel_tol=1e-4), "%s: %s" % (rate, report))
    for name in ("ttft", "tpot", "e2el"):
        need(0 < report["median_%s_ms" % name] <= report["p99_%s_ms" % name] and report["mean_%s_ms" % name] > 0, "%s: %s" % (name, report))
    need(len(report["stages"]) == 2 and 0 <= report["bubble"] < 1 and report["wire_bytes_per_token"] > 0, report)
    for s in report["stages"]:
        parts = [s[part] for part in ("busy", "starved", "blocked", "sending", "replay")]
        need(min(parts) >= 0 and math.isclose(sum(parts), 1, abs_tol=0.02) and s["busy"] > 0, s)
        need(s["planned_bytes"] > 0 and s["measured_bytes"] > 0, s)
    status, _, err = batch(jobs, "quiet.out", "--mmproj", ENCODER)
    need(status == 8 and "bubble" not in err, "quiet: %s" % err)
    status, _, err = batch(jobs, "unwritten.out", "--report-json", path("none/x.json"))
    need(status == 3 and not os.path.exists(path("unwritten.out.journal")), "said before anything is answered: status %d: %s" % (status, err))


def shown():
    """On a terminal one line says how far the job is, how fast, how long it takes and how busy each stage is."""
    jobs = write("shown.jsonl", [chat("Count from 1 to 20.", max_tokens=200, ignore_eos=True)] * 20000)
    pid, terminal = pty.fork()
    if not pid:
        os.environ["LC_ALL"] = "C.UTF-8"
        os.execv(GEMMAPIPE, [GEMMAPIPE, "batch", "--model", DEMO, "--in", jobs, "--out", path("shown.out"), "--workers", "2"])
    said, wanted = "", re.compile(r"\ranswering \d+/20000, [\d.]+ tok/s, [\d.]+ (s|min|h) left, stages [▁-█]{2} \d+ % busy\x1b")
    while not wanted.search(said):
        said += os.read(terminal, 4096).decode(errors="replace")
    os.kill(pid, signal.SIGTERM)
    with contextlib.suppress(OSError):
        while os.read(terminal, 4096):
            pass
    need(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9, "it is stopped, not over")


claim("what_a_job_did_is_told_and_adds_up", told)
claim("a_terminal_shows_how_far_a_job_is", shown)
claim("lines_of_every_form_are_answered_in_order", forms)
claim("biases_penalties_and_log_probabilities_are_the_same_everywhere", wishes_everywhere)
claim("a_bias_forces_or_forbids_a_word_and_penalties_vary_them", words)
claim("log_probabilities_are_those_of_the_scores", probabilities)
claim("an_answer_of_8192_tokens_is_the_same_however_the_model_is_cut", long_answers)
claim("a_bad_line_is_a_result_and_not_the_end", bad_lines)
claim("a_job_that_was_begun_is_not_forgotten_by_mistake", begun_already)
claim("a_torn_journal_is_cut_and_a_damaged_one_refused", torn_and_damaged)
claim("results_may_come_as_they_are_done_and_through_pipes", orders_and_pipes)
claim("a_line_that_crashes_the_coordinator_does_not_do_so_for_ever", crashes)
claim("a_disk_that_is_full_ends_the_job_and_not_its_results", disk_full)
claim("repair_loses_nothing_and_touches_nothing_else", repaired)
claim("files_are_told_apart_and_pictures_stay_in_the_folder", names)
claim("a_picture_that_was_changed_between_runs_is_named", pictures_stay)
claim("a_job_of_ranks_goes_back_into_the_queue_until_it_is_done", requeued)
claim("a_job_of_bad_lines_is_interrupted_too", interrupted_early)
finish()
