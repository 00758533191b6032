#!/usr/bin/python3
"""A server: what clients of OpenAI's interface ask is answered, by the words of a lone run; whoever leaves, stalls or lies costs the others nothing."""
import base64
import http.client
import json
import os
import re
import signal
import socket
import threading
import time

from relay import DEMO, GEMMAPIPE, PATIENCE, ROOT, children_of, claim, finish, good, mpirun, need, path, processor_seconds, start
from served import Server, chat, events, streamed, until, words

ENCODER = os.path.join(ROOT, "models/demo/demo-mmproj-f16.gguf")
PICTURE = os.path.join(ROOT, "models/demo/picture.png")
LONG = "Tell me a long story."


def lone(prompt, *options):
    return good(GEMMAPIPE, "run", "--model", DEMO, "--temp", 0, "--quiet", *options, prompt).decode().rstrip("\n")


def ids(text):
    return [2] + [int(i) for i in good(GEMMAPIPE, "tokenize", "--model", DEMO, stdin=text.encode()).split()]


def cached(s, first, second):
    """Tokens of a conversation's second question that were there from the first, of which these fields were said."""
    spoken = [{"role": "user", "content": "What is the capital of Peru?"}]
    body = {"messages": spoken, "temperature": 0}
    said = words(json.loads(s.ask("/v1/chat/completions", dict(body, **first))[2]))
    body["messages"] = spoken + [{"role": "assistant", "content": said}, {"role": "user", "content": "And of France?"}]
    usage = json.loads(s.ask("/v1/chat/completions", dict(body, **second))[2])["usage"]
    return usage["prompt_tokens_details"]["cached_tokens"]


def sharing():
    with Server() as s:
        need(cached(s, {}, {}) > 16, "a conversation costs all its rows again")
        for first, second, shared in (({}, {"cache_prompt": False}, False), ({"prompt_cache_key": "a"}, {"prompt_cache_key": "b"}, False),
                                      ({"prompt_cache_key": "c"}, {"prompt_cache_key": "c"}, True)):
            need((cached(s, first, second) > 0) == shared, "%s and then %s" % (first, second))


def forms():
    with Server("--workers", 2) as s:
        want = lone("What is the capital of Peru?")
        answer = s.chat("What is the capital of Peru?")
        need(words(answer) == want and answer["choices"][0]["finish_reason"] == "stop", answer)
        need(answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + answer["usage"]["completion_tokens"], answer)
        need(answer["usage"]["prompt_tokens_details"] == {"cached_tokens": 0, "image_tokens": 0}, answer)
        _, _, text = s.ask("/v1/chat/completions", chat("What is the capital of Peru?", stream=True, n=2, stream_options={"include_usage": True}))
        need(streamed(text) == (want, "stop") and streamed(text, 1) == (want, "stop"), text)
        last = events(text)
        need(last[-1] == "[DONE]" and json.loads(last[-2])["choices"] == [] and json.loads(last[-2])["usage"]["prompt_tokens"] == 16, last[-2:])
        need(len({json.loads(e)["id"] for e in last[:-1]}) == 1, "several ids in one stream")
        _, _, text = s.ask("/v1/chat/completions", chat("What is 3 + 4?", stream=True, stop=["= 7", "zz"]))
        need(streamed(text) == ("3 + 4 ", "stop"), text)
        status, _, text = s.ask("/v1/completions", {"prompt": "The capital of", "max_tokens": 4, "temperature": 0, "logprobs": 1})
        body = json.loads(text)
        need(status == 200 and body["object"] == "text_completion" and len(body["choices"][0]["logprobs"]["tokens"]) == 4, text)
        for prompt in (["The capital of"], [ids("The capital of")], ids("The capital of")):
            other = json.loads(s.ask("/v1/completions", {"prompt": prompt, "max_tokens": 4, "temperature": 0})[2])
            need(other["choices"][0]["text"] == body["choices"][0]["text"], other)
        status, headers, text = s.ask("/v1/chat/completions", chat(LONG, ignore_eos=True, max_tokens=8000, timeout=0.05))
        need(status == 408 and json.loads(text)["error"]["code"] == "timeout" and headers["x-should-retry"] == "false", text)
        need(json.loads(s.ask("/v1/models")[2])["data"][0]["id"] == "demo-q4_0", "the model has no name")
        need(s.ask("/health")[0] == 200 and b"gemmapipe_requests_total" in s.ask("/metrics")[2], "health and metrics")
        status, err = s.end()
        need(status == 0, "status %d: %s" % (status, err))


def about():
    """What can be known of the model: its settings, ids of a text and back, and that the process lives."""
    with Server() as s:
        for text in ("Hello, wörld! <start_of_turn>", ""):
            got = json.loads(s.ask("/tokenize", {"content": text, "add_special": True})[2])
            need(got["tokens"] == ids(text) and got["count"] == len(got["tokens"]), got)
            back = json.loads(s.ask("/detokenize", {"tokens": got["tokens"][1:]})[2])
            need(back["content"] == text, back)
        pieces = json.loads(s.ask("/tokenize", {"content": "é☃x", "with_pieces": True})[2])["tokens"]
        need(b"".join(p["piece"].encode() if isinstance(p["piece"], str) else bytes(p["piece"]) for p in pieces) == "é☃x".encode(), pieces)
        for where, body in (("/tokenize", {}), ("/tokenize", {"content": 1}), ("/tokenize", b"{"), ("/tokenize", {"content": "x" * (1 << 20)}), ("/detokenize", {"tokens": [1 << 30]}),
                            ("/detokenize", {"tokens": "x"}), ("/tokenize", b'{"content":"\xff"}')):
            status, _, text = s.ask(where, body)
            need(status == 400 and set(json.loads(text)["error"]) == {"message", "type", "param", "code"}, "%s: %d %s" % (where, status, text))
        props = json.loads(s.ask("/props")[2])
        need(props["total_slots"] == 8 and props["default_generation_settings"]["n_ctx"] > 0 and not props["modalities"]["vision"], props)
        need(json.loads(s.ask("/v1/models")[2])["data"][0]["max_model_len"] == props["default_generation_settings"]["n_ctx"], "models")
        need(s.ask("/livez")[0] == 200 and s.ask("/readyz")[0] == 200, "it lives and is ready")


VLLM = {"num_requests_running": "gauge", "num_requests_waiting": "gauge", "kv_cache_usage_perc": "gauge", "prompt_tokens_total": "counter",
        "generation_tokens_total": "counter", "request_success_total": "counter", "time_to_first_token_seconds": "histogram", "inter_token_latency_seconds": "histogram",
        "e2e_request_latency_seconds": "histogram", "request_queue_time_seconds": "histogram", "request_prefill_time_seconds": "histogram",
        "request_decode_time_seconds": "histogram", "request_prompt_tokens": "histogram", "request_generation_tokens": "histogram",
        "request_max_num_generation_tokens": "histogram"}


def counted():
    """What was asked is in the metrics, under our names and, if wanted, vLLM's; what the dashboard asks for is there."""
    with Server("--metrics-as", "vllm") as s:
        answer = s.chat("What is 3 + 4?", max_tokens=50)
        page = s.ask("/metrics")[2].decode()
        kinds = dict(re.findall(r"# TYPE (\S+) (\S+)", page))
        need({k[5:]: v for k, v in kinds.items() if k.startswith("vllm:")} == VLLM, kinds)
        for name in kinds:
            value = re.search(r"^%s(_count)?\{model_name=\"demo-q4_0\"[^}]*\} (\S+)$" % re.escape(name), page, re.M)
            need(value, "%s has no value" % name)
        made = answer["usage"]["completion_tokens"]
        for line in ("vllm:generation_tokens_total{model_name=\"demo-q4_0\",engine=\"0\"} %d" % made, "vllm:inter_token_latency_seconds_count{model_name=\"demo-q4_0\",engine=\"0\"} %d" % (made - 2),
                     'vllm:request_prompt_tokens_bucket{model_name="demo-q4_0",engine="0",le="20"} 1', 'vllm:request_success_total{model_name="demo-q4_0",engine="0",finished_reason="stop"} 1'):
            need(line in page, "%s is not in %s" % (line, page))
        board = open(os.path.join(ROOT, "deploy/grafana-dashboard.json")).read()
        json.loads(board)
        for name in set(re.findall(r"gemmapipe_\w+", board)):
            need(re.sub(r"_bucket$", "", name) in kinds, "the dashboard asks for %s" % name)
    with Server() as s: need(b"vllm:" not in s.ask("/metrics")[2], "nobody wanted vLLM's names")


def open_webui():
    """What Open WebUI asks, by the shapes in its source: the models, a chat with a system text and parameters, a title and tags for it."""
    key = {"Authorization": "Bearer sk-none"}
    with Server() as s:
        model = json.loads(s.ask("/v1/models", **key)[2])["data"][0]["id"]
        spoken = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 3 + 4?"}]
        asked = {"stream": True, "model": model, "messages": spoken, "temperature": 0, "top_p": 0.9, "max_tokens": 30, "frequency_penalty": 0, "presence_penalty": 0, "seed": 3,
                 "stop": ["<end>"], "stream_options": {"include_usage": True}, "logit_bias": {}, "user": {"name": "x", "id": "1"}, "keep_alive": None}
        status, headers, text = s.ask("/v1/chat/completions", asked, **key)
        said, how = streamed(text)
        need(status == 200 and headers["Content-Type"] == "text/event-stream" and said and how in ("stop", "length"), text)
        spoken += [{"role": "assistant", "content": said}, {"role": "user", "content": [{"type": "text", "text": "And 4 + 4?"}]}]
        need(streamed(s.ask("/v1/chat/completions", dict(asked, messages=spoken), **key)[2])[0], "a second question")
        for task in ("title_generation", "tags_generation", "follow_up_generation"):
            body = {"model": model, "messages": [{"role": "user", "content": "Give a title as JSON."}], "stream": False, "max_completion_tokens": 1000,
                    "metadata": {"task": task, "task_body": {"messages": spoken, "chat_id": "c"}, "chat_id": None}}
            answer = json.loads(s.ask("/v1/chat/completions", body, **key)[2])
            need(isinstance(answer["choices"][0]["message"]["content"], str), answer)


def responses():
    """/v1/responses: the words of a chat, whole and as typed events; what it cannot do is refused."""
    with Server("--workers", 2) as s:
        want = lone("What is the capital of Peru?")
        body = {"model": "demo-q4_0", "input": "What is the capital of Peru?", "temperature": 0, "store": False}
        a = json.loads(s.ask("/v1/responses", body)[2])
        need(a["object"] == "response" and a["status"] == "completed" and a["output"][0]["content"][0]["text"] == want and a["usage"]["input_tokens"] == 16, a)
        parts = dict(body, input=[{"role": "user", "content": [{"type": "input_text", "text": "What is the capital of Peru?"}]}], stream=True)
        status, headers, text = s.ask("/v1/responses", parts)
        said = [json.loads(e.split("data: ", 1)[1]) for e in text.decode().split("\n\n") if "data: " in e]
        need([e["sequence_number"] for e in said] == list(range(len(said))), said)
        kinds = [e["type"] for e in said]
        need(kinds[:4] == ["response." + k for k in ("created", "in_progress", "output_item.added", "content_part.added")] and kinds[-1] == "response.completed", kinds)
        need("".join(e["delta"] for e in said if e["type"] == "response.output_text.delta") == want and said[-1]["response"]["output"][0]["content"][0]["text"] == want, said)
        short = json.loads(s.ask("/v1/responses", dict(body, max_output_tokens=2, instructions="Be brief."))[2])
        need(short["status"] == "incomplete" and short["incomplete_details"]["reason"] == "max_output_tokens" and short["usage"]["output_tokens"] == 2, short)
        form = {"format": {"type": "json_schema", "name": "x", "schema": SHAPE}}
        shaped(json.loads(s.ask("/v1/responses", dict(body, text=form, max_output_tokens=300))[2])["output"][0]["content"][0]["text"])
        for more in ({"previous_response_id": "resp_1"}, {"tools": [{"type": "function", "name": "x"}]}, {"input": 3}, {"input": [{"type": "reasoning"}]}, {"temperature": -1},
                     {"input": [{"role": "user", "content": [{"type": "input_file"}]}]}):
            status, _, text = s.ask("/v1/responses", dict(body, **more))
            need(status == 400 and set(json.loads(text)["error"]) == {"message", "type", "param", "code"}, "%s: %d %s" % (more, status, text))
        need(s.ask("/v1/responses", {"model": "demo-q4_0"})[0] == 400, "without input")


def pictures():
    url = "data:image/png;base64," + base64.b64encode(open(PICTURE, "rb").read()).decode()
    want = lone("Describe the picture.", "--mmproj", ENCODER, "--image", PICTURE)
    ask = lambda where: {"temperature": 0, "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": where}},
                                                                                  {"type": "text", "text": "Describe the picture."}]}]}
    with Server("--mmproj", ENCODER, "--workers", 3, "--media-path", os.path.dirname(PICTURE)) as s:
        for where in (url, "picture.png", "file://picture.png"):
            status, _, text = s.ask("/v1/chat/completions", ask(where))
            need(status == 200 and words(json.loads(text)) == want, text[:300])
        for where in ("../../README.md", "/etc/passwd", "http://127.0.0.1/x.png", "file:///etc/passwd", "none.png"):
            status, _, text = s.ask("/v1/chat/completions", ask(where))
            need(status == 400 and b"root:" not in text, "%s: %d %s" % (where, status, text))


def many():
    prompts = ["What is the capital of %s?" % c for c in ("Peru", "France", "Japan", "Egypt", "Italy", "Spain")] + ["What is %d + %d?" % (i, i + 3) for i in range(10)]
    wants = {p: lone(p) for p in prompts}
    got, wrong = {}, []

    def client(s, p, streams):
        try:
            status, _, text = s.ask("/v1/chat/completions", chat(p, stream=streams))
            said = streamed(text)[0] if streams else words(json.loads(text))
            if said != wants[p]: wrong.append((p, said))
        except Exception as e:
            wrong.append((p, e))

    with Server("--workers", 3, "--sequences", 4) as s:
        for _ in range(3):
            threads = [threading.Thread(target=client, args=(s, p, i % 2 == 0)) for i, p in enumerate(prompts)]
            for t in threads: t.start()
            for t in threads: t.join()
        need(not wrong, wrong[:3])


BAD = [
    (b"{", 400, "invalid_json"),
    (b'{"messages":[{"role":"user","content":"\xff"}]}', 400, "invalid_utf8"),
    ({"messages": []}, 400, "invalid_value"),
    ({"prompt": "x"}, 400, "invalid_value"),
    (chat("x", temperature=-1), 400, "invalid_value"),
    (chat("x", model="other"), 404, "model_not_found"),
    (chat("x", tools=[{"type": "function"}]), 400, "invalid_value"),
    (chat("x " * 20000), 400, "context_length_exceeded"),
    (chat("x", stream="yes"), 400, "invalid_value"),
]


def refusals():
    with Server("--ctx", 500) as s:
        for body, want, code in BAD:
            status, _, text = s.ask("/v1/chat/completions", body)
            e = json.loads(text)["error"]
            need(status == want and e["code"] == code and set(e) == {"message", "type", "param", "code"}, "%s: %d %s" % (str(body)[:60], status, text))
        need(s.ask("/v1/chat/completions")[0] == 405 and s.ask("/v1/nothing")[0] == 404, "405 and 404")
        need(words(s.chat("What is 3 + 4?")) == "3 + 4 = 7.", "the server still answers")
        c = socket.create_connection(("127.0.0.1", s.port))
        c.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
        need(b" 413 " in c.recv(1000), "a body of 99 GB was not refused at once")
        c.close()


SHAPE = {"type": "object", "properties": {"city": {"type": "string", "minLength": 1, "maxLength": 12}, "people": {"type": "integer"},
                                          "kind": {"enum": ["city", "town", None]}, "near": {"type": "array", "items": {"type": "boolean"}, "maxItems": 3}},
         "required": ["city", "kind"], "additionalProperties": False}


def shaped(text):
    v = json.loads(text)
    need(1 <= len(v["city"]) <= 12 and v["kind"] in ("city", "town", None) and set(v) <= set(SHAPE["properties"]), text)
    need(isinstance(v.get("people", 0), int) and len(v.get("near", [])) <= 3 and all(isinstance(x, bool) for x in v.get("near", [])), text)


def schemas():
    """Answers fit their schema, whole and streamed, whoever has the head; a schema that is not understood is refused with its place."""
    form = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": SHAPE}}
    said = []
    for workers in (["--here", 1], ["--workers", 3]):
        with Server(*workers) as s:
            for seed in range(6):
                body = chat("What is the capital of Peru?", temperature=1.5, seed=seed, n=2, response_format=form, max_tokens=300)
                a = json.loads(s.ask("/v1/chat/completions", body)[2])
                need([c["finish_reason"] for c in a["choices"]] == ["stop"] * 2, a)
                for c in a["choices"]: shaped(c["message"]["content"])
                said.append([c["message"]["content"] for c in a["choices"]])
            need(streamed(s.ask("/v1/chat/completions", dict(body, stream=True))[2], 1) == (said[-1][1], "stop"), "a stream says something else")
            status, _, text = s.ask("/v1/chat/completions", chat("x", response_format={"type": "json_schema", "json_schema": {"schema": {"type": "string", "format": "date", "not": {}}}}))
            need(status == 400 and b"/not" in text and b"unsupported_schema" in text, text)
    need(said[:6] == said[6:], "the words depend on the split")


def tool(name, **properties):
    at = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return {"type": "function", "function": {"name": name, "description": "about " + name, "parameters": at}}


def tools():
    """An answer is a call where one is wanted, whole, streamed and in a batch line; where the model would choose, only if the server says it may."""
    kinds = dict(tool("paint", colour={"$ref": "#/$defs/colour"}))
    kinds["function"]["parameters"]["$defs"] = {"colour": {"enum": ["red", "blue"]}}
    both = [tool("weather", city={"type": "string", "maxLength": 12}), kinds]
    ask = lambda **more: chat("What is the weather in Lima?", tools=both, max_tokens=200, temperature=1.0, **more)
    with Server("--workers", 2) as s:
        for seed in range(3):
            for choice in ("required", {"type": "function", "function": {"name": "paint"}}):
                a = json.loads(s.ask("/v1/chat/completions", ask(tool_choice=choice, seed=seed))[2])
                said, call = a["choices"][0], a["choices"][0]["message"]["tool_calls"][0]
                need(said["finish_reason"] == "tool_calls" and said["message"]["content"] is None and call["id"].startswith("call_"), a)
                given = json.loads(call["function"]["arguments"])
                need(given.get("colour") in ("red", "blue") if call["function"]["name"] == "paint" else isinstance(given["city"], str), a)
                need(choice == "required" or call["function"]["name"] == "paint", a)
                stream = [json.loads(e) for e in events(s.ask("/v1/chat/completions", ask(tool_choice=choice, seed=seed, stream=True))[2])[:-1]]
                delta = stream[-1]["choices"][0]
                need(delta["finish_reason"] == "tool_calls" and delta["delta"]["tool_calls"][0]["function"] == call["function"], stream)
        spoken = ask()["messages"] + [{"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "tool_call_id": call["id"], "content": "rain"}]
        need(s.ask("/v1/chat/completions", dict(ask(tool_choice="none"), messages=spoken))[0] == 200, "what the function answered cannot be told")
        for more, code in (({}, "unsupported"), ({"tool_choice": "auto"}, "unsupported"), ({"tool_choice": {"type": "function", "function": {"name": "x"}}}, "invalid_value"),
                           ({"tool_choice": "required", "tools": []}, "invalid_value"), ({"tool_choice": "required", "tools": [tool("a b")]}, "invalid_value"),
                           ({"tool_choice": "required", "tools": [tool("a", x={"not": {}})]}, "unsupported_schema")):
            status, _, text = s.ask("/v1/chat/completions", dict(ask(), **more))
            need(status == 400 and json.loads(text)["error"]["code"] == code, text)
    with Server("--tools", "generic") as s:
        for seed in range(4):
            said = json.loads(s.ask("/v1/chat/completions", ask(seed=seed))[2])["choices"][0]
            need(said["finish_reason"] == ("tool_calls" if said["message"].get("tool_calls") else "stop" if said["finish_reason"] == "stop" else "length"), said)


def keys():
    with open(path("keys"), "w") as f: f.write("# who may\nsesame-1\nsesame-22\n")
    with Server("--api-key-file", path("keys")) as s:
        for given, want in ((None, 401), ("sesame", 401), ("sesame-1x", 401), ("", 401), ("sesame-1", 200), ("sesame-22", 200)):
            headers = {} if given is None else {"Authorization": "Bearer " + given}
            status, _, text = s.ask("/v1/chat/completions", chat("What is 3 + 4?"), **headers)
            need(status == want, "%s: %d %s" % (given, status, text))
        need(s.ask("/health")[0] == 200 and s.ask("/metrics")[0] == 401, "only /health is for everybody")
    status, err = start(GEMMAPIPE, "serve", "--model", DEMO, "--listen", "0.0.0.0:0"), None
    _, err = status.communicate(timeout=20 * PATIENCE)
    need(status.returncode == 2 and b"--api-key-file" in err, err)


def origins():
    """A page of another origin is told that it may ask where --cors names it, before it asks and with the answer; of all others nothing is said."""
    told = lambda headers: {k: v for k, v in headers.items() if k.startswith("Access-Control")}
    home, other = "https://example.org", "https://example.org.evil.net"
    with open(path("keys"), "w") as f: f.write("sesame\n")
    key = {"Authorization": "Bearer sesame"}
    for cors, origin, may in ((None, home, None), (home, home, home), (home, other, None), (home, "null", None), (home, None, None), ("*", other, "*")):
        with Server("--api-key-file", path("keys"), "--store", path("of-origins"), *(["--cors", cors] if cors else [])) as s:
            page = {"Origin": origin} if origin else {}
            for where in ("/v1/chat/completions", "/v1/files", "/health"):
                status, headers, _ = s.ask(where, method="OPTIONS", **page, **{"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"})
                need((status == 204) == (cors is not None), "%s, %s: a preflight of %s is answered %d" % (cors, origin, where, status))
                need(told(headers).get("Access-Control-Allow-Origin") == may and (may or not told(headers)), "%s, %s, %s: %s" % (cors, origin, where, headers))
                need(not may or {"GET", "POST", "DELETE"} <= set(headers["Access-Control-Allow-Methods"].split(", ")) and "Authorization" in headers["Access-Control-Allow-Headers"], headers)
                need("Access-Control-Allow-Credentials" not in headers, headers)
            for where, more, want in (("/v1/models", key, 200), ("/v1/files", key, 200), ("/v1/models", {}, 401), ("/v1/none", key, 404)):
                status, headers, _ = s.ask(where, **page, **more)
                need(status == want and told(headers).get("Access-Control-Allow-Origin") == may, "%s, %s, %s: %d %s" % (cors, origin, where, status, headers))
            need(may in (None, "*") or headers["Vary"] == "Origin", "a cache may give it to others: %s" % headers)


def fair():
    """One key floods; who asks with another waits for what is under way and not for the queue. What that took is said, in tokens too."""
    with open(path("keys"), "w") as f: f.write("flood\npatient\n")
    sequences, clients, prompt, most, asks = 4, 40, 14, 40, 12
    under_way = sequences + (sequences + 1) // 2  # coordinator/cmd/cmd_serve.c: so many begin before it is decided who is next
    made, ended, over = [0] * clients, [0] * clients, []
    with Server("--workers", 2, "--sequences", sequences, "--queue", 2 * clients, "--api-key-file", path("keys")) as s:
        def stream(key, body):
            c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=60 * PATIENCE)
            c.request("POST", "/v1/chat/completions", json.dumps(dict(body, stream=True)), {"Authorization": "Bearer " + key})
            r = c.getresponse()
            need(r.status == 200, "refused")
            while some := r.read1(65536): yield some
            c.close()

        def flood(i):
            while not over:
                for some in stream("flood", chat("Tell me a long story.", ignore_eos=True, max_tokens=most)): made[i] += some.count(b"data: ")
                ended[i] += 1

        def ask():
            began, tokens, answers, text = time.monotonic(), sum(made), sum(ended), b""
            for some in stream("patient", chat("What is 3 + 4?")):
                if not text: took = time.monotonic() - began, sum(made) - tokens, sum(ended) - answers
                text += some
            need(streamed(text)[0] == "3 + 4 = 7.", text)
            return took

        threads = [threading.Thread(target=flood, args=(i,)) for i in range(clients)]
        for t in threads: t.start()
        waiting = lambda: int(re.search(rb"gemmapipe_requests_waiting\{[^}]*\} (\d+)", s.ask("/metrics", Authorization="Bearer patient")[2]).group(1))
        until(lambda: waiting() > clients // 2, 60)
        seconds, tokens, answers = map(sorted, zip(*[ask() for _ in range(asks)]))
        over.append(True)
        for t in threads: t.join()
    need(answers[asks // 2] < clients // 2, "it waited for the queue: %s of others were ended meanwhile" % answers)
    return "first word after %.0f ms in the median, %.0f ms at most; tokens of the flood meanwhile: %d, %d; those of requests under way may be %d" % (
        1000 * seconds[asks // 2], 1000 * seconds[-1], tokens[asks // 2], tokens[-1], under_way * (prompt + most))


def endless(s):
    """A long stream of many choices, whose reader has little room."""
    c = socket.socket()
    c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    c.connect(("127.0.0.1", s.port))
    body = json.dumps(chat(LONG, stream=True, ignore_eos=True, max_tokens=100000, n=32, logit_bias={"272": 100})).encode()
    c.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    return c


def everything(c):
    """Until it is closed."""
    text = b""
    c.settimeout(60 * PATIENCE)
    while more := c.recv(65536): text += more
    return text


def running(s):
    """Requests that are not over, waiting ones too."""
    page = s.ask("/metrics")[2]
    return sum(int(re.search(rb"gemmapipe_requests_%s\{[^}]*\} (\d+)" % what, page).group(1)) for what in (b"running", b"waiting"))


def hung_up():
    with Server("--workers", 2, "--sequences", 2) as s:
        streams = [endless(s) for _ in range(4)]
        streams[0].recv(200)
        for c in streams: c.close()
        until(lambda: running(s) == 0)
        need(words(s.chat("What is 3 + 4?")) == "3 + 4 = 7.", "the server still answers")
        need(s.ask("/v1/chat/completions", {"messages": []})[0] == 400, "what cannot be asked")
        until(lambda: b'finished_reason="error"} 1' in s.ask("/metrics")[2])
        page = s.ask("/metrics")[2]
        need(b'finished_reason="abort"} 4' in page and b'finished_reason="stop"} 1' in page, page[:600])


def stalled():
    """Two readers that take nothing are given up, and those who wait behind them are answered."""
    with Server("--workers", 2, "--sequences", 4, "--stall", 2) as s:
        streams = [endless(s) for _ in range(2)]
        until(lambda: running(s) == 2)
        need(words(s.chat("What is 3 + 4?")) == "3 + 4 = 7.", "others are answered")
        until(lambda: running(s) == 0, 60)
        for c in streams: c.close()


def full():
    with Server("--sequences", 1, "--queue", 2) as s:
        streams = [endless(s) for _ in range(2)]
        until(lambda: running(s) == 2)
        status, headers, text = s.ask("/v1/chat/completions", chat("x"))
        need(status == 429 and json.loads(text)["error"]["code"] == "queue_full" and 0 < int(headers["Retry-After"]) <= 60, text)
        for c in streams: c.close()
        until(lambda: running(s) == 0)
        need(words(s.chat("What is 3 + 4?")) == "3 + 4 = 7.", "there is room again")


def drained():
    """Told to end, it answers what is under way and takes nothing new."""
    with Server("--workers", 2) as s:
        out = []
        body = chat("Count.", ignore_eos=True, max_tokens=2000)
        t = threading.Thread(target=lambda: out.append(s.ask("/v1/chat/completions", body)))
        t.start()
        until(lambda: running(s) == 1)
        status, err = s.end(60)
        t.join()
        need(status == 0 and out and out[0][0] == 200 and json.loads(out[0][2])["usage"]["completion_tokens"] == 2000, "%d %s %s" % (status, err, out))


def lost():
    """Where nobody is waited for, a worker that is killed ends streams with an error event, and the server with status 7."""
    with Server("--workers", 2, "--wait-for-workers", 0) as s:
        c = endless(s)
        c.recv(300)
        os.kill(max(children_of(s.process.pid)), signal.SIGKILL)
        text = everything(c)
        need(b'"code":"worker_lost"' in text and b"[DONE]" not in text, text[-400:])
        _, err = s.process.communicate(timeout=20 * PATIENCE)
        need(s.process.returncode == 7, "status %d: %s" % (s.process.returncode, err))


def ended_by_mpirun():
    """SIGTERM is what mpirun says to ranks when it ends them: rank 0 ends its streams with an error, and all end with status 7."""
    with Server(under=mpirun(3)) as s:
        need(words(s.chat("What is 3 + 4?")) == "3 + 4 = 7.", "rank 0 does not serve")
        c = endless(s)
        c.recv(300)
        first, = [p for p in children_of(s.process.pid) if b"OMPI_COMM_WORLD_RANK=0" in open("/proc/%d/environ" % p, "rb").read().split(b"\0")]
        os.kill(first, signal.SIGTERM)
        text = everything(c)
        need(b'"error":' in text and b"[DONE]" not in text, text[-400:])
        _, err = s.process.communicate(timeout=60 * PATIENCE)
        need(s.process.returncode == 7, "%d %s" % (s.process.returncode, err))  # what rank 0 says last mpirun may not have passed on


def asleep():
    """While nobody asks neither it nor its workers compute, over both carriers."""
    said = []
    for options, under in ((("--workers", 3), []), ((), mpirun(4))):
        with Server(*options, under=under) as s:
            s.chat("What is 3 + 4?")
            time.sleep(0.5)  # what came last is put away
            all_of_them = [s.process.pid] + children_of(s.process.pid)
            before = sum(map(processor_seconds, all_of_them))
            time.sleep(1)
            said.append(100 * (sum(map(processor_seconds, all_of_them)) - before))
    need(max(said) < 20, "%.1f and %.1f %% of a core" % tuple(said))  # who does not sleep takes 100
    return "%.1f and %.1f %% of a core" % tuple(said)


def noise():
    """Bytes that are no HTTP, or half of it, cost the others nothing."""
    with Server() as s:
        lines = [b"\x00" * 1000, b"GET", b"GET / HTTP/9.9\r\n\r\n", b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf",
                 b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n",
                 b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n"]
        open_ones = []
        for text in lines * 20:
            c = socket.create_connection(("127.0.0.1", s.port))
            c.sendall(text)
            open_ones.append(c)
        need(words(s.chat("What is 3 + 4?")) == "3 + 4 = 7.", "the server still answers")
        for c in open_ones: c.close()
        need(s.end()[0] == 0, "it did not end well")


claim("chats_and_completions_are_answered_whole_and_as_streams", forms)
claim("conversations_share_rows_with_whom_they_may", sharing)
claim("what_there_is_to_know_of_the_model_is_told", about)
claim("what_was_asked_is_counted_under_names_that_dashboards_know", counted)
claim("open_webui_is_answered", open_webui)
claim("responses_are_chats_in_another_form", responses)
claim("pictures_come_as_data_urls_and_from_one_folder_alone", pictures)
claim("many_clients_get_the_words_of_a_lone_run", many)
claim("what_cannot_be_asked_is_refused_with_the_reason", refusals)
claim("answers_fit_the_schema_they_are_held_to", schemas)
claim("a_function_is_called_where_it_must_be", tools)
claim("only_who_has_a_key_is_answered", keys)
claim("a_flood_of_one_key_holds_up_no_other", fair)
claim("pages_of_other_origins_may_ask_where_they_are_named", origins)
claim("whoever_hangs_up_is_cancelled", hung_up)
claim("whoever_stops_reading_is_given_up", stalled)
claim("a_full_queue_says_when_to_come_back", full)
claim("told_to_end_it_answers_what_is_under_way", drained)
claim("a_lost_worker_ends_streams_with_an_error", lost)
claim("ended_by_mpirun_it_says_so_to_those_who_read", ended_by_mpirun)
claim("while_nobody_asks_all_sleep", asleep)
claim("noise_costs_the_others_nothing", noise)
finish()
