#!/usr/bin/python3
"""The proxy of deploy/nginx-serve.conf: TLS before the server, streams word by word, and a client that hangs up is seen behind it. Skips where nginx is not installed."""
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../pipeline"))
from relay import ROOT, claim, finish, free_ports, good, need, path
from served import Server, chat, streamed, until

NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
if not NGINX or not shutil.which("openssl"):
    print("skip a_proxy_passes_streams_on: nginx or openssl is not installed (apt-get install nginx-light openssl)")
    sys.exit(0)


def ask(port, body):
    context = ssl.create_default_context(cafile=path("cert.pem"))
    c = context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=30), server_hostname="gemma.example.org")
    data = json.dumps(body).encode()
    c.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: gemma.example.org\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
    return c


def proxied():
    port, = free_ports(1)
    good("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=gemma.example.org", "-addext", "subjectAltName=DNS:gemma.example.org",
         "-keyout", path("key.pem"), "-out", path("cert.pem"))
    with Server() as s:
        conf = open(os.path.join(ROOT, "deploy/nginx-serve.conf")).read()
        for old, new in (("listen 443", "listen 127.0.0.1:%d" % port), ("/etc/ssl/certs/gemma.example.org.pem", path("cert.pem")),
                         ("/etc/ssl/private/gemma.example.org.key", path("key.pem")), ("127.0.0.1:8321", "127.0.0.1:%d" % s.port)):
            need(old in conf, old)
            conf = conf.replace(old, new)
        with open(path("nginx.conf"), "w") as f:
            f.write("daemon off; master_process off; pid %s; error_log stderr;\nevents {}\nhttp { access_log off; client_body_temp_path %s; proxy_temp_path %s; fastcgi_temp_path %s; "
                    "uwsgi_temp_path %s; scgi_temp_path %s;\n%s}\n" % ((path("nginx.pid"),) + (path("tmp"),) * 5 + (conf,)))
        good(NGINX, "-t", "-c", path("nginx.conf"))
        p = subprocess.Popen([NGINX, "-c", path("nginx.conf")], stderr=subprocess.DEVNULL)
        try:
            def there():
                try: return ask(port, chat("What is 3 + 4?", stream=True))
                except OSError: return time.sleep(0.1)
            until(there)
            c, text = ask(port, chat("What is 3 + 4?", stream=True)), b""
            while True:
                more = c.recv(65536)
                if not more: break
                text += more
            head, _, body = text.partition(b"\r\n\r\n")
            events = b"\n\n".join(x for x in re.split(rb"\r?\n[0-9a-f]+\r\n|\r\n", body) if x.startswith(b"data"))
            need(b" 200 " in head and streamed(events.replace(b"\n\n\n\n", b"\n\n"))[0] == "3 + 4 = 7.", text)
            c = ask(port, chat("Tell me a long story.", stream=True, ignore_eos=True, max_tokens=8000, n=8))
            first = c.recv(1000)
            need(first, "nothing came before the end")
            c.close()
            until(lambda: b'finished_reason="abort"} 1' in s.ask("/metrics")[2])
        finally:
            p.terminate()
            p.wait(20)


claim("a_proxy_passes_streams_on", proxied)
finish()
