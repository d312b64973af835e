#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs_test.py SOURCE_DIR POISE: every shell block of README.md and docs/ does what it says.

The blocks of a file run in order, in one folder of their own, each in a bash that stops at the first
error; variables and the folder go on from block to block. What a block is, its first line says:

    ```sh               runs
    ```sh server        starts a server that answers until the file's end; the next blocks get $URL
                        and $KEY, and 8088 in them becomes its port
    ```sh install       installs or builds: checked to name scripts and flags that exist
    ```sh data-set      needs a data set that is not in the tree: its poise commands are checked to
                        exist and to know every flag
    ```console          as sh, for lines that begin with "$ "; of an answer shown in JSON, every
                        name must be in the real answer
"""

import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import unittest

SOURCE_DIR = None
POISE = None

FENCE = re.compile(r"^( *)```(\S*)[ \t]*([^\n`]*)\n(.*?)^\1```[ \t]*$", re.MULTILINE | re.DOTALL)
KINDS = {"", "server", "install", "data-set"}
NAME_IN_JSON = re.compile(r'"([A-Za-z][A-Za-z0-9]*)"\s*:')


class Block:
    def __init__(self, path, line, language, kind, text):
        self.path, self.line, self.language, self.kind, self.text = path, line, language, kind, text

    def __str__(self):
        return f"{self.path}:{self.line}"

    def commands(self):
        if self.language != "console":
            return self.text
        lines, taking = [], False
        for line in self.text.split("\n"):
            if line.startswith("$ ") or (taking and line.startswith("  ")):
                lines.append(line[2:])
                taking = line.endswith(("\\", "|"))
            else:
                taking = False
        return "\n".join(lines)

    def shown(self):
        """What a console block shows as output."""
        if self.language != "console":
            return ""
        commands = set(self.commands().split("\n"))
        return "\n".join(line for line in self.text.split("\n") if line[2:] not in commands)


def blocks_of(text, path):
    """Every shell block; also complains of shell blocks whose kind nobody knows."""
    found = []
    for match in FENCE.finditer(text):
        language, kind = match.group(2), match.group(3).strip()
        if language not in ("sh", "console", "bash", "shell"):
            continue
        line = text.count("\n", 0, match.start()) + 1
        if language in ("bash", "shell"):
            raise ValueError(f"{path}:{line}: say ```sh")
        if kind not in KINDS:
            raise ValueError(f"{path}:{line}: ```{language} {kind}: known are {sorted(KINDS)}")
        indent = match.group(1)
        body = "\n".join(row[len(indent):] if row.startswith(indent) else row for row in match.group(4).split("\n"))
        found.append(Block(path, line, language, kind, body))
    return found


def simple_commands(text):
    """Each line's words, continuation lines joined, split at | and &&."""
    for line in re.sub(r"\\\n", " ", text).split("\n"):
        for part in re.split(r"\|\||&&|\||;", line):
            try:
                words = shlex.split(part, comments=True)
            except ValueError:
                continue
            if words:
                yield words


class Machine:
    """A home and a folder for one file's blocks."""

    def __init__(self, poise):
        self.poise = pathlib.Path(poise)
        self._folder = tempfile.TemporaryDirectory(prefix="poise-docs-")
        self.home = pathlib.Path(self._folder.name)
        self.state = self.home / ".state"
        self.server = None
        self.port = None
        self.environment = {"PATH": f"{self.poise.parent}:{os.environ.get('PATH', '')}", "HOME": str(self.home),
                            "LC_ALL": "C.UTF-8", "TERM": "dumb"}
        self._help = {}

    def close(self):
        if self.server is not None:
            self.server.send_signal(signal.SIGINT)
            try:
                self.server.wait(20)
            except subprocess.TimeoutExpired:
                self.server.kill()
                self.server.wait()
        self._folder.cleanup()

    def _here(self, text):
        return text.replace("127.0.0.1:8088", f"127.0.0.1:{self.port}") if self.port else text

    def run(self, block):
        script = self._here(block.commands())
        wrapped = (f"set -eo pipefail\n[ ! -f {self.state} ] || . {self.state}\ncd \"${{DOCS_PWD:-$HOME}}\"\n"
                   f"{script}\nDOCS_PWD=$PWD\ndeclare -p | grep -vE '^declare -[a-zA-Z]*r' > {self.state}\n")
        done = subprocess.run(["bash", "-c", wrapped], env=self.environment, cwd=self.home, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=240, check=False)
        if done.returncode != 0:
            raise AssertionError(f"{block} ended with {done.returncode}:\n{script}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        missing = set(NAME_IN_JSON.findall(block.shown())) - set(NAME_IN_JSON.findall(done.stdout))
        if missing:
            raise AssertionError(f"{block} shows names that the answer does not have: {sorted(missing)}\n{done.stdout[:3000]}")
        return done.stdout

    def serve(self, block):
        commands = [words for words in simple_commands(block.commands()) if words[0] == "poise"]
        if len(commands) != 1 or commands[0][1] not in ("serve", "demo"):
            raise AssertionError(f"{block}: expected one poise serve or demo")
        log = self.home / ".server.log"
        with open(log, "w", encoding="utf-8") as out:
            self.server = subprocess.Popen([str(self.poise), *commands[0][1:], "--server-port", "0"], cwd=self.home,
                                           env=self.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self.server.poll() is None:
            text = log.read_text(encoding="utf-8")
            address = re.search(r"http://127.0.0.1:(\d+)", text)
            if address:
                self.port = int(address.group(1))
                self.environment["URL"] = f"http://127.0.0.1:{self.port}"
                key = re.search(r"\bpoise_[A-Za-z0-9_-]{20,}", text)
                if key:
                    self.environment["KEY"] = key.group(0)
                return
            time.sleep(0.05)
        raise AssertionError(f"{block}: the server did not start:\n{log.read_text(encoding='utf-8')}")

    def help_of(self, command):
        """`poise COMMAND --help`, for subcommands of subcommands too."""
        if command not in self._help:
            done = subprocess.run([str(self.poise), *command, "--help"], capture_output=True, text=True, check=False)
            self._help[command] = done.stdout if done.returncode == 0 else None
        return self._help[command]

    def check_flags(self, block):
        """Every poise command exists and knows its flags."""
        for words in simple_commands(block.commands()):
            while words and re.match(r"^[A-Z_]+=", words[0]):
                words = words[1:]
            if not words or words[0] != "poise":
                continue
            # CLI11 answers --help before it minds a word it does not know.
            if not re.search(rf"^  {re.escape(words[1])}\s", self.help_of(()) or "", re.MULTILINE):
                raise AssertionError(f"{block}: there is no 'poise {words[1]}'")
            text = self.help_of((words[1],))
            if text is None:
                raise AssertionError(f"{block}: 'poise {words[1]} --help' failed")
            if len(words) > 2 and re.search(rf"^\s+{re.escape(words[2])}\s", text, re.MULTILINE) and "-" not in words[2]:
                text += self.help_of((words[1], words[2])) or ""
            for word in words[2:]:
                flag = word.split("=")[0]
                if flag.startswith("--") and not re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", text):
                    raise AssertionError(f"{block}: 'poise {words[1]}' does not know {flag}")

    def check_scripts(self, block, source_dir):
        """Every ./script exists and its --help names the flags."""
        for words in simple_commands(block.commands()):
            if not words[0].startswith(("./", "scripts/", "bench/")):
                continue
            script = source_dir / words[0]
            if not (script.is_file() and os.access(script, os.X_OK)):
                raise AssertionError(f"{block}: there is no script {words[0]}")
            text = script.read_text(encoding="utf-8")
            for word in words[1:]:
                flag = word.split("=")[0]
                if flag.startswith("--") and flag not in text:
                    raise AssertionError(f"{block}: {words[0]} does not know {flag}")


def documents(source_dir):
    return [source_dir / name for name in ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md")
            if (source_dir / name).exists()] + sorted((source_dir / "docs").rglob("*.md"))


def play(path, text, source_dir, poise):
    machine = Machine(poise)
    count = 0
    try:
        for block in blocks_of(text, path):
            count += 1
            if block.kind == "install":
                machine.check_scripts(block, source_dir)
            elif block.kind == "data-set":
                machine.check_flags(block)
                machine.check_scripts(block, source_dir)
            elif block.kind == "server":
                machine.serve(block)
            else:
                machine.run(block)
    finally:
        machine.close()
    return count


class TheDocuments(unittest.TestCase):
    def test_every_shell_block_does_what_it_says(self):
        total = 0
        for path in documents(SOURCE_DIR):
            with self.subTest(path.relative_to(SOURCE_DIR)):
                total += play(path.relative_to(SOURCE_DIR), path.read_text(encoding="utf-8"), SOURCE_DIR, POISE)
        self.assertGreater(total, 5)
        print(f"{total} shell blocks")

    def test_links_within_the_tree_lead_somewhere(self):
        for path in documents(SOURCE_DIR) + [SOURCE_DIR / name for name in ("GLOSSARY.md", "CHANGELOG.md")]:
            text = FENCE.sub("", path.read_text(encoding="utf-8"))
            for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
                if not re.match(r"^[a-z]+:", target):
                    self.assertTrue((path.parent / target).exists(), f"{path.relative_to(SOURCE_DIR)} links to {target}")


class TheRunner(unittest.TestCase):
    """The runner itself: it runs what it should and fails where it should."""

    def play(self, text):
        return play("x.md", text, SOURCE_DIR, POISE)

    def fails(self, text, word):
        with self.assertRaises((AssertionError, ValueError)) as caught:
            self.play(text)
        self.assertIn(word, str(caught.exception))

    def test_blocks_share_variables_and_folder(self):
        self.assertEqual(self.play("```sh\nmkdir a; cd a; word='two words'\n```\n\ntext\n\n"
                                   "```sh\n[ \"$word\" = 'two words' ] && [ \"$(basename \"$PWD\")\" = a ]\n```\n"), 2)

    def test_a_block_that_fails_fails(self):
        self.fails("\n```sh\nfalse\n```\n", "x.md:2")
        self.fails("```sh\nfalse | cat\n```\n", "x.md:1")
        self.fails("```sh\nexit 3\n```\n", "ended with 3")

    def test_a_block_of_another_language_is_not_run(self):
        self.assertEqual(self.play("```json\n{}\n```\n```\nfalse\n```\n"), 0)

    def test_a_kind_that_nobody_knows_fails(self):
        self.fails("```sh skip\nfalse\n```\n", "skip")
        self.fails("```bash\ntrue\n```\n", "```sh")

    def test_console_blocks_run_their_commands_and_hold_the_names_shown(self):
        self.assertEqual(self.play("```console\n$ echo '{\"a\": 1,' \\\n    '\"b\": 2}'\n{\"a\": 7}\n```\n"), 1)
        self.fails("```console\n$ echo '{\"a\": 1}'\n{\"b\": 1}\n```\n", "'b'")
        self.fails("```console\n$ false\n```\n", "x.md:1")

    def test_flags_that_do_not_exist_fail(self):
        self.assertEqual(self.play("```sh data-set\npoise recommend --data-dir x --user 7 --slots=10 | head\n```\n"), 1)
        self.fails("```sh data-set\npoise recommend --usr 7\n```\n", "--usr")
        self.fails("```sh data-set\npoise recommends\n```\n", "recommends")
        self.fails("```sh install\n./quickstart --bild-only\n```\n", "--bild-only")
        self.fails("```sh install\n./quickstrat\n```\n", "quickstrat")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    SOURCE_DIR = pathlib.Path(sys.argv[1]).resolve()
    POISE = pathlib.Path(sys.argv[2]).resolve()
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=1)
