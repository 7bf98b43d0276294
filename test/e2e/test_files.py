"""The directory source: files that break, move, vanish and come back."""
# SPDX-License-Identifier: Apache-2.0
import itertools
import json
import os
import shutil
import socket

import pytest
import yaml

from harness import free_port, gateway_of, listener, route, rule, service, wait_for
from http_backend import named
from http_client import Load, request

pytestmark = pytest.mark.sanitized


def match(path):
    return {"matches": [{"path": {"value": path}}]}


@pytest.fixture
def served(start_gateway, start_backend):
    """A gateway with its Gateway in one file and nothing else: (gateway, port)."""
    port = free_port()
    gateway = start_gateway(gateway_of(listener("http", port)),
                            service("app", start_backend(named("app")).port))
    return gateway, port


def becomes(port, path, status):
    wait_for(lambda: request(port, path).status == status, f"{path} is answered {status}")


@pytest.mark.quick
def test_a_broken_file_keeps_its_objects_and_is_named(served):
    gateway, port = served
    gateway.apply("routes.yaml", route("a", rule("app", **match("/a"))))
    gateway.write("routes.yaml", "kind: [HTTPRoute\nmetadata: {")
    faults = wait_for(gateway_faults(gateway), "the broken file is named")
    assert any(f["file"].endswith("routes.yaml") and f["line"] >= 1 for f in faults), faults
    assert [f["broken"] for f in gateway.status()["files"] if f["name"].endswith("routes.yaml")] \
        == [True]
    assert request(port, "/a").status == 200
    gateway.apply("other.yaml", route("b", rule("app", **match("/b"))))
    assert request(port, "/a").status == 200 and request(port, "/b").status == 200
    gateway.apply("routes.yaml", route("a", rule("app", **match("/a2"))))
    assert request(port, "/a").status == 404 and request(port, "/a2").status == 200
    assert gateway.faults() == []


def gateway_faults(gateway):
    return gateway.faults


def test_one_broken_object_does_not_hold_back_the_others_of_its_file(served):
    gateway, port = served
    gateway.apply("routes.yaml", route("a", rule("app", **match("/a"))),
                  route("b", rule("app", **match("/b"))))
    bad = route("a", rule("app", **match("/a")))
    bad["spec"]["rules"] = "many"
    gateway.apply("routes.yaml", bad, route("b", rule("app", **match("/b2"))))
    assert request(port, "/a").status == 200, "the last good form of the broken object"
    assert request(port, "/b2").status == 200
    assert [f for f in gateway.faults() if "HTTPRoute default/a" in f["object"]]


def test_a_file_renamed_over_another_is_one_change(served):
    gateway, port = served
    gateway.apply("routes.yaml", route("r", rule("app", **match("/0"))))
    with Load(port, judge=lambda a: None if a.status in (200, 404) else a, path="/9") as load:
        for i in range(1, 10):
            gateway.apply("routes.yaml", route("r", rule("app", **match(f"/{i}"))))
            assert request(port, f"/{i}").status == 200
    assert load.failures == []


def test_a_mounted_config_map_swaps_its_link(start_gateway, start_backend, tmp_path):
    """As the kubelet does: ..data -> ..timestamp, and the files are links through ..data."""
    port = free_port()
    gateway = start_gateway(gateway_of(listener("http", port)),
                            service("app", start_backend(named("app")).port))
    mount = gateway.config

    def publish(number, path):
        folder = mount / f"..2026_{number}"
        folder.mkdir()
        (folder / "routes.yaml").write_text(
            yaml.safe_dump(route("r", rule("app", **match(path)))), encoding="utf-8")
        os.symlink(folder.name, mount / "..data_tmp")
        os.rename(mount / "..data_tmp", mount / "..data")

    publish(1, "/one")
    os.symlink("..data/routes.yaml", mount / "routes.yaml")
    becomes(port, "/one", 200)
    publish(2, "/two")
    shutil.rmtree(mount / "..2026_1")
    becomes(port, "/two", 200)
    assert request(port, "/one").status == 404


def test_a_deleted_file_takes_its_objects_away(served):
    gateway, port = served
    gateway.apply("routes.yaml", route("r", rule("app", **match("/a"))))
    assert request(port, "/a").status == 200
    (gateway.config / "routes.yaml").unlink()
    becomes(port, "/a", 404)


def test_a_file_that_is_half_written_is_not_half_served(served):
    gateway, port = served
    routes = [route(f"r{i}", rule("app", **match(f"/{i}"))) for i in range(200)]
    gateway.apply("routes.yaml", *routes)
    text = yaml.safe_dump_all(routes).encode()
    with open(gateway.config / "routes.yaml", "wb") as out:  # in place, as a bad tool does
        out.write(text[:len(text) // 2 - 7])
        out.flush()
        for _ in range(20):
            assert request(port, "/199").status == 200
        out.write(text[len(text) // 2 - 7:])
    wait_for(lambda: gateway.faults() == [], "the whole file is good")
    for i in (0, 99, 100, 199):
        assert request(port, f"/{i}").status == 200


def test_a_directory_that_is_replaced_is_followed(served):
    gateway, port = served
    gateway.apply("routes.yaml", route("r", rule("app", **match("/old"))))
    assert request(port, "/old").status == 200
    fresh = gateway.folder / "fresh"
    shutil.copytree(gateway.config, fresh)
    (fresh / "routes.yaml").write_text(yaml.safe_dump(route("r", rule("app", **match("/new")))),
                                       encoding="utf-8")
    os.rename(gateway.config, gateway.folder / "gone")
    os.rename(fresh, gateway.config)
    becomes(port, "/new", 200)
    gateway.write("routes.yaml", route("r", rule("app", **match("/newer"))))
    becomes(port, "/newer", 200)


def test_a_directory_that_is_away_takes_nothing_down(served):
    gateway, port = served
    gateway.apply("routes.yaml", route("r", rule("app", **match("/a"))))
    os.rename(gateway.config, gateway.folder / "away")
    for _ in range(50):
        assert request(port, "/a").status == 200
    os.rename(gateway.folder / "away", gateway.config)
    gateway.write("routes.yaml", route("r", rule("app", **match("/b"))))
    becomes(port, "/b", 200)


def test_a_directory_that_is_made_anew_takes_nothing_down_while_it_is_empty(served):
    gateway, port = served
    gateway.apply("routes.yaml", route("r", rule("app", **match("/a"))))
    away = gateway.folder / "away"
    with Load(port, path="/a") as load:
        os.rename(gateway.config, away)
        gateway.config.mkdir()
        wait_for(lambda: "without a file" in str(gateway.faults()), "that it is empty is said")
        load.wait(100)
    assert load.failures == []
    for path in away.iterdir():
        shutil.copy(path, gateway.config)
    wait_for(lambda: gateway.faults() == [], "it holds something")
    gateway.write("routes.yaml", route("r", rule("app", **match("/b"))))
    becomes(port, "/b", 200)


def test_json_and_many_documents_are_read(served):
    gateway, port = served
    gateway.apply("routes.json", json.dumps(route("j", rule("app", **match("/j")))))
    assert request(port, "/j").status == 200
    gateway.write("ignored.txt", "kind: [")
    gateway.write(".hidden.yaml", "kind: [")
    gateway.apply("more.yml", "---\n---\n# nothing\n---\n" +
                  yaml.safe_dump(route("yml", rule("app", **match("/yml")))))
    assert request(port, "/yml").status == 200
    assert gateway.faults() == []


def test_an_object_in_two_files_is_named_and_one_of_them_serves(served):
    gateway, port = served
    gateway.apply("a.yaml", route("r", rule("app", **match("/first"))))
    gateway.write("b.yaml", route("r", rule("app", **match("/second"))))
    faults = wait_for(gateway.faults, "the second is named")
    assert any("b.yaml" in f["file"] or "b.yaml" in f["what"] for f in faults), faults
    assert sorted(request(port, p).status for p in ("/first", "/second")) == [200, 404]
    serving = "/first" if request(port, "/first").status == 200 else "/second"
    (gateway.config / ("a.yaml" if serving == "/first" else "b.yaml")).unlink()
    becomes(port, "/second" if serving == "/first" else "/first", 200)


def test_a_broken_file_harms_nobody_when_the_control_plane_starts_again(served):
    gateway, port = served
    gateway.apply("routes.yaml", route("a", rule("app", **match("/a"))))
    before = gateway.status()["snapshot"]
    gateway.write("routes.yaml", "kind: [HTTPRoute\nmetadata: {")
    wait_for(gateway_faults(gateway), "the broken file is named")
    gateway.control.kill()
    gateway.control.start()
    gateway.wait_synced()
    assert gateway.status()["snapshot"] == before  # as it was: nothing was sent
    assert request(port, "/a").status == 200
    assert any(f["file"].endswith("routes.yaml") for f in gateway.faults())
    gateway.apply("routes.yaml", route("a", rule("app", **match("/a2"))))
    assert request(port, "/a2").status == 200


def test_good_objects_of_a_faulty_file_outlive_a_syntax_error_and_a_restart(served):
    """The file was never clean: an object of it has a fault from the first day on."""
    gateway, port = served
    faulty = route("b", {"matches": 3})
    good = yaml.safe_dump_all([route("a", rule("app", **match("/a"))), faulty])
    gateway.write("routes.yaml", good)
    becomes(port, "/a", 200)
    gateway.write("routes.yaml", good + "\n]")
    wait_for(lambda: any(f.get("code") == "YamlSyntax" for f in gateway.faults()), "it is named")
    gateway.control.kill()
    gateway.control.start()
    gateway.wait_synced()
    assert request(port, "/a").status == 200


def is_served(port):
    try:
        return request(port, "/").status == 200
    except OSError:  # nobody listens yet
        return False


def test_a_listener_is_served_once_its_port_is_free(start_gateway, start_backend):
    free, port = free_port(), free_port()
    with socket.create_server(("127.0.0.1", port)):
        gateway = start_gateway(
            gateway_of(listener("free", free), listener("taken", port)),
            route("a", rule("app")), service("app", start_backend(named("app")).port))
        wait_for(lambda: is_served(free), "the other listener is served")
        wait_for(lambda: "Cannot listen on" in str(gateway.object_status("Gateway", "web")),
                 "the status says why")
    wait_for(lambda: is_served(port), "so is this one, now that its port is free")


def test_edits_do_not_put_off_the_next_try_for_a_port(start_gateway, start_backend):
    """However often something else changes."""
    port, behind = free_port(), start_backend(named("app"))
    documents = [gateway_of(listener("taken", port)), route("a", rule("app")),
                 service("app", behind.port)]
    with socket.create_server(("127.0.0.1", port)):
        gateway = start_gateway(*documents)
        wait_for(lambda: "Cannot listen on" in str(gateway.object_status("Gateway", "web")),
                 "the status says why")
    edits = itertools.count()

    def is_served_between_edits():
        gateway.write("other.yaml", service(f"other-{next(edits) % 2}", 80))
        return is_served(port)
    wait_for(is_served_between_edits, "it is served, now that its port is free", step=0.3)
