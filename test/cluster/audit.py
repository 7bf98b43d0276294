"""What the API server's audit log says of our control planes: who wrote while another one held the
Lease."""
# SPDX-License-Identifier: Apache-2.0
import json

USER = "system:serviceaccount:nantian-system:nantian-control"
# Of every replica: the Lease itself, whose token this is, and the key that the first one makes.
ANYBODYS = {"leases", "tokenreviews", "secrets"}


def events(path):
    """Ours, whole lines only: the server may be writing the last one."""
    with open(path, encoding="utf-8") as log:
        for line in log:
            if USER in line and line.endswith("\n"):
                event = json.loads(line)
                if event["user"]["username"] == USER and event["stage"] == "ResponseComplete":
                    yield event


def pod_of(event):
    return event["user"].get("extra", {}).get("authentication.kubernetes.io/pod-name", ["?"])[0]


def code_of(event):
    return event.get("responseStatus", {}).get("code", 0)


def holders(log):
    """(since when, pod) of each time that the Lease was written; pod "" when it was given back."""
    found = []
    for event in log:
        if event["objectRef"]["resource"] == "leases" and code_of(event) in (200, 201):
            identity = event["responseObject"]["spec"].get("holderIdentity") or ""
            found.append((event["stageTimestamp"], identity.rpartition("_")[0]))
    return sorted(found)


def strangers(path):
    """(writes, words about those that came while another pod held the Lease)."""
    log = list(events(path))
    terms, writes, wrong = holders(log), 0, []
    for event in log:
        what = event["objectRef"]
        if what["resource"] in ANYBODYS:
            continue
        writes += 1
        came = event["requestReceivedTimestamp"]
        before = [pod for since, pod in terms if since <= came]
        if not before or before[-1] != pod_of(event):
            wrong.append(f"{came} {pod_of(event)} {event['verb']} {what['resource']}/"
                         f"{what.get('name')} -> {code_of(event)}, while "
                         f"{before[-1] if before else 'nobody'!r} held the lease")
    return writes, wrong
