"""A scripted Kubernetes API server: objects with revisions, lists in pages, watches, writes with
optimistic locking, and every fault a test can name. HTTP/1.1, a thread a connection.

What a request meets first is `rules`: a test adds one with `when()`, and it answers, waits or cuts
as it says. What was asked is in `audit`.
"""
# SPDX-License-Identifier: Apache-2.0
import copy
import datetime
import http.client
import http.server
import json
import socket
import ssl
import threading
import time
import urllib.parse
import uuid

GATEWAY = "gateway.networking.k8s.io"
EXPERIMENTAL = "gateway.networking.x-k8s.io"
NANTIAN = "gateway.nantian.dev"

# plural -> (group, version, kind, namespaced)
RESOURCES = {
    "gatewayclasses": (GATEWAY, "v1", "GatewayClass", False),
    "gateways": (GATEWAY, "v1", "Gateway", True),
    "listenersets": (GATEWAY, "v1", "ListenerSet", True),
    "httproutes": (GATEWAY, "v1", "HTTPRoute", True),
    "grpcroutes": (GATEWAY, "v1", "GRPCRoute", True),
    "tlsroutes": (GATEWAY, "v1", "TLSRoute", True),
    "tcproutes": (GATEWAY, "v1", "TCPRoute", True),
    "udproutes": (GATEWAY, "v1", "UDPRoute", True),
    "referencegrants": (GATEWAY, "v1", "ReferenceGrant", True),
    "backendtlspolicies": (GATEWAY, "v1", "BackendTLSPolicy", True),
    "backendlbpolicies": (GATEWAY, "v1alpha2", "BackendLBPolicy", True),
    "xbackendtrafficpolicies": (EXPERIMENTAL, "v1alpha1", "XBackendTrafficPolicy", True),
    "xbackends": (EXPERIMENTAL, "v1alpha1", "XBackend", True),
    "services": ("", "v1", "Service", True),
    "secrets": ("", "v1", "Secret", True),
    "configmaps": ("", "v1", "ConfigMap", True),
    "pods": ("", "v1", "Pod", True),
    "clustertrustbundles": ("certificates.k8s.io", "v1beta1", "ClusterTrustBundle", False),
    "namespaces": ("", "v1", "Namespace", False),
    "serviceaccounts": ("", "v1", "ServiceAccount", True),
    "events": ("events.k8s.io", "v1", "Event", True),
    "deployments": ("apps", "v1", "Deployment", True),
    "horizontalpodautoscalers": ("autoscaling", "v2", "HorizontalPodAutoscaler", True),
    "poddisruptionbudgets": ("policy", "v1", "PodDisruptionBudget", True),
    "endpointslices": ("discovery.k8s.io", "v1", "EndpointSlice", True),
    "leases": ("coordination.k8s.io", "v1", "Lease", True),
    "customresourcedefinitions": ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", False),
    "routepolicies": (NANTIAN, "v1alpha1", "RoutePolicy", True),
    "securitypolicies": (NANTIAN, "v1alpha1", "SecurityPolicy", True),
    "gatewayparameters": (NANTIAN, "v1alpha1", "GatewayParameters", True),
}
PLURALS = {kind: plural for plural, (_, _, kind, _) in RESOURCES.items()}


class Cut(Exception):
    """The connection ends here and now."""


class Request:
    def __init__(self, method, path, query, body, fields):
        self.method, self.path, self.query, self.body = method, path, query, body
        self.fields, self.at = fields, time.monotonic()
        parts = [part for part in path.split("/") if part]
        parts = parts[2:] if parts[0] == "api" else parts[3:]
        self.namespace = None
        if len(parts) > 2 and parts[0] == "namespaces" and parts[2] not in ("status", "finalize"):
            self.namespace, parts = parts[1], parts[2:]
        self.plural = parts[0]
        self.name = parts[1] if len(parts) > 1 else None
        self.sub = parts[2] if len(parts) > 2 else None

    @property
    def verb(self):
        if self.method == "GET":
            if self.query.get("watch") in ("1", "true"):
                return "watch"
            return "get" if self.name else "list"
        if self.method == "DELETE" and not self.name:
            return "deletecollection"
        return self.method.lower()

    def user(self):
        return self.fields.get("Authorization", "").removeprefix("Bearer ")


def merge(target, patch):
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    target = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = merge(target.get(key), value)
    return target


def status_of(code, reason, message=""):
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
            "reason": reason, "message": message or reason}


class KubeServer:
    """Starts at once; `url` is where. `token` empty: anybody may come; else who has it, or has
    "TOKEN-anything": so one can tell who asked."""

    def __init__(self, token="", context=None, missing=()):
        self.lock = threading.RLock()
        self.news = {plural: threading.Condition(self.lock) for plural in RESOURCES}
        self.revision = 100
        self.objects = {plural: {} for plural in RESOURCES}
        self.log = []  # (revision, plural, type, object), in order
        self.compacted = 0
        self.missing = set(missing)
        self.rules = []
        self.audit = []
        self.token = token
        self.reviews = {}  # token -> user, for TokenReview
        self.pods = {}  # name of a pod -> the port that its proxy leads to, or a Unix socket
        self.lagging = set()  # (user, plural): no event and no bookmark of these is told
        self.frozen = {}  # user -> (objects, revision): what it sees of the world
        self.watch_epoch = 0
        self.bookmark_every = 0.3
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *args):  # pylint: disable=arguments-differ
                pass

            def handle_any(self):
                outer.answer(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request, client_address):
                pass

        self.handler, self.server_class, self.context = Handler, Server, context
        self.server, self.port = None, 0
        self.start()

    # -- life --

    def start(self):
        self.server = self.server_class(("127.0.0.1", self.port), self.handler)
        if self.context:
            self.server.socket = self.context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        """Nobody listens any more, and every watch ends."""
        self.server.shutdown()
        self.server.server_close()
        self.cut_watches()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def url(self):
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self.port}"

    def kubeconfig(self, path, ca=None, namespace="default", **user):
        """Writes one that leads here."""
        cluster = {"server": self.url}
        if ca:
            cluster["certificate-authority"] = str(ca)
        if self.token:
            user.setdefault("token", self.token)
        path.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "contexts": [{"name": "it", "context": {
                "cluster": "c", "user": "u", "namespace": namespace}}],
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": user}]}), encoding="utf-8")
        return path

    # -- the script --

    def when(self, do, verb=None, plural=None, times=None, **more):
        """`do(request, handler)` runs before a matching request is answered: it may wait, raise
        Cut, or return (status, object[, headers]) as the answer; None goes on as usual."""
        rule = {"do": do, "verb": verb, "plural": plural, "times": times, **more}
        with self.lock:
            self.rules.append(rule)
        return rule

    def forget(self, rule):
        with self.lock:
            if rule in self.rules:
                self.rules.remove(rule)

    def cut_watches(self, how="end"):
        """Every open watch ends: "end" cleanly, "cut" in the middle of a chunk, "expired" with an
        ERROR event."""
        with self.lock:
            self.watch_epoch += 1
            self.watch_end = how
            self._wake()

    def compact(self):
        """Nothing before now can be watched from."""
        with self.lock:
            self.compacted = self.revision
            self.log.clear()

    def _wake(self):
        for news in self.news.values():
            news.notify_all()

    def lag(self, user, plural, on=True):
        """This user's watches of a kind tell nothing until it is taken back."""
        with self.lock:
            (self.lagging.add if on else self.lagging.discard)((user, plural))
            self._wake()

    def freeze(self, user, state):
        """This user lists what `state()` was, and hears no events; None: as everybody again."""
        with self.lock:
            if state is None:
                self.frozen.pop(user, None)
                self.watch_end = "expired"
                self.watch_epoch += 1
            else:
                self.frozen[user] = state
            self._wake()

    def state(self):
        with self.lock:
            return copy.deepcopy(self.objects), self.revision

    def restore(self, state):
        """What etcdctl snapshot restore does: the world is as it was, revisions go back."""
        with self.lock:
            self.objects, self.revision = copy.deepcopy(state[0]), state[1]
            self.log.clear()
            self.watch_end = "end"
            self.watch_epoch += 1
            self._wake()

    def writes(self, plural=None, sub=None, name=None):
        return [r for r in list(self.audit) if r.verb not in ("get", "list", "watch")
                and plural in (None, r.plural) and sub in (None, r.sub)
                and name in (None, r.name)]

    def count(self, verb, plural):
        return sum(r.verb == verb and r.plural == plural for r in list(self.audit))

    # -- objects --

    def get(self, kind, name, namespace="default"):
        plural = PLURALS.get(kind, kind)
        namespace = namespace if RESOURCES[plural][3] else ""
        with self.lock:
            return copy.deepcopy(self.objects[plural].get((namespace, name)))

    def _record(self, plural, kind, item):
        self.log.append((self.revision, plural, kind, copy.deepcopy(item)))
        self.news[plural].notify_all()

    def put(self, item, silent=False, status=False):
        """Creates or replaces. `silent`: no watch is told."""
        item = copy.deepcopy(item)
        plural = PLURALS[item["kind"]]
        group, version, _, namespaced = RESOURCES[plural]
        item["apiVersion"] = f"{group}/{version}" if group else version
        meta = item.setdefault("metadata", {})
        if namespaced:
            meta.setdefault("namespace", "default")
        key = (meta.get("namespace", "") if namespaced else "", meta["name"])
        with self.lock:
            old = self.objects[plural].get(key)
            self.revision += 1
            meta["resourceVersion"] = str(self.revision)
            if old is None:
                now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
                meta.setdefault("uid", str(uuid.uuid4()))
                meta.setdefault("creationTimestamp", now)
                meta["generation"] = 1
            else:
                same = old.get("spec") == item.get("spec")
                old_meta = old["metadata"]
                meta["uid"] = old_meta["uid"]
                meta["creationTimestamp"] = old_meta["creationTimestamp"]
                meta["generation"] = old_meta["generation"] + (0 if same else 1)
                if not status and "status" not in item and "status" in old:
                    item["status"] = old["status"]
            self.objects[plural][key] = item
            if not silent:
                self._record(plural, "ADDED" if old is None else "MODIFIED", item)
            return copy.deepcopy(item)

    def remove(self, kind, name, namespace="default", silent=False):
        plural = PLURALS.get(kind, kind)
        namespace = namespace if RESOURCES[plural][3] else ""
        with self.lock:
            item = self.objects[plural].pop((namespace, name), None)
            if item is None:
                return False
            self.revision += 1
            item["metadata"]["resourceVersion"] = str(self.revision)
            if not silent:
                self._record(plural, "DELETED", item)
            return True

    def resend(self, kind, name, namespace="default", type_="MODIFIED"):
        """An event that was told before, once more, with its old revision."""
        plural = PLURALS[kind]
        with self.lock:
            item = self.objects[plural][(namespace if RESOURCES[plural][3] else "", name)]
            self._record(plural, type_, item)

    def install(self, plural):
        """A kind that was missing is served from now on."""
        with self.lock:
            self.missing.discard(plural)

    # -- answering --

    def answer(self, handler):
        url = urllib.parse.urlsplit(handler.path)
        length = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(length) if length else b""
        query = {key: values[0] for key, values in urllib.parse.parse_qs(url.query).items()}
        request = Request(handler.command, url.path, query, body, handler.headers)
        with self.lock:
            self.audit.append(request)
            rules = list(self.rules)
        try:
            for rule in rules:
                if rule["verb"] not in (None, request.verb) or \
                        rule["plural"] not in (None, request.plural) or \
                        rule.get("sub", request.sub) != request.sub:
                    continue
                if rule["times"] is not None:
                    with self.lock:
                        if rule["times"] == 0:
                            continue
                        rule["times"] -= 1
                said = rule["do"](request, handler)
                if said is not None:
                    self.reply(handler, *said)
                    return
            self.serve(request, handler)
        except (Cut, OSError):
            handler.close_connection = True

    @staticmethod
    def reply(handler, code, item, headers=None):
        data = json.dumps(item).encode()
        handler.send_response(code)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)

    def fail(self, handler, code, reason, message=""):
        self.reply(handler, code, status_of(code, reason, message))

    def serve(self, request, handler):
        if self.token and request.user().split("-")[0] != self.token:
            self.fail(handler, 401, "Unauthorized")
            return
        if request.plural == "tokenreviews":
            self.review(request, handler)
            return
        known = RESOURCES.get(request.plural)
        group, version = ("", "") if known is None else known[:2]
        prefix = f"/apis/{group}/{version}/" if group else f"/api/{version}/"
        if known is None or request.plural in self.missing or not request.path.startswith(prefix):
            self.fail(handler, 404, "NotFound", "the server could not find the requested resource")
            return
        special = {"proxy": self.proxy, "token": self.make_token}.get(request.sub)
        if special:
            special(request, handler)
            return
        getattr(self, f"do_{request.verb}")(request, handler)

    def proxy(self, request, handler):
        """To the pod: without who asked, as the real one; from another address than loopback."""
        connection = http.client.HTTPConnection("localhost", timeout=30)
        place = self.pods.get(request.name.split(":")[0], "/nowhere")
        try:
            if isinstance(place, int):
                connection.sock = socket.create_connection(("127.0.0.1", place), 30,
                                                           ("127.0.0.2", 0))
            else:
                connection.sock = socket.socket(socket.AF_UNIX)
                connection.sock.connect(str(place))
            fields = {name: value for name, value in handler.headers.items()
                      if name.lower() not in ("authorization", "host")}
            connection.request(request.method, handler.path.partition("/proxy")[2], headers=fields)
            answer = connection.getresponse()
            data = answer.read()
        except OSError as err:
            self.fail(handler, 503, "ServiceUnavailable",
                      f"error trying to reach service: dial tcp 10.244.0.9:19001: {err.strerror}")
            return
        finally:
            connection.close()
        handler.send_response(answer.status)
        handler.send_header("Content-Type", answer.getheader("Content-Type", ""))
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    def make_token(self, request, handler):
        """TokenRequest: one for this account, and these audiences alone."""
        item = json.loads(request.body)
        if self.get("ServiceAccount", request.name, request.namespace) is None:
            self.fail(handler, 404, "NotFound", f'serviceaccounts "{request.name}" not found')
            return
        token = f"made.{len(self.reviews)}.token"
        self.reviews[token] = {
            "username": f"system:serviceaccount:{request.namespace}:{request.name}", "groups": [],
            "audiences": item["spec"]["audiences"]}
        item["status"] = {"token": token}
        self.reply(handler, 201, item)

    def review(self, request, handler):
        item = json.loads(request.body)
        user = self.reviews.get(item["spec"]["token"])
        if user and not set(user.get("audiences", item["spec"].get("audiences", []))) & set(
                item["spec"].get("audiences", [])):
            user = None
        item["status"] = {"authenticated": user is not None}
        if user is not None:
            item["status"]["user"] = user
            item["status"]["audiences"] = item["spec"].get("audiences", [])
        self.reply(handler, 201, item)

    def _key(self, request):
        return (request.namespace or "" if RESOURCES[request.plural][3] else "", request.name)

    def do_get(self, request, handler):
        with self.lock:
            item = copy.deepcopy(self.objects[request.plural].get(self._key(request)))
        if item is None:
            self.fail(handler, 404, "NotFound")
        else:
            self.reply(handler, 200, item)

    def do_list(self, request, handler):
        _, version, kind, _ = RESOURCES[request.plural]
        group = RESOURCES[request.plural][0]
        with self.lock:
            objects, revision = self.frozen.get(request.user(), (self.objects, self.revision))
            everything = sorted(objects[request.plural].items())
            items = [copy.deepcopy(item) for key, item in everything
                     if request.namespace in (None, key[0])]
        label = request.query.get("labelSelector", "").split("=")
        if len(label) == 2:
            items = [item for item in items
                     if item["metadata"].get("labels", {}).get(label[0]) == label[1]]
        start = int(request.query.get("continue", "0").split("-")[0])
        limit = int(request.query.get("limit", "0")) or len(items)
        meta = {"resourceVersion": str(revision)}
        if start + limit < len(items):
            meta["continue"] = f"{start + limit}-{revision}"
        if not group:  # as the real one: items of built-in kinds name no kind
            for item in items:
                item.pop("kind")
                item.pop("apiVersion")
        self.reply(handler, 200, {
            "kind": f"{kind}List", "apiVersion": f"{group}/{version}" if group else version,
            "metadata": meta, "items": items[start:start + limit]})

    def do_watch(self, request, handler):
        since = int(request.query.get("resourceVersion", "0"))
        if since < self.compacted:
            self.fail(handler, 410, "Expired", "too old resource version")
            return
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.flush()

        def send(kind, item):
            data = json.dumps({"type": kind, "object": item}).encode() + b"\n"
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            handler.wfile.flush()

        deadline = time.monotonic() + float(request.query.get("timeoutSeconds", "300"))
        epoch, sent, marked = self.watch_epoch, 0, time.monotonic()
        with self.lock:
            sent = next((i for i, entry in enumerate(self.log) if entry[0] > since), len(self.log))
        log = self.log
        while time.monotonic() < deadline:
            with self.lock:
                if sent >= len(log):
                    self.news[request.plural].wait(0.1)
                over, revision = self.watch_epoch != epoch, self.revision
                is_silent = (request.user(), request.plural) in self.lagging or \
                    request.user() in self.frozen
                batch = [] if is_silent else log[sent:]
                sent = sent if is_silent else max(sent, len(log))
            if is_silent:
                marked = time.monotonic()
                if not over:
                    time.sleep(0.02)
            for _, plural, kind, item in batch:
                if plural == request.plural:
                    send(kind, item)
            if over:
                self._end_watch(send, handler)
            if time.monotonic() - marked > self.bookmark_every:
                marked = time.monotonic()
                group, version, kind, _ = RESOURCES[request.plural]
                send("BOOKMARK", {"kind": kind,
                                  "apiVersion": f"{group}/{version}" if group else version,
                                  "metadata": {"resourceVersion": str(revision)}})
        handler.wfile.write(b"0\r\n\r\n")

    def _end_watch(self, send, handler):
        if self.watch_end == "expired":
            send("ERROR", status_of(410, "Expired", "too old resource version"))
        if self.watch_end == "cut":
            handler.wfile.write(b"400\r\n{\"type\":\"MODIFIED\",\"object\":{\"kind\":\"HTTPRo")
        else:
            handler.wfile.write(b"0\r\n\r\n")
        handler.wfile.flush()
        raise Cut

    def do_post(self, request, handler):
        item = json.loads(request.body)
        meta = item.setdefault("metadata", {})
        if request.namespace:
            meta["namespace"] = request.namespace
        if "generateName" in meta and "name" not in meta:
            meta["name"] = meta["generateName"] + uuid.uuid4().hex[:8]
        with self.lock:
            if (request.namespace or "", meta["name"]) in self.objects[request.plural]:
                item = None
            else:
                item = self.put({**item, "kind": RESOURCES[request.plural][2]})
        if item is None:
            self.fail(handler, 409, "AlreadyExists")
        else:
            self.reply(handler, 201, item)

    def _write(self, request, handler, make):
        with self.lock:
            old = self.objects[request.plural].get(self._key(request))
            said = make(copy.deepcopy(old))
            code = said[0]
            if code in (200, 201):
                new = said[1]
                wanted = new["metadata"].get("resourceVersion")
                if old is not None and wanted not in (None, old["metadata"]["resourceVersion"]):
                    code, said = 409, (409, "Conflict")
                else:
                    unchanged = old is not None and \
                        {**new, "metadata": {**new["metadata"], "resourceVersion": None}} == \
                        {**old, "metadata": {**old["metadata"], "resourceVersion": None}}
                    if unchanged:
                        item = copy.deepcopy(old)
                    elif "dryRun" in request.query:
                        item = new
                    else:
                        item = self.put(new, status=request.sub == "status")
        if code in (200, 201):
            self.reply(handler, code, item)
        else:
            self.fail(handler, code, said[1])

    def do_deletecollection(self, request, handler):
        def chosen(text, item):
            at = item
            key, value = text.split("=")
            for name in ["metadata", "labels", key] if "/" in key else key.split("."):
                at = at.get(name, {})
            return at == value
        wanted = [text for name in ("fieldSelector", "labelSelector")
                  for text in request.query.get(name, "").split(",") if text]
        with self.lock:
            found = [item for (namespace, _), item in self.objects[request.plural].items()
                     if namespace == request.namespace and all(chosen(t, item) for t in wanted)]
        for item in found:
            self.remove(request.plural, item["metadata"]["name"], request.namespace)
        self.reply(handler, 200, {"kind": "Status", "apiVersion": "v1", "status": "Success"})

    def do_put(self, request, handler):
        sent = json.loads(request.body)

        def make(old):
            if old is None:
                return 404, "NotFound"
            if request.sub == "status":
                meta = {**old["metadata"],
                        "resourceVersion": sent["metadata"].get("resourceVersion")}
                return 200, {**old, "metadata": meta, "status": sent.get("status")}
            return 200, {**sent, "metadata": {**old["metadata"], **sent["metadata"]}}
        self._write(request, handler, make)

    def do_patch(self, request, handler):
        patch = json.loads(request.body)
        applies = "apply-patch" in request.fields.get("Content-Type", "")

        def make(old):
            if old is None and not applies:
                return 404, "NotFound"
            if old is None:
                meta = {"name": request.name, **patch["metadata"]}
                if request.namespace:
                    meta["namespace"] = request.namespace
                return 201, {**patch, "metadata": meta}
            if request.sub == "status":
                wanted = patch.get("metadata", {}).get("resourceVersion")
                meta = {**old["metadata"], **({"resourceVersion": wanted} if wanted else {})}
                return 200, {**old, "metadata": meta,
                             "status": merge(old.get("status") or {}, patch.get("status"))}
            return 200, merge(old, patch)
        self._write(request, handler, make)

    def do_delete(self, request, handler):
        key = self._key(request)
        if self.remove(request.plural, request.name, key[0]):
            self.reply(handler, 200, {"kind": "Status", "apiVersion": "v1", "status": "Success"})
        else:
            self.fail(handler, 404, "NotFound")


def main():
    import sys
    import yaml
    server = KubeServer()
    for name in sys.argv[1:]:
        with open(name, encoding="utf-8") as file:
            for item in yaml.safe_load_all(file):
                if item:
                    server.put(item)
    print(server.url, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
