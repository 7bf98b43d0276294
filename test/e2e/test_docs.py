"""The user's documentation is true: its YAML is clean, its commands run, its flags exist.

As docs/user/README.md says: all YAML of a page is one directory, called `gateway` by its commands;
`sh` blocks run there, and print what stands in an `output` block behind them (UPDATE_DOCS=1 writes it);
`console` blocks need a running gateway, so that only their words are checked; those of a cluster are
run in one (test/cluster/pages.py)."""
# SPDX-License-Identifier: Apache-2.0
import os
import re
import shlex
import subprocess

import pytest

from harness import BIN, DEADLINE, ROOT, environment, nantian

pytestmark = [pytest.mark.quick, pytest.mark.sanitized]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs/user").glob("*.md"))]
SHOWN = re.compile(r"^```sh\n((?:(?!^```).)*?)^```\n\n```output\n((?:(?!^```).)*?)^```$", re.M | re.S)
BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.M | re.S)


def blocks(page, *kinds):
    return [text for kind, text in BLOCK.findall(page.read_text(encoding="utf-8")) if kind in kinds]


def named(page):
    return page.name


@pytest.fixture
def directory(tmp_path):
    """Writes a page's YAML; the folder that holds `gateway`."""
    def write(page):
        (tmp_path / "gateway").mkdir()
        (tmp_path / "gateway/page.yaml").write_text("\n---\n".join(blocks(page, "yaml")),
                                                    encoding="utf-8")
        return tmp_path
    return write


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_the_yaml_of_a_page_is_a_clean_directory(page, directory):
    if not blocks(page, "yaml"):
        return
    answer = nantian("check", "-f", directory(page) / "gateway")
    assert answer.returncode == 0, answer.stdout + answer.stderr


def run(script, folder):
    env = environment()
    env["PATH"] = f"{BIN}:{env['PATH']}"
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=folder, env=env,
                          capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 0, script + done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_the_commands_of_a_page_run(page, directory):
    folder = directory(page)
    for script in blocks(page, "sh"):
        run(script, folder)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_the_commands_of_a_page_print_what_it_shows(page, directory):
    text = page.read_text(encoding="utf-8")
    folder = directory(page)
    for script, shown in SHOWN.findall(text):
        text = text.replace(f"{script}```\n\n```output\n{shown}",
                            f"{script}```\n\n```output\n{run(script, folder)}")
    if os.environ.get("UPDATE_DOCS"):
        page.write_text(text, encoding="utf-8")
    assert text == page.read_text(encoding="utf-8")


def commands(page):
    """Each `nantian VERB ...` of any block, its words."""
    for text in blocks(page, "", "sh", "console"):
        for line in text.replace("\\\n", " ").splitlines():
            line = re.sub(r"^[$#] ", "", line.strip())
            words = shlex.split(line, comments=True) if line.count("'") % 2 == 0 else line.split()
            words = [word for word in words if word != "&"]
            words = words[:words.index("|")] if "|" in words else words
            if words and words[0].rpartition("/")[2] == "nantian" and len(words) > 1:
                yield words[1:]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_each_verb_and_flag_of_a_page_exists(page):
    for verb, *words in commands(page):
        answer = nantian(verb, "--help")
        assert answer.returncode == 0, f"{page.name}: nantian {verb}"
        for word in words:
            if word.startswith("--"):
                flag = word.split("=")[0]
                assert flag in answer.stdout or flag == "--help", f"{page.name}: {verb} {flag}"


def test_the_help_lists_every_verb():
    answer = nantian("help")
    for verb in ("demo", "up", "check", "explain", "status", "routes", "nodes", "config", "version",
                 "completion"):
        assert re.search(rf"^ *{verb} ", answer.stdout, re.M), answer


@pytest.mark.parametrize("page", [*PAGES, ROOT / "docs/ARCHITECTURE.md", ROOT / "CONTRIBUTING.md"],
                         ids=named)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"
