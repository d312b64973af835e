#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""architecture_test.py SOURCE_DIR ROOM_TABLE: the tree keeps its rules; and each rule can be broken."""

import pathlib
import sys
import tempfile
import unittest

import architecture

SOURCE_DIR = None
ROOM_TABLE = None


class TheTree(unittest.TestCase):
    def holds(self, breaches):
        self.assertFalse(breaches, "\n  " + "\n  ".join(breaches))

    def test_every_include_of_another_room_is_covered_by_uses(self):
        self.holds(architecture.uses_against_includes(SOURCE_DIR))

    def test_each_third_party_library_is_included_by_one_room(self):
        self.holds(architecture.one_room_a_library(SOURCE_DIR))

    def test_names_say_what_a_thing_is(self):
        self.holds(architecture.names(SOURCE_DIR))

    def test_every_source_opens_with_its_licence(self):
        self.holds(architecture.licences(SOURCE_DIR))

    def test_nothing_names_a_place_of_one_machine(self):
        self.holds(architecture.places_of_one_machine(SOURCE_DIR))

    def test_every_fuzz_target_has_seeds(self):
        self.holds(architecture.fuzz_targets(SOURCE_DIR))

    def test_the_room_table_is_the_builds(self):
        self.holds(architecture.room_table(SOURCE_DIR, ROOM_TABLE.read_text(encoding="utf-8")))


SOUND = {
    "src/CMakeLists.txt": "add_subdirectory(base)\nadd_subdirectory(ann)\nadd_subdirectory(http)\n",
    "src/base/CMakeLists.txt": 'poise_room(base PURPOSE "a (small) floor" HEADERS a.h)',
    "src/base/a.h": "// SPDX-License-Identifier: Apache-2.0\n#include <vector>\n#include <sys/stat.h>\n",
    "src/ann/CMakeLists.txt": 'poise_room(ann PURPOSE "near; far" USES base SOURCES b.cc)',
    "src/ann/b.cc": '// SPDX-License-Identifier: Apache-2.0\n#include <fmt/format.h>\n#include "base/a.h"\n',
    "src/http/CMakeLists.txt": 'poise_room(http PURPOSE "the doors" USES base)',
    "src/http/c.cc": '// SPDX-License-Identifier: Apache-2.0\n#include <boost/asio/ip/tcp.hpp>\n#include "base/a.h"\n',
}


class TheRules(unittest.TestCase):
    """Each rule is silent on a sound tree and speaks when one file breaks it."""

    def tree(self, changes):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        root = pathlib.Path(folder.name)
        for name, text in {**SOUND, **changes}.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        for lists in root.rglob("CMakeLists.txt"):
            if "SPDX" not in lists.read_text(encoding="utf-8"):
                lists.write_text("# SPDX-License-Identifier: Apache-2.0\n" + lists.read_text(encoding="utf-8"))
        return root

    def says(self, breaches, *words):
        self.assertEqual(len(breaches), 1, breaches)
        for word in words:
            self.assertIn(word, breaches[0])

    def test_a_sound_tree_breaks_none(self):
        root = self.tree({})
        for rule in (architecture.uses_against_includes, architecture.one_room_a_library, architecture.names,
                     architecture.licences, architecture.places_of_one_machine, architecture.fuzz_targets):
            self.assertEqual(rule(root), [], rule.__name__)

    def test_an_include_that_uses_does_not_cover(self):
        root = self.tree({"src/http/d.h": '#include "ann/b.cc"\n'})
        self.says(architecture.uses_against_includes(root), "src/http/d.h", "does not USE ann")

    def test_an_include_with_blanks_counts(self):
        root = self.tree({"src/http/d.h": ' #  include   "ann/b.cc"\n'})
        self.says(architecture.uses_against_includes(root), "does not USE ann")

    def test_an_include_in_a_tests_folder_of_a_room_counts(self):
        root = self.tree({"src/http/api/d_test.cc": '#include "ann/b.cc"\n'})
        self.says(architecture.uses_against_includes(root), "api/d_test.cc")

    def test_a_use_of_a_later_room(self):
        root = self.tree({"src/ann/CMakeLists.txt": 'poise_room(ann PURPOSE "p" USES base http)',
                          "src/ann/b.cc": '#include "base/a.h"\n#include "http/c.cc"\n'})
        self.says(architecture.uses_against_includes(root), "ann USES http")

    def test_a_use_that_nothing_needs(self):
        root = self.tree({"src/ann/b.cc": "#include <vector>\n"})
        self.says(architecture.uses_against_includes(root), "ann USES base", "nothing of it")

    def test_quotes_around_no_room(self):
        root = self.tree({"src/ann/b.cc": '#include "base/a.h"\n#include "sqlite3.h"\n'})
        self.says(architecture.uses_against_includes(root), "sqlite3.h")

    def test_an_include_of_a_file_that_is_not_there(self):
        root = self.tree({"src/ann/b.cc": '#include "base/a.h"\n#include "base/gone.h"\n'})
        self.says(architecture.uses_against_includes(root), "base/gone.h", "does not exist")

    def test_a_library_in_two_rooms(self):
        root = self.tree({"src/ann/e.h": "#include <boost/asio.hpp>\n"})
        self.says(architecture.one_room_a_library(root), "Boost.Asio", "ann", "http")

    def test_a_library_that_nobody_named(self):
        root = self.tree({"src/ann/e.h": "#include <rocksdb/db.h>\n"})
        self.says(architecture.one_room_a_library(root), "rocksdb/db.h")

    def test_a_test_library_outside_tests(self):
        root = self.tree({"src/ann/e.h": "#include <gtest/gtest.h>\n", "src/ann/e_test.cc": "#include <gtest/gtest.h>\n"})
        self.says(architecture.one_room_a_library(root), "src/ann/e.h", "for tests")

    def test_a_folder_with_no_name(self):
        root = self.tree({"src/http/common/e.h": "// SPDX-License-Identifier: Apache-2.0\n"})
        self.says(architecture.names(root), "common")

    def test_a_type_with_no_name(self):
        root = self.tree({"src/ann/e.h": "class IndexManager {};\nclass Manageress {};\n"})
        self.says(architecture.names(root), "IndexManager")

    def test_a_file_without_its_licence(self):
        root = self.tree({"src/ann/e.h": "\n\n\n// SPDX-License-Identifier: Apache-2.0\n"})
        self.says(architecture.licences(root), "src/ann/e.h")

    def test_a_script_without_its_licence(self):
        root = self.tree({"scripts/run": "#!/bin/sh\n"})
        self.says(architecture.licences(root), "scripts/run")

    def test_a_path_of_one_machine(self):
        root = self.tree({"README.md": "cd /ho" + "me/someone/poise\n"})
        self.says(architecture.places_of_one_machine(root), "README.md:1")

    def test_a_host_nobody_listed(self):
        root = self.tree({"docs/a.md": "\nhttps://mirror.internal/simple/\nhttps://arxiv.org/abs/1\n"})
        self.says(architecture.places_of_one_machine(root), "docs/a.md:2", "mirror.internal")

    def test_a_fuzz_target_without_seeds(self):
        root = self.tree({"fuzz/csv_fuzz.cc": "", "fuzz/json_fuzz.cc": "", "fuzz/corpus/csv_fuzz/plain": "a,b"})
        self.says(architecture.fuzz_targets(root), "json_fuzz.cc")

    def test_a_room_table_of_yesterday(self):
        root = self.tree({"ARCHITECTURE.md": f"a\n{architecture.BEGIN}\nold\n{architecture.END}\nz\n"})
        self.says(architecture.room_table(root, "new\n"), "update-architecture")
        document = (root / "ARCHITECTURE.md").read_text(encoding="utf-8")
        (root / "ARCHITECTURE.md").write_text(architecture.put_room_table(document, "new\n"), encoding="utf-8")
        self.assertEqual(architecture.room_table(root, "new\n"), [])
        self.assertTrue((root / "ARCHITECTURE.md").read_text(encoding="utf-8").endswith("\nz\n"))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    SOURCE_DIR = pathlib.Path(sys.argv[1]).resolve()
    ROOM_TABLE = pathlib.Path(sys.argv[2])
    unittest.main(argv=sys.argv[:1], verbosity=1)
