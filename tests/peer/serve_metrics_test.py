#!/usr/bin/python3
"""What /metrics says is read by Prometheus itself: promtool finds nothing to mend, and a server that scrapes it has the numbers. Skips where it is not installed."""
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../pipeline"))
from relay import claim, finish, free_ports, need, path
from served import Server, until

if not shutil.which("promtool") or not shutil.which("prometheus"):
    print("skip prometheus_reads_what_was_counted: Prometheus is not installed (apt-get install prometheus)")
    sys.exit(0)


def checked():
    with Server("--metrics-as", "vllm") as s:
        s.chat("What is 3 + 4?")
        p = subprocess.run(["promtool", "check", "metrics"], input=s.ask("/metrics")[2], capture_output=True)
        ours = [x for x in (p.stdout + p.stderr).decode().splitlines() if not x.startswith("vllm:")]  # those names are vLLM's
        need(not ours, ours)


def ask(port, query):
    with urllib.request.urlopen("http://127.0.0.1:%d/api/v1/query?query=%s" % (port, urllib.parse.quote(query)), timeout=5) as r:
        return json.load(r)["data"]["result"]


def scraped():
    port, = free_ports(1)
    with Server("--metrics-as", "vllm") as s:
        made = s.chat("What is 3 + 4?")["usage"]["completion_tokens"]
        with open(path("prometheus.yml"), "w") as f:
            f.write("global: {scrape_interval: 1s}\nscrape_configs:\n- {job_name: gemmapipe, static_configs: [{targets: ['127.0.0.1:%d']}]}\n" % s.port)
        p = subprocess.Popen(["prometheus", "--config.file=" + path("prometheus.yml"), "--storage.tsdb.path=" + path("prometheus"), "--web.listen-address=127.0.0.1:%d" % port],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            def there():
                try: return ask(port, "gemmapipe_generation_tokens_total") != []
                except OSError: return time.sleep(0.2)
            until(there, 60)
            for query in ("gemmapipe_generation_tokens_total", "vllm:generation_tokens_total", "sum(vllm:request_generation_tokens_sum)"):
                got = ask(port, query)
                need(got and float(got[0]["value"][1]) == made, "%s: %s" % (query, got))
            need(float(ask(port, "histogram_quantile(0.5, gemmapipe_time_to_first_token_seconds_bucket)")[0]["value"][1]) > 0, "no median")
        finally:
            p.terminate()
            p.wait(20)


claim("promtool_finds_nothing_to_mend", checked)
claim("prometheus_reads_what_was_counted", scraped)
finish()
