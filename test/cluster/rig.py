"""A Kubernetes of this machine's own: real etcd, kube-apiserver and kube-controller-manager, and our
node (kubernetes/node), all in network, mount and process namespaces that end with it.
"""
# SPDX-License-Identifier: Apache-2.0
import base64
import datetime
import fcntl
import ipaddress
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
NODE = "10.10.0.1"  # these addresses are in kubernetes/node/main.go too
SERVICES = "10.96.0.0/16"
BALANCERS = "10.250.0.0/16"
NAMES = "10.96.0.10"
API = f"https://{NODE}:6443"
STATE = "NANTIAN_RIG"

CONTROLLERS = ["deployment-controller", "replicaset-controller", "daemonset-controller",
               "endpointslice-controller", "namespace-controller", "job-controller",
               "garbage-collector-controller", "serviceaccount-controller", "disruption-controller",
               "root-ca-certificate-publisher-controller", "clusterrole-aggregation-controller"]

AUDIT = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
         "rules": [{"level": "RequestResponse", "verbs": ["create", "update", "patch", "delete"],
                    "users": ["system:serviceaccount:nantian-system:nantian-control"],
                    "resources": [{"group": "gateway.networking.k8s.io"},
                                  {"group": "coordination.k8s.io"}]},
                   {"level": "Metadata", "verbs": ["create", "update", "patch", "delete"]},
                   {"level": "None"}]}


SUDO = ["sudo", "-n", "--preserve-env"]
NAMESPACES = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
# What the rig and its node ask of the kernel, in a namespace that is gone afterwards.
PROBE = """
set -e
mount -t tmpfs tmpfs /run
ip link set lo up
ip link add probe0 type veth peer name probe1
echo 1 >/proc/sys/net/ipv4/ip_forward
nft -f - <<END
table ip probe {
    chain output { type nat hook output priority -100; ip daddr 192.0.2.1 dnat to 127.0.0.1; }
}
END
"""


def may_be_root():
    """This is root, or sudo makes it so without asking."""
    return os.geteuid() == 0 or bool(shutil.which("sudo")) and subprocess.run(
        [*SUDO, "true"], check=False, timeout=30, capture_output=True).returncode == 0


def obstacle():
    """Why this machine cannot have a rig at all, in words; "" when it can."""
    if not may_be_root():
        return "this is not root, and there is no sudo without a password"
    tried = subprocess.run([*([] if os.geteuid() == 0 else SUDO), *NAMESPACES, "sh", "-c", PROBE],
                           check=False, timeout=60, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return "" if tried.returncode == 0 else f"the kernel refuses: {tried.stdout.strip()[-300:]}"


def enter(prepare):
    """Runs this program anew in namespaces of its own, where every process ends with the first one,
    and ends as that did. Returns only in there: what `prepare` gave, out here, where there is a
    network, and "pid", that of this process.
    """
    state = json.loads(os.environ.get(STATE) or "{}")
    if "pid" in state:
        return state
    if not may_be_root():
        sys.exit("rig: needs root: it makes network namespaces")
    os.environ[STATE] = json.dumps(state or prepare())
    if os.geteuid() != 0:
        os.execvp(SUDO[0], [*SUDO, sys.executable, *sys.argv])
    os.environ[STATE] = json.dumps({**json.loads(os.environ[STATE]), "pid": os.getpid()})
    # Were this process killed, unshare would be, and with it the first process in there.
    child = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *NAMESPACES, sys.executable,
                              *sys.argv])
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: child.kill())
    try:
        code = child.wait()
    except KeyboardInterrupt:  # a terminal tells the inside as well
        try:
            code = child.wait(20)
        except (KeyboardInterrupt, subprocess.TimeoutExpired):
            child.kill()
            code = child.wait()
    sys.exit(code if code >= 0 else 128 - code)


def wait_for(condition, what, seconds=120, step=0.1):
    """The first true answer; RuntimeError after a while."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise RuntimeError(f"after {seconds} s still not: {what}")
        time.sleep(step)


class Authority:
    """The cluster's certificate authority."""

    def __init__(self, folder):
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rig")])
        self.certificate = self._sign(self.name, self.key.public_key(), lambda b: b.add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True))
        self._write("ca", self.certificate, self.key)

    def _sign(self, subject, public, extend):
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(self.name)
                   .public_key(public).serial_number(x509.random_serial_number())
                   .not_valid_before(now - datetime.timedelta(hours=1))
                   .not_valid_after(now + datetime.timedelta(days=30)))
        return extend(builder).sign(self.key, hashes.SHA256())

    def _write(self, name, certificate, key):
        (self.folder / f"{name}.crt").write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM))
        (self.folder / f"{name}.key").write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()))

    def issue(self, name, organization=None, addresses=(), names=()):
        key = ec.generate_private_key(ec.SECP256R1())
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
        if organization:
            attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
        alternatives = [x509.IPAddress(ipaddress.ip_address(each)) for each in addresses]
        alternatives += [x509.DNSName(each) for each in names]
        usage = ExtendedKeyUsageOID.SERVER_AUTH if alternatives else ExtendedKeyUsageOID.CLIENT_AUTH

        def extend(builder):
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            if alternatives:
                builder = builder.add_extension(x509.SubjectAlternativeName(alternatives),
                                                critical=False)
            return builder
        self._write(name, self._sign(x509.Name(attributes), key.public_key(), extend), key)


class Rig:
    """One cluster; every process of it is a child of this one, inside of enter()'s namespaces."""

    def __init__(self, binaries, folder, images):
        self.binaries, self.node = pathlib.Path(binaries["folder"]), binaries["node"]
        self.helm = binaries["helm"]  # the folder of it
        self.folder = pathlib.Path(folder)
        self.images = images
        self.kubeconfig = self.folder / "kubeconfig"
        self.processes = {}
        self.changing = threading.RLock()  # while a process is replaced
        self.is_ending = False
        self.lock = None

    # ---- processes ----

    def spawn(self, name, *command):
        with open(self.folder / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(
                [str(each) for each in command], stdout=log, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL)

    def restart(self, name, between=None):
        """Kills a process and starts it again as it was; what is done between the two."""
        with self.changing:
            process = self.processes[name]
            process.kill()
            process.wait(60)
            if between:
                between()
            self.spawn(name, *process.args)

    def _guard(self):
        """Without one of its processes nothing here has a future: the whole rig ends at once."""
        while not self.is_ending:
            try:
                with self.changing:
                    self.check()
            except RuntimeError as problem:
                if not self.is_ending:
                    print(f"failed: the rig: {problem}", flush=True)
                    os._exit(1)
            time.sleep(1)

    def check(self):
        for name, process in list(self.processes.items()):
            if process.poll() is not None:
                text = (self.folder / f"{name}.log").read_text(errors="replace")
                raise RuntimeError(f"{name} ended with {process.returncode}:\n{text[-3000:]}")

    def ended(self):
        """Programs of ours that ended by themselves, in the node's words."""
        text = (self.folder / "node.log").read_text(errors="replace")
        return re.findall(r"\S+: (?:control|proxy) ended with .*|\S+: \S+ is killed: .*", text)

    def say_logs(self, pattern, lines=60):
        """Prints the ends of containers' logs."""
        for path in sorted((self.folder / "logs").glob(pattern)):
            print(f"---- {path.name}")
            print("\n".join(path.read_text(errors="replace").splitlines()[-lines:]), flush=True)

    def stop(self):
        self.is_ending = True
        for name in ("node", "kube-controller-manager", "kube-apiserver", "etcd"):
            process = self.processes.get(name)
            if process and process.poll() is None:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()

    # ---- talking to it ----

    def kubectl(self, *arguments, text=None, check=True, timeout=120):
        done = subprocess.run([self.binaries / "kubectl", "--kubeconfig", self.kubeconfig,
                               *map(str, arguments)], input=text, capture_output=True, text=True,
                              check=False, timeout=timeout)
        if check and done.returncode != 0:
            raise RuntimeError(f"kubectl {' '.join(map(str, arguments))}: {done.stderr}")
        return done.stdout

    def get(self, *arguments):
        return json.loads(self.kubectl("get", "-o", "json", *arguments))

    # ---- starting ----

    def _network(self):
        for command in ("link set lo up", f"addr add {NODE}/32 dev lo", f"addr add {NAMES}/32 dev lo",
                        f"route add {SERVICES} dev lo src {NODE}",
                        f"route add {BALANCERS} dev lo src {NODE}"):
            subprocess.run(["ip", *command.split()], check=True)
        for path, value in (("ip_forward", 1), ("conf/all/rp_filter", 0),
                            ("conf/default/rp_filter", 0)):
            pathlib.Path(f"/proc/sys/net/ipv4/{path}").write_text(str(value), encoding="ascii")
        # Names of network namespaces are this rig's own.
        os.makedirs("/run/netns", exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run/netns"], check=True)

    def _certificates(self):
        keys = self.folder / "pki"
        keys.mkdir()
        authority = Authority(keys)
        authority.issue("apiserver", addresses=[NODE, "10.96.0.1", "127.0.0.1"], names=[
            "kubernetes", "kubernetes.default", "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local"])
        authority.issue("admin", organization="system:masters")
        authority.issue("tokens")
        self.write_kubeconfig(self.kubeconfig, "admin")
        return keys

    def write_kubeconfig(self, path, user):
        keys = self.folder / "pki"

        def text(name):
            return base64.b64encode((keys / name).read_bytes()).decode()
        path.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "rig",
            "clusters": [{"name": "rig", "cluster": {
                "server": API, "certificate-authority-data": text("ca.crt")}}],
            "users": [{"name": user, "user": {
                "client-certificate-data": text(f"{user}.crt"),
                "client-key-data": text(f"{user}.key")}}],
            "contexts": [{"name": "rig", "context": {"cluster": "rig", "user": user}}],
        }, indent=1), encoding="utf-8")

    def _api_server(self, keys):
        (self.folder / "audit.json").write_text(json.dumps(AUDIT), encoding="utf-8")
        self.spawn(
            "kube-apiserver", self.binaries / "kube-apiserver",
            "--etcd-servers=http://127.0.0.1:2379", f"--bind-address={NODE}",
            f"--advertise-address={NODE}", "--secure-port=6443",
            f"--service-cluster-ip-range={SERVICES}", f"--client-ca-file={keys}/ca.crt",
            f"--tls-cert-file={keys}/apiserver.crt", f"--tls-private-key-file={keys}/apiserver.key",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={keys}/tokens.crt",
            f"--service-account-signing-key-file={keys}/tokens.key", "--authorization-mode=RBAC",
            "--kubelet-preferred-address-types=InternalIP", "--profiling=false",
            "--feature-gates=ClusterTrustBundle=true",
            "--runtime-config=certificates.k8s.io/v1beta1/clustertrustbundles=true",
            f"--audit-policy-file={self.folder}/audit.json",
            f"--audit-log-path={self.folder}/audit.log")
        wait_for(self._healthy, "kube-apiserver is ready", 180)

    def _healthy(self):
        self.check()
        return self.kubectl("get", "--raw", "/readyz", check=False, timeout=30) == "ok"

    def _claim(self):
        """Two rigs cannot share a folder; the lock ends with this process."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self.lock = open(self.folder.with_name(self.folder.name + ".lock"), "w", encoding="ascii")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"rig: another one runs in {self.folder}; RIG names another folder")

    def start(self):
        self._claim()
        threading.Thread(target=self._guard, daemon=True).start()
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True)
        self._network()
        keys = self._certificates()
        self.spawn("etcd", self.binaries / "etcd", f"--data-dir={self.folder}/etcd",
                   "--unsafe-no-fsync", "--listen-client-urls=http://127.0.0.1:2379",
                   "--advertise-client-urls=http://127.0.0.1:2379",
                   "--listen-peer-urls=http://127.0.0.1:2380")
        self._api_server(keys)
        self.spawn("kube-controller-manager", self.binaries / "kube-controller-manager",
                   f"--kubeconfig={self.kubeconfig}", "--leader-elect=false",
                   f"--controllers={','.join(CONTROLLERS)}", "--bind-address=127.0.0.1",
                   f"--service-account-private-key-file={keys}/tokens.key",
                   f"--root-ca-file={keys}/ca.crt", "--kube-api-qps=500", "--kube-api-burst=1000",
                   "--profiling=false")
        table = self.folder / "images.json"
        table.write_text(json.dumps(self.images, indent=1), encoding="utf-8")
        self.spawn("node", self.node, f"--kubeconfig={self.kubeconfig}",
                   f"--images={table}", f"--state={self.folder}")
        self.kubectl("apply", "--server-side", "-f", self.binaries / "crds")
        wait_for(lambda: self.kubectl("wait", "--for=condition=Established", "crd", "--all",
                                      check=False), "the CRDs are established")
