"""The documents: each command, target, file, key and link in them is there, and each plug-in has its words.

Commands are taken apart, not run: what they would do, other suites do. The Python example of docs/python.md is run.
"""

import ast
import re
import shlex
from functools import cache
from pathlib import Path

import pytest
import yaml
from snakemake.cli import get_argument_parser

from ballast import plugins
from ballast.picks import features
from ballast.study import config
from ballast.study.config import Study
from ballast.study.fine_tuning import MethodSection

ROOT = Path(__file__).parents[2]
PAGES = [
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "config/README.md",
]
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAM = re.compile(r"(?:\.venv/bin/)?(snakemake|make|python(?:3\.11)?|pip|ballast|pytest)(?= |$)")
# Other people's programs: a line that begins with one is not looked into.
ELSEWHERE = ("git", "docker", "apptainer", "conda", "export", ".", "cd", "cat", "grep", "sinfo")
WILDCARD = re.compile(r"\{\{?\w+\}?\}")


def text(name: str) -> str:
    return (ROOT / name).read_text()


def blocks(name: str, *languages: str) -> list[str]:
    return [body for language, body in BLOCK.findall(text(name)) if language in languages]


def commands(name: str) -> list[str]:
    """What a page tells people to type: lines of blocks, and words in backticks."""
    lines = [line for block in blocks(name, "", "sh", "bash") for line in block.splitlines()]
    words = re.findall(r"`([^`\n]+)`", BLOCK.sub("", text(name)))
    found = [line.split(" # ")[0].strip() for line in [*lines, *words]]
    return [line for line in found if PROGRAM.match(line) and " " in line and "..." not in line and "<" not in line]


EVERY = [(name, command) for name in NAMES for command in dict.fromkeys(commands(name))]


def test_commands_are_found_at_all():
    """Else every test below would be content with nothing."""
    assert len(EVERY) > 60 and {PROGRAM.match(command)[1] for _, command in EVERY} >= {"snakemake", "make", "python"}


@cache
def rules() -> dict[str, str]:
    """Each rule's name and its text."""
    files = [ROOT / "workflow/Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]
    parts = [part for file in files for part in re.split(r"(?m)^(?=rule |checkpoint |use rule )", file.read_text())[1:]]
    return {re.match(r"(?:use rule \w+ as|\w+) (\w+)", part)[1]: part for part in parts}


@cache
def outputs() -> list[re.Pattern]:
    """What files the rules make, as patterns."""
    found = []
    for part in rules().values():
        said = re.search(r"    output:\n(.*?)(?=\n    \w+:|\Z)", part, re.DOTALL)
        for literal in re.findall(r'f"([^"]*)"', said[1] if said else ""):
            full = literal.replace("{RUN}", "{RESULTS}/runs/{{m}}/{{p}}/{{s}}/n{{n}}/t{{t}}")
            full = full.replace("{RESULTS}", "results/{{study}}")
            found.append(re.compile("[^/]+".join(map(re.escape, WILDCARD.split(full)))))
    return found


def fault(command: str) -> str:
    """What is wrong with a command; empty where nothing is."""
    words = shlex.split(command)
    program, arguments = PROGRAM.match(command)[1], words[1:]
    if program == "snakemake":
        return snakemake_fault(arguments)
    if program == "make":
        known = set(re.search(r"\.PHONY: (.*)", text("Makefile"))[1].split())
        unknown = {word for word in arguments if "=" not in word} - known
        return f"the Makefile has no {unknown}" if unknown else ""
    if program == "pip":
        files = [word for word in arguments if word.endswith((".lock", ".in"))]
        return next((f"no file {file}" for file in files if not (ROOT / file).is_file()), "")
    if program.startswith("python") and arguments[0] not in ("-m", "-c"):
        return script_fault(arguments)
    return ""


def snakemake_fault(arguments: list[str]) -> str:
    try:
        given = get_argument_parser().parse_args(arguments)
    except SystemExit:
        return "Snakemake does not take these arguments"
    profile = [arguments[place + 1] for place, word in enumerate(arguments) if word == "--profile"]
    places = [f"{name}/config.yaml" for name in profile] + [str(file) for file in given.configfile or []]
    for place in places:
        own = Path(place).stem.startswith(("my", "mine"))  # one that the reader writes
        if not own and not (ROOT / place).is_file():
            return f"no file {place}"
    for target in map(str, given.targets):
        if "/" in target:
            if not any(pattern.fullmatch(target) for pattern in outputs()):
                return f"no rule makes {target}"
        elif target not in rules():
            return f"no rule is called {target}"
    return ""


def script_fault(arguments: list[str]) -> str:
    script = ROOT / arguments[0]
    if not script.is_file():
        return f"no file {arguments[0]}"
    said = script.read_text()
    flags = [word for word in arguments[1:] if word.startswith("--")]
    return next((f"{arguments[0]} has no {flag}" for flag in flags if flag[2:] not in said), "")


@pytest.mark.parametrize("name", NAMES)
def test_each_command_would_be_understood(name):
    faults = {command: wrong for page, command in EVERY if page == name and (wrong := fault(command))}
    assert not faults


@pytest.mark.parametrize(
    "command,said",
    [
        ("snakemake subset", "no rule is called subset"),
        ("snakemake --dryrunn", "does not take these arguments"),
        ("snakemake --configfile config/papre.yaml", "no file config/papre.yaml"),
        ("snakemake results/mini/tables.md", "no rule makes"),
        ("snakemake results/mini/runs/llama/safety/sss/n7/t0/merged/model.bin/x", "no rule makes"),
        ("make studies", "the Makefile has no"),
        ("python benchmarks/nothing.py", "no file benchmarks/nothing.py"),
        ("python benchmarks/study.py --no-such-flag", "has no --no-such-flag"),
        ("pip install --requirement envs/none.lock", "no file envs/none.lock"),
    ],
)
def test_a_wrong_command_is_found(command, said):
    assert said in fault(command)


def test_each_line_of_a_shell_block_is_a_command_that_is_known():
    for name in NAMES:
        for line in "\n".join(blocks(name, "sh", "bash")).splitlines():
            assert PROGRAM.match(line) or line.split(" ")[0] in ELSEWHERE or not line.strip("# "), f"{name}: {line}"


@pytest.mark.parametrize("name", NAMES)
def test_each_link_leads_somewhere(name):
    folder = (ROOT / name).parent
    for target in re.findall(r"\]\(([^)\s]+)\)", BLOCK.sub("", text(name))):
        place, _, anchor = target.partition("#")
        if "://" in place:
            continue
        file = (folder / place).resolve() if place else ROOT / name
        assert file.exists(), f"{name}: {target}"
        if anchor:
            assert anchor in {slug(heading) for heading in re.findall(r"(?m)^#+ (.*)$", file.read_text())}, target


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_each_file_of_the_repository_that_is_named_is_there():
    tops = ("config", "docs", "envs", "profiles", "scripts", "slurm", "tests", "workflow", "benchmarks")
    for name in NAMES:
        for word in re.findall(r"`([^`\s*<>{}]+)`", BLOCK.sub("", text(name))):
            path = word.split("::")[0].rstrip("/,")
            own = Path(path).stem.startswith(("my", "mine"))
            built = path == "envs/ballast.sif"
            if path.split("/")[0] in tops and "/" in path and not own and not built:
                assert (ROOT / path).exists() or (ROOT / "tests" / path).exists(), f"{name}: {word}"


@pytest.mark.parametrize("name", NAMES)
def test_each_yaml_block_has_keys_of_a_config(name):
    for block in blocks(name, "yaml"):
        given = yaml.safe_load(block)
        assert set(given) <= {*Study.model_fields, "extends"}, f"{name}: {set(given)}"
        for method in given.get("methods", {}).values():
            assert set(method) <= set(MethodSection.model_fields)


def test_the_methods_page_opens_with_a_config_that_mini_takes(tmp_path):
    [block] = [block for block in blocks("docs/methods.md", "yaml") if "experiments:" in block]
    (tmp_path / "mine.yaml").write_text(f"extends: {ROOT / 'config/mini.yaml'}\n{block}")
    study = config.load(config.read(tmp_path / "mine.yaml"))
    assert set(study.methods) < set(study.experiments.sampling.samplers)


@pytest.mark.parametrize("name", NAMES)
def test_each_python_block_is_python(name):
    for block in blocks(name, "python"):
        whole = block if not block.rstrip().endswith(":") else f"{block.rstrip()} ..."
        ast.parse(whole)


def test_the_example_of_picking_in_python_runs(capsys):
    [example] = blocks("docs/python.md", "python")
    exec(compile(example, "docs/python.md", "exec"), {})
    assert "rank" in capsys.readouterr().out


@pytest.mark.parametrize(
    "kind,page",
    [
        ("samplers", "docs/samplers.md"),
        ("trainers", "docs/methods.md"),
        ("filters", "docs/methods.md"),
        ("transforms", "docs/methods.md"),
        ("judges", "docs/judges.md"),
    ],
)
def test_each_plugin_has_its_words(kind, page):
    named = set(re.findall(r"`([^`\n]+)`", text(page)))
    lacking = [name for name in plugins.names(kind) if name not in named]
    assert not lacking, f"{page} says nothing of {lacking}"


def test_contributing_names_each_feature_that_a_sampler_may_need():
    needs = {name for name in features.FILES if name != "reference-embedding"}  # it comes with the references
    words = re.findall(r"(?m)^\| (`[^|]*) \|", text("CONTRIBUTING.md"))
    assert needs == set(re.findall(r"`([\w-]+)`", " ".join(words)))


def test_each_page_is_in_the_index():
    listed = set(re.findall(r"\]\((\w[\w-]*\.md)\)", text("docs/README.md")))
    assert listed == {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}


def test_each_source_is_listed_with_its_licence():
    sources = yaml.safe_load(text("config/sources.yaml"))["sources"]
    lines = [line for line in text("docs/data.md").splitlines() if line.startswith("| `")]
    listed = {name: line.split(" | ") for line in lines for name in re.findall(r"`([^`]+)`", line)}
    assert set(listed) == set(sources)
    for name, source in sources.items():
        assert listed[name][1].strip() == source["licence"], name
        assert ("yes" in listed[name][2]) == source.get("gated", False), name
