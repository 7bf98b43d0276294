"""`Programmed` as a register: a Gateway's certificate is written, a handshake reads it.

A write ends when the Gateway says Programmed for its generation. From then on no read may give an
older value, no read may give one that is not written yet, and of two reads one behind the other the
second may not give the older one: with one writer that is linearizability.
"""
# SPDX-License-Identifier: Apache-2.0
import concurrent.futures
import contextlib
import socket
import ssl
import threading
import time

from cryptography import x509

from rig import wait_for
from world import GATEWAYS, PATIENCE, gateway, is_fresh, secret

VALUES = 4  # Secrets, taken in turn; a history has fewer writes than that
WRITES = 3
READERS = 3


def serial_name(address, name):
    """The name in the certificate that is served; None when no handshake came to its end."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with contextlib.suppress(OSError):
        with socket.create_connection((address, 443), timeout=10) as plain, \
                context.wrap_socket(plain, server_hostname=name) as tls:
            leaf = x509.load_der_x509_certificate(tls.getpeercert(True))
            return leaf.subject.rfc4514_string().removeprefix("CN=")
    return None


class Register:
    """A Gateway with one data plane, so that `Programmed` speaks of every one of them."""

    def __init__(self, world):
        self.world, self.api = world, world.api
        world.apply(*(secret(f"value-{i}", f"value-{i}") for i in range(VALUES)),
                    gateway("register", "value-0"))
        found = wait_for(lambda: self._programmed(1), "the register is programmed", PATIENCE, 0.2)
        self.address = found["status"]["addresses"][0]["value"]
        wait_for(lambda: self.read() == "value-0", "the register can be read", PATIENCE, 0.2)
        self.value = 0

    def read(self):
        return serial_name(self.address, "value.example")

    def _programmed(self, generation):
        found = self.api.get(f"{GATEWAYS}/register") or {}
        status = found.get("status", {})
        good = status.get("addresses") and is_fresh(status.get("conditions", []), generation,
                                                    "Programmed")
        return found if good else None

    def write(self):
        """(began, ended) of the next value."""
        self.value = (self.value + 1) % VALUES
        spec = gateway("register", f"value-{self.value}")["spec"]
        began = time.monotonic()
        generation = self.api.patch(f"{GATEWAYS}/register", {"spec": spec})["metadata"]["generation"]
        wait_for(lambda: self._programmed(generation), "a write ends", PATIENCE, 0.01)
        return began, time.monotonic()

    def history(self):
        """What is wrong with one history: words, none if it is linearizable."""
        first, over, reads = self.value, threading.Event(), []
        # What is served, as the number of the write that it is of; the first value is write 0.
        numbers = {f"value-{(first + i) % VALUES}": i for i in range(VALUES)}

        def follow():
            while not over.is_set():
                began = time.monotonic()
                name = self.read()
                reads.append((began, time.monotonic(), numbers.get(name)))
                over.wait(0.005)
        with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
            readers = [pool.submit(follow) for _ in range(READERS)]
            try:
                writes = [self.write() for _ in range(WRITES)]
                time.sleep(0.02)
            finally:
                over.set()
            for each in readers:
                each.result()
        return len(reads), judge(reads, writes)


def judge(reads, writes):
    """reads: (began, ended, number of the write that was seen); writes: (began, ended)."""
    wrong = []
    for began, ended, seen in reads:
        if seen is None:
            wrong.append("a handshake failed")
            continue
        oldest = max((i + 1 for i, write in enumerate(writes) if write[1] < began), default=0)
        newest = max((i + 1 for i, write in enumerate(writes) if write[0] < ended), default=0)
        earlier = max((other for _, end, other in reads if end < began and other is not None),
                      default=0)
        if not max(oldest, earlier) <= seen <= newest:
            wrong.append(f"a read gave write {seen}: {oldest} was done before it, {earlier} was "
                         f"read before it, and {newest} was the last one begun")
    return wrong
