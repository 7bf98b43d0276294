"""nghttp, h2load and curl against h2_echo, plain and over TLS: python3 h2_nghttp_peer.py PROGRAM."""
# SPDX-License-Identifier: Apache-2.0
import os
import re
import shutil
import subprocess
import sys
import tempfile

PROGRAM = sys.argv[1]


def run(*words, **options):
    return subprocess.run(words, check=True, capture_output=True, timeout=60, **options).stdout


def load(url, *words):
    out = run("h2load", *words, url).decode()
    done = re.search(r"(\d+) total, \d+ started, \d+ done, (\d+) succeeded", out)
    assert done and done[1] == done[2], out


def try_all(folder, port, scheme):
    url = f"{scheme}://127.0.0.1:{port}"
    body, back = os.path.join(folder, "body"), os.path.join(folder, "back")
    with open(body, "wb") as file:
        file.write(os.urandom(3000000))
    assert run("nghttp", f"{url}/bytes/100000") == b"x" * 100000
    assert run("nghttp", "-d", body, f"{url}/echo") == open(body, "rb").read()
    trace = run("nghttp", "-v", "-n", "-d", body, f"{url}/trailers").decode(errors="replace")
    assert "x-bytes: 3000000" in trace, trace[-2000:]
    flag = ["-k"] if scheme == "https" else ["--http2-prior-knowledge"]
    head = run("curl", "-s", "-I", *flag, f"{url}/bytes/77").decode()
    assert head.startswith("HTTP/2 200") and "content-length: 77" in head, head
    hints = subprocess.run(["curl", "-sv", *flag, f"{url}/hints"], check=True, timeout=60,
                           capture_output=True).stderr.decode()
    assert "HTTP/2 103" in hints and "HTTP/2 200" in hints, hints
    assert run("curl", "-s", *flag, "-T", body, "-o", back, "-w", "%{http_code} %{http_version}",
               f"{url}/echo") == b"200 2"
    assert open(body, "rb").read() == open(back, "rb").read()
    one = run("curl", "-s", "-k", "--http1.1", "-o", back, "-w", "%{http_code} %{http_version}",
              f"{url}/bytes/10")
    assert one == b"200 1.1", one
    load(f"{url}/bytes/100", "-n", "5000", "-c", "10", "-m", "100")
    load(f"{url}/bytes/300000", "-n", "200", "-c", "4", "-m", "20")
    load(f"{url}/bytes/300000", "-n", "100", "-c", "2", "-m", "50", "-w", "16", "-W", "16")
    load(f"{url}/echo", "-n", "200", "-c", "4", "-m", "10", "-d", body)


def serve(folder, *words):
    server = subprocess.Popen([PROGRAM, "0", *words], stdout=subprocess.PIPE, text=True,
                              stderr=open(os.path.join(folder, "log"), "w"))
    return server, int(server.stdout.readline().split()[1])


def main():
    for tool in ("nghttp", "h2load", "curl", "openssl"):
        if shutil.which(tool) is None:
            print(tool, "is not installed: skipped")
            sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        key, chain = os.path.join(folder, "key.pem"), os.path.join(folder, "chain.pem")
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes", "-keyout", key, "-out", chain, "-days", "2", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        for scheme, words in (("http", ()), ("https", (chain, key))):
            server, port = serve(folder, *words)
            try:
                try_all(folder, port, scheme)
            finally:
                server.terminate()
                assert server.wait(timeout=10) == 0, open(os.path.join(folder, "log")).read()[-3000:]
    print("nghttp, h2load, curl: fine")


main()
