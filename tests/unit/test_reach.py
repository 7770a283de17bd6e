"""What a program reaches: names decide, and where they cannot, the whole module counts."""

import inspect
import sys
from pathlib import Path

import pytest

from ballast import identity
from ballast.files import write_json
from ballast.plugins import HOME
from ballast.reach import Code

SHARED = '''"""Shared."""
import functools
import numpy as np
from ballast.other import helper as helps

CONSTANT = 1
UNREAD = 2
TABLE = {"a": CONSTANT}


def used(n):
    """Count."""
    total = n
    for each in range(n):
        total += each
    return total * CONSTANT


def unused():
    return helps(UNREAD), TABLE


@functools.cache
def cached(x=CONSTANT):
    return np.sum(x)


class Base:
    def run(self):
        return used(1)


class Kind(Base):
    size: int = UNREAD
'''


@pytest.fixture
def tree(tmp_path) -> Path:
    (tmp_path / "ballast").mkdir()
    files = {"__init__": "", "shared": SHARED, "other": "FIELD = 3\n\n\ndef helper(x):\n    return x\n"}
    for name, text in files.items():
        (tmp_path / f"ballast/{name}.py").write_text(text)
    (tmp_path / "ballast/words.json").write_text("{}")
    return tmp_path


def reached(tree: Path, program: str) -> dict[str, str]:
    (tree / "stage.py").write_text(program)
    found = Code(tree, "ballast").reach("stage.py", [])[0]
    return {name: digest for name, digest in found.items() if not name.startswith("stage.py")}


def edit(tree: Path, old: str, new: str, file: str = "shared") -> None:
    path = tree / f"ballast/{file}.py"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))


USED = "from ballast.shared import used\n\nused(3)\n"


@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [
        ('"""Count."""', '"""Count them."""', False),
        ("def used(n):", "def used(n: int) -> int:", False),
        ("    total = n\n", "    total: int = n  # a remark\n", None),
        ("for each in range(n):\n        total += each", "for other in range(n):\n        total += other", False),
        ("for each in range(n):\n        total += each", "for each in range(n):\n        total += n", True),
        ("UNREAD = 2", "UNREAD = 4", False),
        ("helps(UNREAD)", "helps(CONSTANT)", False),
        ("CONSTANT = 1", "CONSTANT = 7", True),
        ("def used(n)", "def used(m)", True),
        ("range(n)", "range(n + 1)", True),
        ("class Base:", "class Bass:\n    pass\n\n\nclass Base:", False),
        ("UNREAD = 2", "UNREAD = 2\nNOBODY_NAMES_IT = 1", False),
        ("UNREAD = 2", "UNREAD = 2\nprint(1)", True),
        ("UNREAD = 2", "UNREAD = 2\nTABLE['b'] = 1", True),
        ("UNREAD = 2", "UNREAD = 2\n\n\n@print\ndef registered():\n    pass", True),
        ("UNREAD = 2", "UNREAD = 2\n\n\ndef more():\n    return CONSTANT", False),
    ],
)
def test_an_edit_counts_where_the_function_or_the_top_of_its_module_reaches_it(tree, old, new, counts):
    before = reached(tree, USED)
    edit(tree, old, new)
    if counts is not None:
        assert (reached(tree, USED) != before) is counts


@pytest.mark.parametrize(
    ("program", "names"),
    [
        ("from ballast.shared import used\n", set()),
        ("from ballast.shared import used as u\n\nu(1)\n", {"used", "CONSTANT"}),
        ("from ballast import shared\n\nshared.used(1)\n", {"used", "CONSTANT"}),
        ("import ballast.shared\n\nballast.shared.used(1)\n", {"used", "CONSTANT"}),
        ("def main():\n    from ballast import shared as s\n    s.TABLE\n\nmain()\n", {"TABLE", "CONSTANT"}),
        ("from ballast.shared import cached\n\ncached()\n", {"cached", "CONSTANT", "functools", "np"}),
        ("from ballast.shared import Kind\n\nKind()\n", {"Kind", "Base", "used", "CONSTANT", "UNREAD"}),
        ("from ballast.shared import helps\n\nhelps(1)\n", {"helps"}),
        ("def main(used):\n    used(1)\n\nfrom ballast.shared import used\n\nmain(print)\n", set()),
    ],
)
def test_a_program_reaches_what_its_names_lead_to(tree, program, names):
    found = {name.partition(": ")[2] for name in reached(tree, program) if "shared.py" in name}
    assert found - {""} == names


@pytest.mark.parametrize(
    "program",
    [
        "from ballast import shared\n\nprint(shared)\n",
        "from ballast import shared\n\ngetattr(shared, 'us' + 'ed')\n",
        "from ballast import shared\n\nshared.used = print\n",
        "from ballast.shared import *\n",
        "from ballast import shared\n\nshared.nobody\n",
        "import importlib\n\nimportlib.import_module('ballast.shared')\n",
    ],
)
def test_where_names_do_not_decide_the_whole_module_counts(tree, program):
    found = {name.partition(": ")[2] for name in reached(tree, program) if "shared.py" in name}
    assert {"used", "unused", "UNREAD", "Kind", "cached"} <= found
    assert "ballast/other.py: helper" in reached(tree, program)


def test_a_function_that_reads_names_by_their_text_reaches_its_whole_module(tree):
    edit(tree, "return total * CONSTANT", "return globals()['UN' + 'READ']")
    assert "ballast/shared.py: unused" in reached(tree, USED)


def test_a_module_that_is_only_imported_runs_its_top_and_that_of_its_packages(tree):
    (tree / "ballast/__init__.py").write_text("print('imported')\n")
    before = reached(tree, USED)
    assert {"ballast/other.py: ", "ballast/__init__.py: "} <= before.keys()
    edit(tree, "FIELD = 3", "FIELD = 3\nprint(FIELD)", "other")
    assert reached(tree, USED)["ballast/other.py: "] != before["ballast/other.py: "]
    assert "ballast/other.py: FIELD" in reached(tree, USED)


@pytest.mark.parametrize("name", ["words.json", "page/words.json", "*.json"])
def test_a_data_file_counts_where_it_is_named(tree, name):
    edit(tree, "return total * CONSTANT", f"return open({name!r})")
    before = reached(tree, USED)
    (tree / "ballast/words.json").write_text("[]")
    assert reached(tree, USED) != before
    assert "ballast/words.json" not in reached(tree, "from ballast.shared import cached\n\ncached()\n")


def test_two_locals_that_change_places_count(tree):
    swap = "def used(n):\n    first = n\n    second = 1\n    return first - second\n"
    edit(tree, SHARED[SHARED.index("def used") : SHARED.index("def unused")], swap + "\n\n")
    before = reached(tree, USED)
    edit(tree, "first - second", "second - first")
    assert reached(tree, USED) != before


def test_what_runs_is_among_what_is_reached(tmp_path, run_stage):
    """Each function of Ballast that a stage calls, but for those that start it, is a part of its code."""
    pool = [{"instruction": f"Say {n}.", "input": "", "output": "Done."} for n in range(9)]
    write_json(tmp_path / "base.json", pool)
    called = set()

    def note(frame, event, _):
        file = Path(frame.f_code.co_filename)
        function = event == "call" and frame.f_code.co_flags & inspect.CO_OPTIMIZED  # no body of a class or module
        if function and file.is_relative_to(HOME):
            top = frame.f_code.co_qualname.partition(".")[0]
            called.add(f"ballast/{file.relative_to(HOME).as_posix()}: {top}")

    read = ["--kind", "base", "--format", "alpaca", "--source", tmp_path / "base.json", "--rows", 5, "--order-seed", 0]
    picks = ["--sampler", "random", "--n", 3, "--seed", 1, "--options", "{}", "--pool", tmp_path / "rows.parquet"]
    for stage, named, arguments in (
        ("data", "readers/alpaca", [*read, "--out", tmp_path / "rows.parquet"]),
        ("sample", "samplers/random", [*picks, "--out", tmp_path / "s.csv", "--out-rows", tmp_path / "s.parquet"]),
    ):
        called.clear()
        sys.setprofile(note)
        try:
            done = run_stage(stage, *arguments)
        finally:
            sys.setprofile(None)
        assert done.returncode == 0, done.stderr
        parts = identity.code_parts(stage, named)
        starts = ("ballast/running/", "ballast/asking/keep_model.py")
        lacking = {name for name in called if name not in parts and not name.startswith(starts) and "<" not in name}
        assert len(called) > 5 and lacking == set()
