#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""add_a_model_test.py SOURCE_DIR BUILD_DIR: CONTRIBUTING's new model is three files and two lines, builds
with the tree's own flags, and keeps every promise that a model makes.
"""

import json
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE_DIR = None
BUILD_DIR = None
SUITE = "poise_model_contract_test"


def run(command, cwd):
    done = subprocess.run(command, cwd=cwd, shell=isinstance(command, str), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{command}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


class AddAModel(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="poise-model-")
        self.addCleanup(folder.cleanup)
        self.tree = pathlib.Path(folder.name).resolve()
        text = (SOURCE_DIR / "CONTRIBUTING.md").read_text(encoding="utf-8")
        diffs = re.findall(r"^```diff\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        self.assertEqual(len(diffs), 1)
        self.diff = diffs[0]

    def test_it_is_three_new_files_and_two_changed_lines(self):
        files = re.split(r"^diff --git .*\n", self.diff, flags=re.MULTILINE)[1:]
        new = [part for part in files if part.startswith("new file mode")]
        old = [part for part in files if not part.startswith("new file mode")]
        self.assertEqual((len(new), len(old)), (3, 2))
        changed = [line for part in old for line in part.split("\n") if re.match(r"^[+-](?![+-])", line)]
        self.assertEqual([line[0] for line in changed], ["+", "+"], changed)

    def test_it_builds_and_keeps_every_promise_of_a_model(self):
        shutil.copytree(SOURCE_DIR / "src", self.tree / "src")
        (self.tree / "change.diff").write_text(self.diff, encoding="utf-8")
        run(["git", "apply", "--unidiff-zero", "change.diff"], self.tree)
        name = re.search(r'^\+ *row\(\w+, "([a-z-]+)"', self.diff, re.MULTILINE).group(1)
        new_sources = re.findall(r"^\+\+\+ b/(.*\.cc)$", self.diff, re.MULTILINE)
        self.assertEqual(len(new_sources), 3, new_sources)  # the model, its test and the registry
        self.assertIn(f"  {new_sources[0].removeprefix('src/models/').removesuffix('.cc')}",
                      (self.tree / "src/models/CMakeLists.txt").read_text(encoding="utf-8").split("\n"))

        commands = json.loads((BUILD_DIR / "compile_commands.json").read_text(encoding="utf-8"))
        like = next(entry for entry in commands if entry["file"] == str(SOURCE_DIR / "src/models/registry.cc"))
        objects = []
        for source in new_sources:
            words = [word.replace(f"-I{SOURCE_DIR}/src", f"-I{self.tree}/src") for word in shlex.split(like["command"])]
            built = self.tree / (pathlib.Path(source).name + ".o")
            words[words.index("-o") + 1] = str(built)
            words[words.index("-c") + 1] = str(self.tree / source)
            run(words, like["directory"])
            objects.append(str(built))

        link = run(["ninja", "-C", str(BUILD_DIR), "--quiet", "-t", "commands", SUITE], BUILD_DIR).strip().split("\n")[-1]
        suite = self.tree / SUITE
        # The new registry stands before the library's, so the linker takes it instead.
        link = re.sub(r" -o \S+", lambda _: f" {' '.join(objects)} -o {suite}", link, count=1)
        run(link, BUILD_DIR)
        output = run([str(suite), "--gtest_filter=*", "--gtest_brief=0"], BUILD_DIR)
        kept = re.findall(rf"^\[ +OK \] \S*{re.sub('-', '_?', name)}\S*", output, re.MULTILINE | re.IGNORECASE)
        self.assertGreater(len(kept), 8, output[-3000:])


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    SOURCE_DIR = pathlib.Path(sys.argv[1]).resolve()
    BUILD_DIR = pathlib.Path(sys.argv[2]).resolve()
    unittest.main(argv=sys.argv[:1], verbosity=1)
