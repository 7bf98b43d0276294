"""What the API server's audit log says of our control planes: who wrote while another one held the
Lease, and which conditions were taken back."""
# SPDX-License-Identifier: Apache-2.0
import json

USER = "system:serviceaccount:nantian-system:nantian-control"
# Of every replica: the Lease itself, whose token this is, the key that the first one makes, and
# Events, which tell what a replica's own data planes do.
ANYBODYS = {"leases", "tokenreviews", "secrets", "events"}


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
    """(since when, pod) of each time that the Lease was written; pod "" when it was given back.
    Leases by other names are what replicas state to one another."""
    found = []
    for event in log:
        if event["objectRef"]["resource"] == "leases" and code_of(event) in (200, 201) and \
                event["responseObject"]["metadata"]["name"] == "nantian-control":
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


def conditions_of(value):
    """(place, condition) of each condition of ours in a status."""
    status = value.get("status") or {}
    for condition in status.get("conditions", []):
        yield "", condition
    for place in (*status.get("listeners", []), *status.get("parents", [])):
        name = place.get("name") or json.dumps(place.get("parentRef"), sort_keys=True)
        for condition in place.get("conditions", []):
            yield name, condition


def flaps(path, space, but=()):
    """Conditions of objects in a namespace, but for those of some names, that were True and were
    written as something else."""
    was, wrong = {}, []
    order = [event for event in events(path) if code_of(event) == 200
             and event["objectRef"].get("namespace") == space
             and event["objectRef"].get("subresource") == "status"
             and event["objectRef"]["name"] not in but]
    order.sort(key=lambda event: int(event["responseObject"]["metadata"]["resourceVersion"]))
    for event in order:
        what = event["objectRef"]
        for place, condition in conditions_of(event["responseObject"]):
            key = (what["resource"], what["name"], place, condition["type"])
            if was.get(key) == "True" and condition["status"] != "True":
                wrong.append(f"{event['stageTimestamp']} {pod_of(event)}: {' '.join(key)} was "
                             f"True and became {condition['status']}, {condition['reason']}: "
                             f"{condition['message']}")
            was[key] = condition["status"]
    return wrong
