#!/usr/bin/env python3
"""Keeps the rules of the house that a machine can keep. Prints each breach as file:line: what.

tidy.py [--objects BUILD_DIR]   with object files also: exported names, call cycles between files
"""
import argparse
import collections
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
FILE_LINES, HEADER_LINES, FUNCTION_LINES, COLUMNS, FOLDER_FILES, FIELDS = 800, 250, 70, 100, 30, 40

# Long by nature: tables. (path under the root: why)
LONG = {}
# third-party header -> the files that may include it
DOORS = {
    "openssl/": ["src/net/tls.c", "src/net/certificate.c", "src/net/tls_internal.h",
                 "src/net/tls_stream.c", "src/net/tls_choice.c", "src/net/tls_tickets.c",
                 "src/net/seal.c", "src/net/tls_make.c", "src/net/digest.c"],
    "nghttp2/": ["src/http/h2_session.c"],
    "protobuf-c/": ["src/schema/"],
    "yyjson.h": ["src/base/value_json.c"],
    "yaml.h": ["src/base/value_yaml.c"],
    "rure.h": ["src/base/regex.c"],
    "xxhash.h": ["src/base/hash.c"],
}
BANNED = {
    "strcpy": "text or builder", "strcat": "builder", "sprintf": "snprintf or builder",
    "strtok": "text_split", "atoi": "text_to_u64", "strtol": "text_to_u64",
    "strtoul": "text_to_u64", "strtoll": "text_to_u64", "strtoull": "text_to_u64",
    "gets": "stream_read", "alloca": "an arena", "signal": "event/signals.h",
    "localtime": "clock_format", "gmtime": "gmtime_r", "rand": "base/random.h",
    "assert": "CHECK", "system": "posix_spawn",
}
breaches = []


def breach(path, line, what):
    breaches.append(f"{path.relative_to(ROOT)}:{line}: {what}")


def layers():
    allowed = {}
    for line in (ROOT / "tools/layers.txt").read_text().splitlines():
        line = line.split("#")[0].strip()
        if line:
            folder, below = line.split(":")
            allowed[folder.strip()] = set(below.split())
    return allowed


def strip_comments_and_strings(text):
    """Same length and line breaks, comments and literals blanked."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    return re.sub(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def check_text(path, text):
    lines = text.splitlines()
    name = str(path.relative_to(ROOT))
    if len(lines) > FILE_LINES and name not in LONG:
        breach(path, 1, f"{len(lines)} lines, more than {FILE_LINES}: split it by concern")
    if path.suffix == ".h" and len(lines) > HEADER_LINES and name not in LONG:
        breach(path, 1, f"header of {len(lines)} lines, more than {HEADER_LINES}")
    if not text.startswith("/*"):
        breach(path, 1, "does not open with a comment that says what it is for")
    if "SPDX-License-Identifier" not in text[:1500]:
        breach(path, 1, "no SPDX line")
    code = strip_comments_and_strings(text)
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS:
            breach(path, number, f"{len(line)} columns, more than {COLUMNS}")
        if re.search(r"\b(TODO|FIXME|XXX)\b", line):
            breach(path, number, "left open: finish it or file an issue")
    for number, line in enumerate(code.splitlines(), 1):
        if "//" in line:
            breach(path, number, "// comment: use /* */")
        for match in re.finditer(r"(?<![\w.>])(\w+)\s*\(", line):
            if match.group(1) in BANNED:
                breach(path, number, f"{match.group(1)} is banned: use {BANNED[match.group(1)]}")
    return code


def check_includes(path, text, allowed):
    folder = str(path.parent.relative_to(SRC))
    below = allowed.get(folder)
    if below is None:
        breach(path, 1, f"folder {folder} is not in tools/layers.txt")
        return
    name = str(path.relative_to(ROOT))
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line)
        if not match:
            continue
        target = match.group(2)
        for door, files in DOORS.items():
            if target.startswith(door) and not any(name.startswith(f) for f in files):
                breach(path, number, f"<{target}> has its door in {files[0]}")
        if match.group(1) == '"':
            if target.endswith(".pb-c.h"):
                owner = "schema"
            else:
                owner = str(pathlib.PurePosixPath(target).parent)
                if not (SRC / target).exists():
                    breach(path, number, f'"{target}" is not there; include with the path from src/')
                    continue
            if owner != folder and owner not in below:
                breach(path, number, f"{folder} may not use {owner} (tools/layers.txt)")


def check_functions(path, code):
    """Function bodies start with a `{` in column 0 (clang-format sees to it)."""
    lines = code.splitlines()
    start = None
    for number, line in enumerate(lines, 1):
        if line.startswith("{"):
            start = number
        elif line.startswith("}") and start is not None:
            if number - start - 1 > FUNCTION_LINES:
                breach(path, start, f"function of {number - start - 1} lines, more than "
                                    f"{FUNCTION_LINES}: let helpers compute")
            start = None
    for match in re.finditer(r"^struct \w+ \{\n(.*?)^\};", code, re.S | re.M):
        fields = match.group(1).count(";")
        if fields > FIELDS:
            breach(path, code[:match.start()].count("\n") + 1,
                   f"struct of {fields} fields, more than {FIELDS}: it is two things")


def check_folders():
    for folder in sorted({p.parent for p in SRC.rglob("*.[ch]")}):
        files = list(folder.glob("*.[ch]"))
        if len(files) > FOLDER_FILES * 2:
            breach(folder, 0, f"{len(files)} files: split the folder")
        readme = folder / "README.md"
        if not readme.exists():
            breach(folder / "README.md", 0, "a source folder needs a README.md")
        else:
            text = readme.read_text()
            if len(text.splitlines()) > 40:
                breach(readme, 1, "over 40 lines")
            for head in ("What", "Not here", "Main types and who owns them", "Who calls in", "Tests"):
                if f"## {head}" not in text:
                    breach(readme, 1, f"no head '## {head}'")
        cmake = folder / "CMakeLists.txt"
        listed = cmake.read_text() if cmake.exists() else ""
        for source in folder.glob("*.c"):
            if not re.search(rf"(?<![\w./-]){re.escape(source.name)}(?![\w.])", listed):
                breach(source, 1, "no CMakeLists.txt names it")


def check_architecture():
    page = ROOT / "docs/ARCHITECTURE.md"
    if not page.exists():
        breach(page, 0, "missing")
        return
    text = page.read_text()
    if len(text.splitlines()) > 300:
        breach(page, 1, "over 300 lines")
    for number, line in enumerate(text.splitlines(), 1):
        for token in re.findall(r"`([\w./-]+/[\w.-]+\.\w+)`", line):
            if not any((base / token).exists() for base in (ROOT, SRC)):
                breach(page, number, f"{token} does not exist")


def objects(build):
    top = pathlib.Path(build).resolve() / "src"
    for path in sorted(top.rglob("*.c.o")):
        match = re.match(r"(.*)/CMakeFiles/[^/]+\.dir/(.*)\.c\.o$", str(path.relative_to(top)))
        if match and "/" not in match.group(2):
            yield path, match.group(1), match.group(2)


def tables(build):
    """The external symbols of each object whose source is still there, by one run of nm."""
    units = {str(path): (folder, stem) for path, folder, stem in objects(build)
             if (SRC / folder / f"{stem}.c").exists()}
    if not units:
        return
    out = subprocess.run(["nm", "-gA", *units], capture_output=True, text=True, check=True).stdout
    found = collections.defaultdict(list)
    for line in out.splitlines():
        path, rest = line.rsplit(":", 1)
        found[path].append(tuple(rest.split()[-2:]))
    for path, table in found.items():
        yield *units[path], table


def check_symbols(build):
    defined, used, where = {}, collections.defaultdict(set), {}
    for folder, stem, table in tables(build):
        unit = f"{folder}/{stem}"
        for kind, symbol in table:
            if symbol.startswith("__") or "asan" in symbol or "ubsan" in symbol:
                continue
            if kind == "U":
                used[unit].add(symbol)
            elif kind in "TDBR":
                if symbol in defined and symbol != "main":
                    breach(SRC / folder / f"{stem}.c", 1,
                           f"exported name {symbol} is taken by {defined[symbol]}.c")
                defined[symbol] = unit
                where[symbol] = SRC / folder / f"{stem}.c"
    if not defined:
        breaches.append(f"{build}: no object files there: build first")
    for symbol, unit in sorted(defined.items()):
        folder, stem = unit.rsplit("/", 1)
        last = folder.split("/")[-1]
        starts = {stem, last, stem.removesuffix("s"), last.removesuffix("s")}
        starts |= {h.stem for h in (SRC / folder).glob("*.h")}
        starts |= {s.removesuffix("s") for s in starts}
        header_words = header_names(SRC / folder)
        if symbol == "main" or any(symbol == s or symbol.startswith(s + "_") for s in starts):
            continue
        if symbol in header_words and any(symbol.startswith(w + "_") or symbol == w
                                          for w in header_words[symbol]):
            continue
        breach(where[symbol], 1, f"exported name {symbol} starts with neither its file's nor its "
                                 "folder's name")
    edges = collections.defaultdict(set)
    for unit, symbols in used.items():
        for symbol in symbols:
            target = defined.get(symbol)
            if target and target != unit:
                edges[unit].add(target)
    for cycle in cycles(edges):
        breach(SRC / (cycle[0] + ".c"), 1, "files call in a circle: " + " -> ".join(cycle))


def header_names(folder):
    """symbol -> the structs that headers of the folder declare (noun_verb of a struct is at home)."""
    structs, names = set(), {}
    for header in folder.glob("*.h"):
        text = header.read_text()
        structs |= set(re.findall(r"^(?:struct|enum) (\w+)", text, re.M))
        for symbol in re.findall(r"\b(\w+)\s*\(", text):
            names[symbol] = structs
    return names


def cycles(edges):
    """One cycle per strongly connected component (Tarjan)."""
    index, low, on, stack, found, counter = {}, {}, set(), [], [], [0]

    def visit(start):
        work = [(start, iter(sorted(edges[start])))]
        index[start] = low[start] = counter[0]
        counter[0] += 1
        stack.append(start)
        on.add(start)
        while work:
            node, targets = work[-1]
            for target in targets:
                if target not in index:
                    index[target] = low[target] = counter[0]
                    counter[0] += 1
                    stack.append(target)
                    on.add(target)
                    work.append((target, iter(sorted(edges[target]))))
                    break
                if target in on:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    group = []
                    while True:
                        member = stack.pop()
                        on.discard(member)
                        group.append(member)
                        if member == node:
                            break
                    if len(group) > 1:
                        found.append(sorted(group))

    for node in sorted(edges):
        if node not in index:
            visit(node)
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--objects")
    options = parser.parse_args()
    allowed = layers()
    for path in sorted(SRC.rglob("*.[ch]")):
        text = path.read_text()
        code = check_text(path, text)
        check_functions(path, code)
        check_includes(path, text, allowed)
    for path in sorted((ROOT / "test").rglob("*.[ch]")):
        check_text(path, path.read_text())
    check_folders()
    check_architecture()
    if options.objects:
        check_symbols(options.objects)
    for line in breaches:
        print(line)
    print(f"tidy: {len(breaches)} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
