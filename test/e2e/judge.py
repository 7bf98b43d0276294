"""The judge of loss (test/judge): a backend that counts, a load that counts, and what they say."""
# SPDX-License-Identifier: Apache-2.0
import contextlib
import http.client
import json
import subprocess

from harness import BUILD, environment, free_port, wait_for

JUDGE = BUILD / "peers/judge"
# What must be 0 in every report, whatever was broken meanwhile.
WRONG = ("lost", "bad", "mixed", "late", "refused", "missing", "repeated", "reordered", "broken")


class Judge:
    """The counting backend, and loads against a gateway before it."""

    def __init__(self):
        self.port = free_port()
        self.process = subprocess.Popen([JUDGE, "serve", str(self.port)], env=environment())
        wait_for(lambda: self._ask("/report"), "the judge's backend answers")

    def _ask(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            try:
                connection.request("GET", path)
                return json.loads(connection.getresponse().read())
            except OSError:
                return None

    def doubled(self):
        return self._ask("/report")["doubled"]

    def close(self):
        self.process.terminate()
        assert self.process.wait(20) == 0

    @contextlib.contextmanager
    def load(self, port, **options):
        """Runs beside the block; the report is in the dictionary when the block has ended."""
        words = [JUDGE, "ask", "--port", str(port)]
        for name, value in options.items():
            words += [f"--{name.replace('_', '-')}", str(value)]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment())
        report = {}
        try:
            yield report
            report.update(json.loads(process.communicate(timeout=2400)[0]))
            report["doubled"] = self.doubled()
        finally:
            process.kill()
            process.wait()


def verdict(report):
    """What is wrong with a report: {} if nothing."""
    wrong = {name: report[name] for name in (*WRONG, "doubled") if report[name]}
    return wrong and {**wrong, "first": report["first_loss"]}
