"""The command line: what it finds, how it says so, what it exits with."""
# SPDX-License-Identifier: Apache-2.0
import json
import subprocess

import pytest
import yaml

from certificates import Authority, secret_of
from harness import (BIN, environment, free_port, gateway_of, listener, nantian, rate_limit, route,
                     rule, service, wait_for)
from http_client import request

pytestmark = [pytest.mark.quick, pytest.mark.sanitized]

GOOD = [
    gateway_of(listener("http", 8080), listener("shop", 8080, hostname="*.shop.example")),
    route("main",
          rule("v1", name="exact", matches=[{"path": {"type": "Exact", "value": "/a"}}]),
          rule("v2", name="header", matches=[{"path": {"value": "/a"},
                                              "headers": [{"name": "x-v", "value": "2"}]}]),
          rule(("v1", 3), ("v2", 1), name="prefix", matches=[{"path": {"value": "/a"}}]),
          hostnames=["a.example"]),
    route("shop", rule("v2"), hostnames=["*.shop.example"]),
    service("v1", 3001), service("v2", 3002),
]

BROKEN = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: web
spec:
  gatewayClassName: nantian
  listeners:
    - name: http
      protocol: HTTP
      port: 80800
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: r
spec:
  parentRefs:
    - name: web
  rules:
    - backendRefs:
        - name: nowhere
          port: 80
      colour: red
"""


def directory(tmp_path, *documents, name="config.yaml"):
    text = documents[0] if isinstance(documents[0], str) else yaml.safe_dump_all(documents)
    (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_a_clean_directory_is_clean(tmp_path):
    answer = nantian("check", "-f", directory(tmp_path, *GOOD))
    assert (answer.returncode, answer.stderr) == (0, ""), answer


def test_each_mistake_is_told_with_its_place(tmp_path):
    answer = nantian("check", "-f", directory(tmp_path, BROKEN))
    assert answer.returncode == 1
    for words in ("config.yaml:10:13: error: Gateway default/web spec.listeners[0].port",
                  "config.yaml:23:7: error: HTTPRoute default/r spec.rules[0].colour",
                  "config.yaml:21:11: error: HTTPRoute default/r"):
        assert words in answer.stdout, answer.stdout


def test_check_speaks_json(tmp_path):
    answer = nantian("check", "-f", directory(tmp_path, BROKEN), "-o", "json")
    assert answer.returncode == 1
    found = json.loads(answer.stdout)
    assert found["apiVersion"] == "cli.nantian.dev/v1"
    places = [(fault["line"], fault["column"]) for fault in found["findings"]
              if fault["level"] == "error"]
    assert (10, 13) in places and (23, 7) in places


def test_check_speaks_sarif(tmp_path):
    answer = nantian("check", "-f", directory(tmp_path, BROKEN), "-o", "sarif")
    assert answer.returncode == 1
    found = json.loads(answer.stdout)
    assert found["version"] == "2.1.0"
    regions = [result["locations"][0]["physicalLocation"]["region"]
               for result in found["runs"][0]["results"]]
    assert {"startLine": 10, "startColumn": 13} in regions
    assert all(result["ruleId"] and result["message"]["text"]
               for result in found["runs"][0]["results"])


def test_a_file_that_is_not_yaml_is_a_finding(tmp_path):
    answer = nantian("check", "-f", directory(tmp_path, "kind: [Gateway\nname: x\n"))
    assert answer.returncode == 1
    assert "config.yaml:2:" in answer.stdout


def test_what_a_file_holds_cannot_steer_the_terminal(tmp_path):
    (tmp_path / "a.yaml").write_text(
        'apiVersion: v1\nkind: Service\nmetadata: {name: "n\\e[31m\\x9b31mred"}\n'
        'spec: {ports: [{port: 80}]}\nspec: {ports: [{port: 81}]}\n', encoding="utf-8")
    answer = nantian("check", tmp_path)
    assert answer.returncode == 1 and "a.yaml:5:1: error: spec: this key stands twice" in \
        answer.stdout, answer
    (tmp_path / "a.yaml").write_text(
        'apiVersion: v1\nkind: Service\nmetadata: {name: "n\\e[31m\\x9b31mred"}\n'
        'spec: {ports: [{port: 80}]}\n', encoding="utf-8")
    answer = nantian("check", tmp_path)
    assert answer.returncode == 1 and '"n?[31m??31mred" must be' in answer.stdout, answer


def test_conflicts_between_files_are_findings(tmp_path):
    directory(tmp_path, *GOOD)
    directory(tmp_path, route("shop", rule("v1")), name="other.yaml")
    answer = nantian("check", "-f", tmp_path)
    assert answer.returncode == 1 and "shop" in answer.stdout


def test_one_file_can_be_looked_at_alone(tmp_path):
    directory(tmp_path, *GOOD)
    directory(tmp_path, BROKEN, name="broken.yaml")
    assert nantian("check", "-f", tmp_path / "config.yaml").returncode == 0
    answer = nantian("check", "-f", "broken.yaml", cwd=tmp_path)
    assert answer.returncode == 1 and "./broken.yaml:10:" in answer.stdout
    assert "shop" in nantian("routes", "-f", tmp_path / "config.yaml").stdout
    assert nantian("check", "-f", "/dev/null").returncode == 2


def test_a_missing_directory_is_misuse(tmp_path):
    answer = nantian("check", "-f", tmp_path / "none")
    assert answer.returncode == 2 and "No such file" in answer.stderr


@pytest.mark.parametrize("verb", ["demo", "up", "check", "explain", "routes", "status", "nodes",
                                  "config", "echo", "version", "completion"])
def test_an_unknown_flag_is_misuse_and_help_is_help(verb):
    answer = nantian(verb, "--no-such-flag")
    assert answer.returncode == 2 and answer.stderr.startswith(f"nantian {verb}: ")
    answer = nantian(verb, "--help")
    assert answer.returncode == 0 and f"usage: nantian {verb}" in answer.stdout


def test_output_that_cannot_be_written_is_no_success(tmp_path):
    config = directory(tmp_path, *GOOD)
    for words in (["version"], ["check", "-f", config], ["config", "dump", "-f", config],
                  ["routes", "-f", config, "-o", "json"]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([BIN / "nantian", *map(str, words)], stdout=full,
                                  stderr=subprocess.PIPE, check=False, env=environment())
        assert done.returncode == 5 and b"No space left on device" in done.stderr, done
        closed = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", BIN / "nantian",
                                 *map(str, words)], stderr=subprocess.PIPE, check=False,
                                env=environment())
        assert closed.returncode == 5 and b"Bad file descriptor" in closed.stderr, closed


def test_certificates_that_clients_may_refuse_are_warned_of(tmp_path):
    authority = Authority()
    made = {"good": {}, "old": {"days": -1}, "new": {"begins": 1},
            "short": {"rsa": True, "bits": 1024}}
    config = directory(
        tmp_path,
        gateway_of(*(listener(name, 8443, "HTTPS", hostname=f"{name}.example.com",
                              tls={"certificateRefs": [{"name": name}]}) for name in made)),
        *(secret_of(name, *authority.issue(f"{name}.example.com", **how))
          for name, how in made.items()))
    answer = nantian("check", "-f", config, "-o", "json")
    found = {f["field"]: f for f in json.loads(answer.stdout)["findings"]
             if f["code"] == "DoubtfulCertificate"}
    assert answer.returncode == 0, answer
    assert set(found) == {f"spec.listeners[{name}]" for name in ("old", "new", "short")}, found
    for name, words in (("old", "it expired at 20"), ("new", "it is not valid before 20"),
                        ("short", "its RSA key has 1024 bits")):
        fault = found[f"spec.listeners[{name}]"]
        assert fault["level"] == "warning" and f"Secret default/{name} " in fault["message"], fault
        assert words in fault["message"] and fault["line"] > 0, fault


def test_an_unknown_verb_is_misuse():
    assert nantian("frobnicate").returncode == 2


def explain(folder, url, *more, method="GET"):
    answer = nantian("explain", method, url, "-f", folder, "-o", "json", *more)
    return answer.returncode, json.loads(answer.stdout)


def test_explain_names_the_winner_and_why_the_others_lost(tmp_path):
    folder = directory(tmp_path, *GOOD)
    code, told = explain(folder, "http://a.example:8080/a")
    assert code == 0 and told["result"]["rule"] == "exact"
    lost = {c["rule"]: c["lost"] for c in told["candidates"] if not c["won"]}
    assert lost == {"prefix": "lower rank", "header": "header absent:"}
    code, told = explain(folder, "http://a.example:8080/a/b", "-H", "x-v: 2")
    assert code == 0 and told["result"]["rule"] == "header"
    code, told = explain(folder, "http://a.example:8080/a/b")
    assert told["result"]["rule"] == "prefix"
    lost = {c["rule"]: c["lost"] + " " + c["detail"] for c in told["candidates"] if not c["won"]}
    assert "header" in lost["header"] and "x-v" in lost["header"], lost
    assert "v1:80 75%" in told["result"]["backends"]


def test_explain_says_404_and_421(tmp_path):
    authority = Authority()
    folder = directory(
        tmp_path, *GOOD[1:],
        gateway_of(listener("http", 8080),
                   listener("one", 8443, "HTTPS", hostname="one.example",
                            tls={"certificateRefs": [{"name": "one"}]}),
                   listener("two", 8443, "HTTPS", hostname="two.example",
                            tls={"certificateRefs": [{"name": "two"}]})),
        authority.secret("one", "one.example"), authority.secret("two", "two.example"))
    code, told = explain(folder, "http://a.example:8080/other")
    assert (code, told["result"]) == (1, "404")
    code, told = explain(folder, "http://nobody.example:8080/a")
    assert (code, told["result"]) == (1, "404")
    code, told = explain(folder, "https://one.example:8443/", "--sni", "two.example")
    assert (code, told["result"]) == (1, "421")
    code, told = explain(folder, "http://a.example:9999/")
    assert (code, told["result"]) == (1, "refused")
    assert told["reason"] == "no listener has port 9999; there are 8080, 8443", told
    assert nantian("explain", "GET", "a.example", "-f", folder).returncode == 2


def test_explain_says_what_is_wrong_with_a_request_before_it_asks_anybody():
    for words, why in ((["a.example/"], "must begin with http"),
                       (["http://a.example:99999/"], "`http://a.example:99999/` is no URL"),
                       (["http://a.example/", "-H", "foo"], "-H wants `name: value`")):
        answer = nantian("explain", "GET", *words)
        assert answer.returncode == 2 and why in answer.stderr, answer
    answer = nantian("explain", "G T", "http://a.example/")
    assert answer.returncode == 2 and "`G T` is no method" in answer.stderr, answer
    answer = nantian("explain", "GET", "http://a.example/", "-H", "a b: c")
    assert answer.returncode == 2 and "a header is not valid" in answer.stderr, answer


def test_a_rule_that_redirects_lacks_no_backend(tmp_path):
    redirect = {"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}
    folder = directory(tmp_path, gateway_of(listener("http", 8080)),
                       route("away", rule(filters=[redirect]), hostnames=["a.example"]))
    code, told = explain(folder, "http://a.example:8080/")
    assert (code, told["result"]["backends"]) == (0, "none: redirected")
    assert "none: redirected" in nantian("routes", "-f", folder).stdout


def test_explain_and_the_proxy_agree(tmp_path, start_gateway, backend):
    port = free_port()
    gateway = start_gateway(
        gateway_of(listener("http", port)),
        route("r", rule("app", matches=[{"path": {"value": "/yes"}}])), service("app", backend.port))
    for path, status, code in (("/yes", 200, 0), ("/yes/more", 200, 0), ("/yesterday", 404, 1),
                               ("/a/../yes", 200, 0), ("/no", 404, 1)):
        assert request(port, path).status == status
        told = nantian("explain", "GET", f"http://127.0.0.1:{port}{path}", "-s", gateway.state)
        assert told.returncode == code, (path, told)


def test_routes_lists_the_rules_in_match_order(tmp_path):
    folder = directory(tmp_path, *GOOD)
    answer = nantian("routes", "-f", folder, "-o", "json")
    assert answer.returncode == 0
    rules = [(r["rule"], r["hostname"]) for r in json.loads(answer.stdout)["routes"]
             if r["route"].startswith("HTTPRoute/default/main")]
    assert [name for name, _ in rules] == ["exact", "header", "prefix"]
    assert "a.example" in nantian("routes", "-f", folder).stdout


def test_status_nodes_and_dump_of_a_running_gateway(start_gateway, backend):
    authority = Authority()
    port = free_port()
    gateway = start_gateway(
        gateway_of(listener("https", port, "HTTPS", tls={"certificateRefs": [{"name": "cert"}]})),
        route("all", rule("app")), service("app", backend.port),
        authority.secret("cert", "test.example"))
    answer = nantian("status", "-s", gateway.state)
    assert answer.returncode == 0, answer
    assert "Gateway" in answer.stdout and "1 of 1 data planes in sync" in answer.stdout
    answer = nantian("nodes", "-s", gateway.state)
    assert answer.returncode == 0 and answer.stdout.splitlines()[2].split()[1:3] == [
        "synced", "current"], answer
    answer = nantian("nodes", "-s", gateway.state, "-o", "json")
    assert json.loads(answer.stdout)["nodes"][0]["node"] == "test"
    for where in (("-s", gateway.state), ("-f", gateway.config)):
        answer = nantian("config", "dump", *where)
        assert answer.returncode == 0 and "default/cert" in answer.stdout
        assert "PRIVATE KEY" not in answer.stdout
        assert authority.last_key_line not in answer.stdout
    assert "PRIVATE KEY" not in gateway.ask("/config_dump")[1]


def test_status_exits_with_what_it_saw(start_gateway, tmp_path):
    port = free_port()
    assert nantian("status", "-s", tmp_path).returncode == 3
    gateway = start_gateway(gateway_of(listener("http", port)), route("all", rule("missing")))
    answer = nantian("status", "-s", gateway.state)
    assert answer.returncode == 1 and "BackendNotFound" in answer.stdout
    gateway.proxy.stop()
    wait_for(lambda: nantian("nodes", "-s", gateway.state).returncode == 4, "nobody is in sync")


def test_a_rate_limit_shows_in_explain(tmp_path):
    folder = directory(tmp_path, *GOOD, rate_limit("slow", "shop", {"requestsPerSecond": 5}))
    code, told = explain(folder, "http://x.shop.example:8080/")
    assert code == 0 and "rate" in told["result"]["filters"], told["result"]


def test_completion_scripts_parse():
    script = nantian("completion", "bash")
    assert script.returncode == 0
    subprocess.run(["bash", "-n"], input=script.stdout, text=True, check=True)
    for shell in ("zsh", "fish"):
        assert nantian("completion", shell).stdout.strip()
    for line in nantian("completion", "fish").stdout.splitlines():
        flags = [word for word in line.split(";")[0].split() if word.startswith("--")]
        assert len(flags) == len(set(flags)), line


def test_all_programs_say_the_same_version():
    said = json.loads(nantian("version", "-o", "json").stdout)
    for program in ("nantian-control", "nantian-proxy"):
        answer = subprocess.run([BIN / program, "--version"], capture_output=True, text=True,
                                check=False, timeout=20)
        assert answer.returncode == 0 and said["version"] in answer.stdout, (said, answer)


@pytest.mark.parametrize("program", ["nantian-control", "nantian-proxy"])
def test_the_planes_refuse_what_they_do_not_understand(program, tmp_path):
    for arguments in (["--bogus"], ["--xds"], [], ["--log-level", "loud"],
                      ["--xds", "unix:/x", "--workers", "0"]):
        answer = subprocess.run([BIN / program, *arguments], capture_output=True, text=True,
                                check=False, timeout=20, cwd=tmp_path)
        assert answer.returncode == 2 and answer.stderr.startswith(program), (arguments, answer)
