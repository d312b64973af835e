# SPDX-License-Identifier: Apache-2.0
"""Rules of the tree that no compiler checks, each a function from a tree to its breaches.

Every function takes the root of a source tree and returns a list of sentences, empty when the
rule holds; architecture_test.py runs them on the real tree and, first, on small trees that break
each rule on purpose.
"""

import pathlib
import re

SOURCE_SUFFIXES = {".cc", ".h"}

# Headers of the language, the C library and the kernel: no third party.
SYSTEM_HEADER = re.compile(
    r"^(?:[a-z_0-9]+"  # C++: <vector>
    r"|(?:sys|linux|netinet|arpa|net|asm|bits)/[a-z_0-9]+\.h"
    r"|(?:assert|cpuid|ctype|dirent|dlfcn|endian|errno|execinfo|fcntl|fenv|float|getopt|glob|inttypes"
    r"|limits|link|locale|malloc|math|netdb|poll|pthread|pwd|sched|setjmp|signal|spawn|stdarg|stdbool"
    r"|stddef|stdint|stdio|stdlib|string|strings|termios|time|ucontext|unistd|utime|wchar"
    r"|[a-z]*mmintrin|immintrin|x86intrin|x86gprintrin)\.h"
    r"|sanitizer/[a-z_]+\.h)$"
)

# Header path -> library. The first that matches names it.
LIBRARIES = [
    (re.compile(r"^(?:gtest|gmock)/"), "GoogleTest"),
    (re.compile(r"^rapidcheck"), "rapidcheck"),
    (re.compile(r"^fmt/"), "fmt"),
    (re.compile(r"^simdjson\.h$"), "simdjson"),
    (re.compile(r"^sqlite3\.h$"), "SQLite"),
    (re.compile(r"^openssl/"), "OpenSSL"),
    (re.compile(r"^sodium"), "libsodium"),
    (re.compile(r"^(?:openblas/|(?:x86_64-linux-gnu/)?(?:cblas|lapacke?|openblas_config)\.h$)"), "OpenBLAS"),
    (re.compile(r"^boost/(?:asio)[./]"), "Boost.Asio"),
    (re.compile(r"^boost/(?:beast)[./]"), "Boost.Beast"),
    (re.compile(r"^boost/(?:unordered)[./_]"), "Boost.Unordered"),
    (re.compile(r"^boost/([a-z_]+)"), "Boost.{}"),
    (re.compile(r"^toml(?:\+\+/toml)?\.(?:h|hpp)$"), "toml++"),
    (re.compile(r"^CLI/"), "CLI11"),
    (re.compile(r"^prometheus/"), "prometheus-cpp"),
    (re.compile(r"^spdlog/"), "spdlog"),
    (re.compile(r"^zstd\.h$"), "zstd"),
    (re.compile(r"^benchmark/"), "Google Benchmark"),
]
# Libraries that may be included anywhere, or anywhere in tests and benchmarks.
EVERYWHERE = {"fmt"}
TESTS_ONLY = {"GoogleTest", "rapidcheck"}
# Boost's small parts that its large ones make their users include.
ACCOMPANYING = {"Boost.system": "Boost.Asio", "Boost.config": "Boost.Asio"}

BANNED_PATHS = {"common", "utils", "util", "helpers", "helper", "misc", "manager"}
BANNED_WORDS = {"Manager", "Helper", "Helpers", "Util", "Utils", "Common", "Misc", "Impl"}

# Put together here so that this file does not break its own rule.
MACHINE_PATHS = ["/wo" + "rk/", "/tmp/" + "build", "/tmp/" + "brief", "/ro" + "ot/", "/ho" + "me/"]
# Where the tree's texts may point a reader. A new host is added here on purpose, once.
PUBLIC_HOSTS = {
    "localhost", "127.0.0.1", "0.0.0.0", "[::1]", "example.com", "shop.example", "www.apache.org",
    "arxiv.org", "doi.org", "dl.acm.org", "www.rfc-editor.org", "datatracker.ietf.org",
    "grouplens.org", "files.grouplens.org", "archive.ics.uci.edu", "github.com", "json-schema.org",
    "spec.openapis.org", "www.w3.org", "prometheus.io", "sqlite.org", "www.sqlite.org",
    "csrc.nist.gov", "nvlpubs.nist.gov", "keepachangelog.com", "semver.org", "en.wikipedia.org",
    "jmlr.org", "www.jmlr.org", "proceedings.mlr.press", "poise.example",
}
TEXT_SUFFIXES = SOURCE_SUFFIXES | {
    ".py", ".sh", ".cmake", ".txt", ".md", ".json", ".toml", ".poise", ".yml", ".yaml", ".html",
    ".js", ".ts", ".css", ".sql", "",
}
LICENSED_SUFFIXES = SOURCE_SUFFIXES | {".py", ".sh", ".cmake", ".poise", ".sql", ".js", ".ts", ".css"}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)


def _files(root, *folders, suffixes=SOURCE_SUFFIXES):
    for folder in folders:
        base = root / folder
        if not base.exists():
            continue
        for path in sorted(base.rglob("*")):
            parts = path.relative_to(root).parts
            if "build" in parts[:1] or any(part.startswith(".git") for part in parts):
                continue
            if "__pycache__" in parts or not path.is_file() or path.suffix not in suffixes:
                continue
            yield path


def room_order(root):
    """The rooms, in the order src/CMakeLists.txt declares them."""
    text = (root / "src/CMakeLists.txt").read_text(encoding="utf-8")
    return re.findall(r"^\s*add_subdirectory\((\w+)\)", text, re.MULTILINE)


KEYWORDS = {"PURPOSE", "TAKES", "GIVES", "USES", "SOURCES", "HEADERS", "TESTS", "LIBRARIES"}


def _room_arguments(root, room):
    """The arguments of the room's poise_room(), by keyword."""
    lists = root / "src" / room / "CMakeLists.txt"
    if not lists.exists():
        return None
    text = re.sub(r"(?m)^\s*#.*$", "", lists.read_text(encoding="utf-8"))
    call = re.search(r"poise_room\(\s*" + re.escape(room) + r"\b((?:\"[^\"]*\"|[^()\"]|\([^()]*\))*)\)", text)
    if not call:
        return None
    arguments, keyword = {}, None
    for word in re.findall(r'"[^"]*"|[^\s"]+', call.group(1)):
        if word in KEYWORDS:
            keyword = word
            arguments[keyword] = []
        elif keyword:
            arguments[keyword].append(word.strip('"'))
    return arguments


def uses_against_includes(root):
    """Every #include of another room is covered by USES, in order, and every USES is needed."""
    order = room_order(root)
    place = {room: number for number, room in enumerate(order)}
    breaches = []
    for room in order:
        arguments = _room_arguments(root, room)
        if arguments is None:
            breaches.append(f"src/{room}/CMakeLists.txt has no poise_room({room} ...)")
            continue
        declared = arguments.get("USES", [])
        for used in declared:
            if place.get(used, len(order)) >= place[room]:
                breaches.append(f"room {room} USES {used}, which is not declared before it")
        included = set()
        for path in _files(root, f"src/{room}"):
            for bracket, header in INCLUDE.findall(path.read_text(encoding="utf-8", errors="replace")):
                if bracket != '"':
                    continue
                other = header.split("/")[0]
                where = path.relative_to(root)
                if "/" not in header or other not in place:
                    breaches.append(f'{where} includes "{header}": quotes are for "room/header.h", and there is no such room')
                    continue
                if not (root / "src" / header).exists():
                    breaches.append(f'{where} includes "{header}", which does not exist')
                if other == room:
                    continue
                included.add(other)
                if other not in declared:
                    breaches.append(f'{where} includes "{header}", but room {room} does not USE {other}')
        for used in declared:
            if used not in included:
                breaches.append(f"room {room} USES {used} but includes nothing of it")
    return breaches


def _library(header):
    for pattern, name in LIBRARIES:
        match = pattern.match(header)
        if match:
            return name.format(*match.groups())
    return None


def one_room_a_library(root):
    """Each third-party library is included by one room only, tests' own libraries apart."""
    rooms_of, breaches = {}, []
    for path in _files(root, "src"):
        where = path.relative_to(root)
        room = where.parts[1]
        is_test = path.stem.endswith("_test") or "testing" in where.parts
        for bracket, header in INCLUDE.findall(path.read_text(encoding="utf-8", errors="replace")):
            if bracket != "<" or SYSTEM_HEADER.match(header):
                continue
            library = _library(header)
            if library is None:
                breaches.append(f"{where} includes <{header}>: name its library in tests/architecture/architecture.py")
                continue
            if library in EVERYWHERE:
                continue
            if library in TESTS_ONLY:
                if not is_test:
                    breaches.append(f"{where} includes <{header}> of {library}, which is for tests")
                continue
            library = ACCOMPANYING.get(library, library)
            rooms_of.setdefault(library, {}).setdefault(room, where)
    for library, rooms in sorted(rooms_of.items()):
        if len(rooms) > 1:
            listed = "; ".join(f"{room} ({where})" for room, where in sorted(rooms.items()))
            breaches.append(f"{library} is included by {len(rooms)} rooms: {listed}")
    return breaches


def names(root):
    """No path and no type is called by a word that says the noun was not found."""
    breaches = []
    declaration = re.compile(r"^\s*(?:class|struct|enum(?: class)?)\s+(?:\[\[\w+\]\]\s+)?([A-Z]\w*)", re.MULTILINE)
    for path in _files(root, "src", "tests", "bench", "fuzz", "scripts", suffixes=TEXT_SUFFIXES):
        where = path.relative_to(root)
        words = {word for part in where.parts for word in re.split(r"[._-]", part.lower())}
        for word in sorted(words & BANNED_PATHS):
            breaches.append(f"{where}: '{word}' is no name for a place")
        if path.suffix not in SOURCE_SUFFIXES:
            continue
        for name in declaration.findall(path.read_text(encoding="utf-8", errors="replace")):
            found = set(re.findall(r"[A-Z][a-z0-9]*", name)) & BANNED_WORDS
            if found:
                breaches.append(f"{where}: type {name}: '{sorted(found)[0]}' is no noun of ours")
    return breaches


def licences(root):
    """Every source file opens with its licence."""
    breaches = []
    for path in _files(root, "src", "tests", "bench", "fuzz", "scripts", "cmake", suffixes=TEXT_SUFFIXES):
        text = path.read_text(encoding="utf-8", errors="replace")
        is_script = path.suffix == "" and text.startswith("#!")
        if not (path.suffix in LICENSED_SUFFIXES or is_script or path.name == "CMakeLists.txt"):
            continue
        if "SPDX-License-Identifier: Apache-2.0" not in "\n".join(text.split("\n")[:3]):
            breaches.append(f"{path.relative_to(root)} does not open with its SPDX line")
    return breaches


def places_of_one_machine(root):
    """Nothing names a folder of one machine, or a host that readers cannot reach or need not."""
    breaches = []
    url = re.compile(r"\bhttps?://(\[[0-9a-f:]+\]|[A-Za-z0-9.-]+)")
    everything = [root / name for name in sorted(p.name for p in root.iterdir() if p.name not in {"build", ".git"})]
    for top in everything:
        paths = [top] if top.is_file() else _files(root, top.name, suffixes=TEXT_SUFFIXES)
        for path in paths:
            if path.is_file() and path.suffix in TEXT_SUFFIXES:
                text = path.read_text(encoding="utf-8", errors="replace")
                for number, line in enumerate(text.split("\n"), 1):
                    for machine in MACHINE_PATHS:
                        if machine in line:
                            breaches.append(f"{path.relative_to(root)}:{number} names {machine}")
                    for host in url.findall(line):
                        host = host.rstrip(".")
                        if host not in PUBLIC_HOSTS and not host.endswith(".example") and not host.endswith(".example.com"):
                            breaches.append(f"{path.relative_to(root)}:{number} points at {host}")
    return breaches


def fuzz_targets(root):
    """Every fuzz/*_fuzz.cc has seeds to start from."""
    return [
        f"{path.relative_to(root)} has no seeds in fuzz/corpus/{path.stem}/"
        for path in sorted((root / "fuzz").glob("*_fuzz.cc"))
        if not any((root / "fuzz/corpus" / path.stem).glob("*"))
    ]


BEGIN, END = "<!-- room table: begin -->", "<!-- room table: end -->"


def put_room_table(document, table):
    """The document with the table between its marks."""
    if BEGIN not in document or END not in document:
        raise ValueError(f"no marks {BEGIN} and {END}")
    head, rest = document.split(BEGIN, 1)
    return f"{head}{BEGIN}\n{table.strip()}\n{END}{rest.split(END, 1)[1]}"


def room_table(root, table):
    """ARCHITECTURE.md shows the rooms as the build knows them."""
    path = root / "ARCHITECTURE.md"
    if not path.exists():
        return ["there is no ARCHITECTURE.md"]
    document = path.read_text(encoding="utf-8")
    try:
        if put_room_table(document, table) != document:
            return ["ARCHITECTURE.md's room table is not the build's: run scripts/update-architecture"]
    except ValueError as error:
        return [f"ARCHITECTURE.md: {error}"]
    return []
