"""Rule files: each name that a rule or a lambda uses is defined, also where no test reaches it."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

from snakemake.parser import parse

ROOT = Path(__file__).parents[2]
# What Snakemake itself defines in a rule file.
GIVEN = ["workflow", "config", "rules", "checkpoints", "subpath", "shell", "input", "output", "params"]
GIVEN += ["expand", "unpack", "ancient", "local", "report", "onstart", "onerror", "onsuccess"]


def compiled(path: Path) -> str:
    """Return the Python that Snakemake makes of a rule file."""
    source = SimpleNamespace(get_path_or_uri=lambda secret_free: str(path))
    opened = SimpleNamespace(sourcecache=SimpleNamespace(open=lambda _: path.open(encoding="utf-8")))
    return parse(source, opened, {})[0]


def undefined(text: str, folder: Path) -> str:
    (folder / "rules.py").write_text(text)
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F821", "--output-format", "concise"]
    done = subprocess.run(
        [*command, "--config", f"builtins = {GIVEN}", folder / "rules.py"], capture_output=True, text=True
    )
    assert "rules.py" in done.stdout or "All checks passed" in done.stdout, done.stderr
    return done.stdout


# Placeholders of shell commands that need no quotes. Ballast quotes these parts for the shell itself (`as_arguments`).
QUOTED = {"adapter", "among", "benchmarks", "canaries", "features", "files", "filled", "harness", "judge", "labels"}
QUOTED |= {"limit", "place", "pretrained", "reads", "scores", "start", "subset", "swapping", "unpinned"}
# The config's types allow only numbers, names and choices for these.
PLAIN = {"batch_size", "benchmark", "code", "dtype", "filter", "format", "kind", "labeller", "least", "max_failed"}
PLAIN |= {"max_new_tokens", "rows", "rules", "sampler", "seed", "transform"}


def unquoted(text: str) -> set[str]:
    """Return the placeholders of a rule file's shell commands that lack `:q`."""
    shells = re.findall(r"^    shell:\n((?: {8}.*\n)+)", text, re.MULTILINE)
    return {word for shell in shells for word in re.findall(r"(?<!\{)\{([^{}]+)\}", shell) if not word.endswith(":q")}


def test_every_path_in_a_shell_command_is_quoted():
    files = [ROOT / "workflow/Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]
    found = {word for file in files for word in unquoted(file.read_text())}
    kinds = {word.partition(".")[0] for word in found}
    assert kinds == {"params", "resources", "wildcards"}  # so no input, output or log
    assert {word.partition(".")[2] for word in found if word.startswith("params.")} <= QUOTED | PLAIN
    assert unquoted('    shell:\n        "stage x {input.a} {input.b:q} {log}"\n') == {"input.a", "log"}


def test_a_rule_records_the_code_of_the_stage_that_it_runs():
    """A job computes the identity of its stage again, and fails where its rule gives another one."""
    for file in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for rule in re.split(r"^(?:rule|checkpoint) ", file.read_text(), flags=re.MULTILINE)[1:]:
            stages = re.findall(r"stage (\w+) --record \{params.code\}", rule)
            assert stages == re.findall(r"code_identity\(\s*\"(\w+)\"", rule)[: len(stages)], rule[:40]


def test_every_name_in_the_rules_is_defined(tmp_path):
    main = (ROOT / "workflow/Snakefile").read_text()
    files = [ROOT / "workflow" / path for path in re.findall(r'^include: "(.+)"$', main, re.MULTILINE)]
    assert sorted(files) == sorted((ROOT / "workflow/rules").glob("*.smk"))
    text = "\n".join(map(compiled, [*files, ROOT / "workflow/Snakefile", ROOT / "Snakefile"]))
    assert "All checks passed" in (said := undefined(text, tmp_path)), said
    assert "Undefined name `shlex`" in undefined(f"{text}\nf = lambda wildcards: shlex.join(wildcards)\n", tmp_path)
