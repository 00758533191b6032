"""Commands that ask for much in a short time, for tests that disturb them: text, many texts with guesses, pictures, a chat, a batch."""
import json

from relay import *

MODEL = synth("tiny.gguf", "--size", "tiny", "--seed", 3)
ENCODER = os.path.join(ROOT, "models/demo/demo-mmproj-f16.gguf")


def scored(tokens):
    return ["run", "--model", MODEL, "--no-probe", "--raw", "--temp", "0", "-n", str(tokens), "--ctx", "2048", "--fingerprint", "once upon a time there was"]


def memory_alone(without, *options):
    """What one worker would need for all of MODEL, less so much of its keys and values, and less half a MiB."""
    alone = json.loads(good(GEMMAPIPE, "plan", "--model", MODEL, "--no-probe", "--workers", "1", "--json", *options))["stages"][0]
    return str(int(alone["total"] - without * alone["kv"]) - (1 << 19))


SCORED, SHORT, LONG_ONE = scored(300), scored(40), scored(900)


def drawn_picture(i):
    name = path("drawn%d.ppm" % i)
    with open(name, "wb") as f:
        f.write(b"P6 8 8 255\n" + bytes((k * (i + 3)) % 256 for k in range(192)))
    return name


def of_pictures():
    name = path("pictures.txt")
    with open(name, "w") as f:
        f.writelines("/image %s What is there?\n" % drawn_picture(i) if i % 3 else "Count to %d.\n" % (20 + i) for i in range(60))
    return ["run", "--model", DEMO, "--mmproj", ENCODER, "--no-probe", "--temp", "0", "-n", "20", "--fingerprint", "--sequences", "4", "--prompts", name]


def of_batch():
    name = path("jobs.jsonl")
    with open(name, "w") as f:
        for i in range(40):
            body = {"messages": [{"role": "user", "content": "Count from 1 to %d." % (i % 20 + 3)}], "temperature": 1, "max_tokens": 60, "n": 1 + (i % 5 == 0)}
            if i % 9 == 4: body["response_format"] = {"type": "json_object"}
            f.write(json.dumps({"custom_id": "c%d" % i, "method": "POST", "url": "/v1/chat/completions", "body": body}) + "\n")
    return ["batch", "--model", DEMO, "--no-probe", "--in", name, "--out", "-", "--journal", path("jobs.journal"), "--overwrite"]


def questions():
    return "".join("%sCount from %d to 30.\n" % ("/image %s\n" % drawn_picture(i) if i % 2 else "", i) for i in range(12)).encode()


def of_chat():
    return ["chat", "--model", DEMO, "--mmproj", ENCODER, "--no-probe", "--temp", "0", "-n", "60"]


def of_many():
    name = path("many.txt")
    with open(name, "w") as f:
        f.writelines("Count from %d to 40, and then tell me about the sea.\n" % i for i in range(40))
    return ["run", "--model", DEMO, "--no-probe", "--temp", "1", "--seed", "5", "-n", "60", "--fingerprint", "--lookup", "--prompts", name]
