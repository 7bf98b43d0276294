#!/usr/bin/env python3
"""Starts h1_forward on free ports and runs the probe against it.

run.py FORWARD requests|pipelined|cut|responses.  SPDX-License-Identifier: Apache-2.0
"""
import socket
import subprocess
import sys

import probe

ARGUMENTS = {
    "requests": ["requests"],
    "pipelined": ["requests", "--pipelined"],
    "cut": ["requests", "--cut", "--cuts-max", "40"],
    "responses": ["responses"],
}


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def main():
    backend = free_port()
    forward = subprocess.Popen([sys.argv[1], "0", str(backend), "300"], stdout=subprocess.PIPE,
                               text=True)
    port = forward.stdout.readline().split()[-1]
    failed = probe.main([*ARGUMENTS[sys.argv[2]], "--target", f"127.0.0.1:{port}",
                         "--backend-port", str(backend), *sys.argv[3:]])
    if forward.poll() is not None:
        print(f"the gateway ended by itself: {forward.returncode}")
        return 1
    forward.terminate()
    forward.wait(10)
    return failed


if __name__ == "__main__":
    sys.exit(main())
