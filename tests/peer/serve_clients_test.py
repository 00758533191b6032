#!/usr/bin/python3
# timeout: 600 (tests/run)
"""Clients that people use, against our server: the official openai package, the AI SDK and LangChain, as npm has them, and a browser.

They are fetched once into .cache/serve-clients (some 60 MB). serve_clients.mjs holds the claims; in serve_schemas.mjs answers are judged by ajv;
serve_page.mjs holds claims about the page, which are passed over where there is no Chromium."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.path.join(ROOT, os.environ.get("B", "build"))
CACHE = os.path.join(ROOT, ".cache/serve-clients")
PACKAGES = ["openai@6.49.0", "ai@5.0.277", "@ai-sdk/openai-compatible@1.0.61", "@langchain/openai@1.5.8", "ajv@8.20.0", "puppeteer-core@24.43.1"]
DEMO = os.path.join(ROOT, "models/demo")


def skip(why):
    print("skip clients_of_the_interface_are_served: " + why)
    sys.exit(0)


def fetch():
    complete = os.path.join(CACHE, "complete")
    if os.path.exists(complete) and open(complete).read() == " ".join(PACKAGES):
        return
    shutil.rmtree(CACHE, ignore_errors=True)
    os.makedirs(CACHE)
    with open(os.path.join(CACHE, "package.json"), "w") as f: f.write('{"private": true, "type": "module"}')
    npm = subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1"] + PACKAGES, cwd=CACHE,
                         capture_output=True, text=True, timeout=250)
    if npm.returncode: skip("npm could not fetch them: " + npm.stderr[-200:].replace("\n", " "))
    with open(complete, "w") as f: f.write(" ".join(PACKAGES))


if not shutil.which("node") or not shutil.which("npm"): skip("node and npm are not installed")
if int(subprocess.run(["node", "-p", "process.versions.node.split('.')[0]"], capture_output=True, text=True).stdout) < 20: skip("they want node 20")
fetch()
for name in ("serve_clients.mjs", "serve_schemas.mjs", "serve_page.mjs", "serve_load.mjs"): shutil.copy(os.path.join(ROOT, "tests/peer", name), CACHE)
store = tempfile.mkdtemp(prefix="gemmapipe-test-")
server = subprocess.Popen([os.path.join(BUILD, "gemmapipe"), "serve", "--model", os.path.join(DEMO, "demo-q4_0.gguf"), "--mmproj",
                           os.path.join(DEMO, "demo-mmproj-f16.gguf"), "--workers", "3", "--listen", "127.0.0.1:0", "--store", store], stderr=subprocess.PIPE, text=True)
try:
    port, line = None, " "
    while line and "serving" not in line:
        line = server.stderr.readline()
        found = re.search(r"http://127.0.0.1:(\d+)", line)
        port = found.group(1) if found else port
    where = ["http://127.0.0.1:" + str(port), os.path.join(DEMO, "picture.png")]
    status = subprocess.run(["node", "serve_clients.mjs"] + where, cwd=CACHE, timeout=200).returncode
    status |= subprocess.run(["node", "serve_schemas.mjs", where[0]], cwd=CACHE, timeout=200).returncode
    load = subprocess.run(["node", "serve_load.mjs", "--url", where[0] + "/v1", "--requests", "12", "--clients", "4", "--rate", "30", "--prefix", "0.5", "--picture", where[1],
                           "--pictures", "0.3"], cwd=CACHE, timeout=200, stdout=subprocess.PIPE)
    said = json.loads(load.stdout) if load.returncode == 0 else {}
    whole = said.get("completed") == 12 and all(said.get(k, 0) > 0 for k in ("output_throughput", "median_ttft_ms", "p99_tpot_ms", "mean_itl_ms", "median_e2el_ms", "total_input_tokens"))
    print("%s a_load_from_outside_is_measured" % ("ok" if whole else "FAIL"))
    status |= not whole
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser: status |= subprocess.run(["node", "serve_page.mjs"] + where + [browser] + sys.argv[1:], cwd=CACHE, timeout=200).returncode
    else: print("skip the_page_chats_and_shows_the_pipeline: no Chromium")
    sys.exit(status)
finally:
    server.terminate()
    server.wait(20)
    shutil.rmtree(store)
