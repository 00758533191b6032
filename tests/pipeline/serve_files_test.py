#!/usr/bin/python3
"""Files that clients send, and batches made of them: answered beside requests, seen by their owner alone, and still there when the server is another."""
import base64
import json
import os

from relay import ROOT, claim, finish, need, path
from served import Server, chat, until, words

PICTURE = os.path.join(ROOT, "models/demo/picture.png")
ENCODER = os.path.join(ROOT, "models/demo/demo-mmproj-f16.gguf")
KEYS = ["one-secret", "another-secret"]


def line(name, text, url="/v1/chat/completions", **more):
    return {"custom_id": name, "method": "POST", "url": url, "body": chat(text, **more)}


class Kept(Server):
    """A server with a store, asked with one of two keys."""

    def __init__(self, name, *options):
        with open(path("keys"), "w") as f: f.write("\n".join(KEYS) + "\n")
        super().__init__("--store", path(name), "--api-key-file", path("keys"), *options)

    def by(self, key, where, body=None, method=None, **headers):
        status, _, text = self.ask(where, body, method=method, Authorization="Bearer " + KEYS[key], **headers)
        return status, text

    def good(self, key, where, body=None, method=None, **headers):
        status, text = self.by(key, where, body, method, **headers)
        need(status == 200, "%s: %d %s" % (where, status, text))
        return json.loads(text)

    def upload(self, key, data, purpose="batch", name="jobs.jsonl"):
        form = b"--xx\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n%s\r\n--xx\r\nContent-Disposition: form-data; name=\"file\"; filename=\"%s\"\r\n" \
               b"Content-Type: application/jsonl\r\n\r\n%s\r\n--xx--\r\n" % (purpose.encode(), name.encode(), data)
        return self.by(key, "/v1/files", form, **{"Content-Type": "multipart/form-data; boundary=xx"})

    def send(self, key, lines):
        status, text = self.upload(key, "\n".join(json.dumps(x) for x in lines).encode())
        need(status == 200, text)
        return json.loads(text)["id"]

    def begin(self, key, file):
        return self.good(key, "/v1/batches", {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h", "metadata": {"a": "b"}})["id"]

    def over(self, key, batch):
        until(lambda: self.good(key, "/v1/batches/" + batch)["status"] in ("completed", "failed", "cancelled"), 60)
        return self.good(key, "/v1/batches/" + batch)

    def results(self, key, file):
        status, text = self.by(key, "/v1/files/%s/content" % file)
        need(status == 200, text)
        return [json.loads(x) for x in text.decode().splitlines()]


def answered():
    url = "data:image/png;base64," + base64.b64encode(open(PICTURE, "rb").read()).decode()
    see = lambda where: [{"type": "image_url", "image_url": {"url": where}}, {"type": "text", "text": "Describe the picture."}]
    lines = [line("a", "What is 3 + 4?"), line("b", "x", temperature=-1), line("c", see(url)), line("d", see("/etc/passwd")), line("e", see("picture.png"))]
    with Kept("answered", "--workers", 2, "--mmproj", ENCODER) as s:
        file = s.send(0, lines)
        b = s.over(0, s.begin(0, file))
        need(b["status"] == "completed" and b["request_counts"] == {"total": 5, "completed": 2, "failed": 3} and b["metadata"] == {"a": "b"}, b)
        got = s.results(0, b["output_file_id"])
        need([r["custom_id"] for r in got] == ["a", "c"] and words(got[0]["response"]["body"]) == "3 + 4 = 7.", got)
        bad = s.results(0, b["error_file_id"])
        need([r["custom_id"] for r in bad] == ["b", "d", "e"] and not any("root:" in str(r) for r in bad), bad)
        need([f["id"] for f in s.good(0, "/v1/files")["data"]][-1] == file and s.good(0, "/v1/batches?limit=1")["data"][0]["id"] == b["id"], "lists")
        need(s.good(0, "/v1/files/" + file)["filename"] == "jobs.jsonl", "the file's name")
        for where in ("/v1/files/" + file, "/v1/files/%s/content" % file, "/v1/batches/" + b["id"], "/v1/files/" + b["output_file_id"], "/v1/files/../../x", "/v1/files/" + "x" * 400):
            need(s.by(1, where)[0] == 404, "%s is seen by another" % where)
        need(s.by(1, "/v1/files/" + file, method="DELETE")[0] == 404 and s.by(1, "/v1/batches", {"input_file_id": file, "endpoint": "/v1/chat/completions"})[0] == 404, "another's")
        need(s.good(1, "/v1/files")["data"] == [] and s.good(1, "/v1/batches")["data"] == [], "another's lists")
        need(s.ask("/v1/files")[0] == 401, "without a key")
        need(s.good(0, "/v1/files/" + file, method="DELETE")["deleted"] and s.by(0, "/v1/files/" + file)[0] == 404, "it is still there")
        need(file not in "".join(os.listdir(path("answered"))), "its bytes are still there")
        batch = "/v1/batches/" + b["id"]
        need(s.by(1, batch, method="DELETE")[0] == 404 and s.by(0, "/v1/batches", method="DELETE")[0] == 405, "another's batch, all of them")
        need(s.good(0, batch, method="DELETE") == {"id": b["id"], "object": "batch", "deleted": True} and s.by(0, batch)[0] == 404, "the batch")
        need(s.good(0, "/v1/batches")["data"] == [] and b["id"] not in "".join(os.listdir(path("answered"))), "its record is still there")
        need(s.by(0, "/v1/files/" + b["output_file_id"])[0] == 200, "its results went with it")


def refused():
    with Kept("refused", "--store-size", "64K") as s:
        need(s.upload(0, b"x" * 70000)[0] == 400, "more than may be kept")
        need(s.upload(0, b"x" * 40000)[0] == 200 and s.upload(0, b"x" * 40000)[0] == 400, "together more than may be kept")
        need(s.upload(0, b"x", purpose="fine-tune")[0] == 400, "a purpose that is not known")
        for body, kind in ((b"--xx\r\n", "multipart/form-data; boundary=xx"), (b"", "multipart/form-data; boundary=" + "x" * 100), (b"{}", "application/json"),
                           (b"--xx\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nhalf", "multipart/form-data; boundary=xx")):
            status, text = s.by(0, "/v1/files", body, **{"Content-Type": kind})
            need(status == 400 and json.loads(text)["error"]["code"] == "invalid_value", text)
        need(s.by(0, "/v1/batches", {"endpoint": "/v1/chat/completions"})[0] == 404 and s.by(0, "/v1/batches", {"endpoint": "/x"})[0] == 400, "batches of nothing")
        need(s.by(0, "/v1/batches", b"{")[0] == 400 and s.by(0, "/v1/files", method="PUT", body=b"")[0] == 405, "what is no request")
    with Server() as s:
        need(s.ask("/v1/files")[0] == 404, "nothing is kept without a store")


def gone_on():
    """A server is killed, another ended, in the middle of a batch: the third has the results of one that was left alone."""
    lines = [line(str(i), "Tell me a story.", max_tokens=100 + 100 * i, ignore_eos=True, seed=i, temperature=1) for i in range(10)]
    with Kept("alone", "--workers", 2) as s:
        b = s.over(0, s.begin(0, s.send(0, lines)))
        want = [r["response"]["body"]["choices"] for r in s.results(0, b["output_file_id"])]
    for ends in ("kill", "end"):
        with Kept("broken", "--workers", 2, "--sequences", 2) as s:
            if ends == "kill": batch = s.begin(0, s.send(0, lines))
            before = s.good(0, "/v1/batches/" + batch)["request_counts"]["completed"]
            until(lambda: s.good(0, "/v1/batches/" + batch)["request_counts"]["completed"] > before, 60)
            need(s.by(0, "/v1/batches/" + batch, method="DELETE")[0] == 400, "one that is not over was deleted")
            if ends == "kill": s.process.kill()
            else: need(s.end()[0] == 0, "it did not end well")
            s.process.wait()
    with Kept("broken", "--here", 1) as s:
        b = s.over(0, batch)
        need(b["status"] == "completed" and b["request_counts"] == {"total": 10, "completed": 10, "failed": 0}, b)
        got = [r["response"]["body"]["choices"] for r in s.results(0, b["output_file_id"])]
        need(got == want, "other words than those of a batch that was left alone")
        until(lambda: not [f for f in os.listdir(path("broken")) if "journal" in f])


def beside():
    """Who asks is answered while a batch fills the pipeline, and a batch that is cancelled ends with what it has."""
    lines = [line(str(i), "Tell me a story.", max_tokens=6000, ignore_eos=True) for i in range(200)]
    with Kept("beside", "--workers", 2, "--sequences", 2) as s:
        batch = s.begin(0, s.send(0, lines))
        until(lambda: s.good(0, "/v1/batches/" + batch)["request_counts"]["total"] == 200)
        for _ in range(3):
            answer = s.good(1, "/v1/chat/completions", chat("What is 3 + 4?"))
            need(words(answer) == "3 + 4 = 7.", answer)
        need(s.good(0, "/v1/batches/" + batch)["request_counts"]["completed"] < 5, "the batch was over before anybody asked")
        need(s.by(1, "/v1/batches/%s/cancel" % batch, {})[0] == 404, "another's batch")
        need(s.good(0, "/v1/batches/%s/cancel" % batch, {})["status"] == "cancelling", "it is not cancelled")
        b = s.over(0, batch)
        need(b["status"] == "cancelled" and b["cancelled_at"] and b["output_file_id"], b)
        need(words(s.good(0, "/v1/chat/completions", chat("What is 3 + 4?"))) == "3 + 4 = 7.", "the server still answers")


claim("a_batch_is_answered_and_seen_by_its_owner_alone", answered)
claim("what_cannot_be_kept_is_refused", refused)
claim("a_batch_goes_on_in_the_next_server", gone_on)
claim("requests_go_before_batches", beside)
finish()
