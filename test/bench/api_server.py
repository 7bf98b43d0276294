"""A real API server behind the few calls that controlplane.py makes of a scripted one: objects are
loaded and changed as kubectl would, and who wrote what is read from its audit log."""
# SPDX-License-Identifier: Apache-2.0
import base64
import calendar
import concurrent.futures
import http.client
import json
import pathlib
import ssl
import tempfile
import threading
import time
import urllib.parse

from kube_server import PLURALS, RESOURCES

LOADERS = 8


class ApiServer:
    """`kubeconfig` is one of client certificates; `audit_log` is the server's, its times are UTC."""

    def __init__(self, kubeconfig, audit_log):
        self.path, self.audit_log = pathlib.Path(kubeconfig), pathlib.Path(audit_log)
        config = json.loads(self.path.read_text(encoding="utf-8"))
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.where = urllib.parse.urlsplit(cluster["server"]).netloc
        self.context = ssl.create_default_context(
            cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        with tempfile.NamedTemporaryFile() as pair:
            pair.write(base64.b64decode(user["client-certificate-data"]) +
                       base64.b64decode(user["client-key-data"]))
            pair.flush()
            self.context.load_cert_chain(pair.name)
        self.own = threading.local()
        self.known, self.writes, self.read = set(), [], self.audit_log.stat().st_size

    def kubeconfig(self, path):
        path.write_text(self.path.read_text(encoding="utf-8"), encoding="utf-8")
        return path

    def stop(self):
        pass

    def call(self, method, path, body=None, content_type="application/json"):
        """(status, answer)"""
        if getattr(self.own, "connection", None) is None:
            self.own.connection = http.client.HTTPSConnection(self.where, context=self.context, timeout=60)
        self.own.connection.request(method, path, None if body is None else json.dumps(body),
                                    {"Content-Type": content_type})
        answer = self.own.connection.getresponse()
        return answer.status, json.loads(answer.read())

    @staticmethod
    def place(kind, namespace, name=None):
        group, version, _, namespaced = RESOURCES[PLURALS[kind]]
        return (f"/apis/{group}" if group else "/api") + f"/{version}" + \
            (f"/namespaces/{namespace}" if namespaced else "") + \
            f"/{PLURALS[kind]}" + (f"/{name}" if name else "")

    def put(self, item):
        """As kubectl apply does: created, or changed where it differs."""
        group, version, _, _ = RESOURCES[PLURALS[item["kind"]]]
        item = {"apiVersion": f"{group}/{version}" if group else version, **item}
        meta = item["metadata"]
        space = meta.get("namespace", "")
        key, status = (item["kind"], space, meta["name"]), 409
        if key not in self.known:
            status, answer = self.call("POST", self.place(item["kind"], space), item)
        if status == 409:
            status, answer = self.call("PATCH", self.place(*key), item, "application/merge-patch+json")
        self.known.add(key)
        if status not in (200, 201):
            raise SystemExit(f"{item['kind']} {meta['name']}: {status} {answer.get('message')}")

    def load(self, items):
        with concurrent.futures.ThreadPoolExecutor(LOADERS) as pool:
            for done in [pool.submit(self.put, item) for item in items]:
                done.result()

    def get(self, kind, name, namespace="default"):
        status, answer = self.call("GET", self.place(kind, namespace, name))
        return answer if status == 200 else None

    def remove(self, kind, name, namespace="default"):
        self.call("DELETE", self.place(kind, namespace, name))

    def status_writes(self, since=0):
        """(plural, when) of each from `since` on: the control plane's, by its name in the request."""
        with open(self.audit_log, "rb") as log:
            log.seek(self.read)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self.read += len(line)
                if b'"subresource":"status"' not in line or b"fieldManager=nantian-control" not in line:
                    continue
                event = json.loads(line)
                when = event["stageTimestamp"]
                at = calendar.timegm(time.strptime(when[:19], "%Y-%m-%dT%H:%M:%S")) + float(when[19:-1])
                if event["responseStatus"]["code"] == 200:
                    self.writes.append((event["objectRef"]["resource"],
                                        at - time.time() + time.monotonic()))
        return self.writes[since:]

    def mark(self):
        """Where what comes from now on begins."""
        return len(self.status_writes())
