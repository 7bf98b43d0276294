"""A name server over UDP for one zone: what a name means is a dict that the test changes."""
# SPDX-License-Identifier: Apache-2.0
import socket
import struct
import threading

A, SOA, AAAA, OK, SERVFAIL, NXDOMAIN = 1, 6, 28, 0, 2, 3


def _name_end(message, at):
    while message[at]:
        at += message[at] + 1
    return at + 1


class DnsServer:
    """`zone`: name -> (seconds, [addresses]); a name that is not there is NXDOMAIN, and None for
    its value a failure. `asked` counts questions for A by name."""

    def __init__(self, address, negative=3):
        self.address, self.zone, self.negative, self.asked = address, {}, negative, {}
        self.is_over = False
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 53))
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.is_over = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", (self.address, 53))
        self.thread.join(10)
        self.socket.close()

    def _serve(self):
        while True:
            message, peer = self.socket.recvfrom(4096)
            if self.is_over:
                return
            self.socket.sendto(self._answer(message), peer)

    def _answer(self, message):
        end = _name_end(message, 12)
        labels, at = [], 12
        while message[at]:
            labels.append(message[at + 1:at + 1 + message[at]].decode().lower())
            at += message[at] + 1
        kind, name = struct.unpack(">H", message[end:end + 2])[0], ".".join(labels)
        if kind == A:
            self.asked[name] = self.asked.get(name, 0) + 1
        known = self.zone.get(name, ())
        code = SERVFAIL if known is None else OK if known else NXDOMAIN
        records, authority = b"", b""
        count = 0
        if known and kind == A:
            seconds, addresses = known
            count = len(addresses)
            for address in addresses:
                records += struct.pack(">HHHIH", 0xC00C, A, 1, seconds, 4) + \
                    socket.inet_aton(address)
        if not count and code != SERVFAIL:
            data = b"\0\0" + struct.pack(">5I", 1, 60, 60, 60, self.negative)
            authority = struct.pack(">HHHIH", 0xC00C, SOA, 1, self.negative, len(data)) + data
        head = struct.pack(">2sHHHHH", message[:2], 0x8580 | code, 1, count, bool(authority), 0)
        return head + message[12:end + 4] + records + authority
