"""Draw docs/dag.svg, the workflow's rules and the data flow between them, from Snakemake itself: `make dag`.

An arrow that a longer path implies is left out. Only this program needs Graphviz.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from ballast.files import BallastError, write_text

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs/dag.svg"
# Rule files by purpose, in the order of the data flow, with their colours (Okabe and Ito's, lighter).
PARTS = {
    "data": ("#cfe8f7", ("world", "sources", "data", "rewrite")),
    "selection": ("#cdeee2", ("label", "gradients", "sample", "settle")),
    "training": ("#fbe3b5", ("train", "adapters")),
    "measurement": ("#f6d3c1", ("generate", "judge")),
    "results": ("#ecd7e4", ("results", "claims", "advice", "checks", "report")),
}
EDGE = re.compile(r"^\s*(\d+) -> (\d+)$", re.MULTILINE)
NODE = re.compile(r'^\s*(\d+)\[label = "(\w+)"', re.MULTILINE)
TITLE = re.compile(r"<title>(\w+)&#45;&gt;(\w+)</title>")


def main() -> None:
    try:
        drawn = subprocess.run(["dot", "-Tsvg"], input=source(arrows()), capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise BallastError("no `dot` here; install Graphviz (apt-get install graphviz)") from None
    write_text(PICTURE, drawn.stdout)


def arrows() -> list[tuple[str, str]]:
    """Return (rule, rule that reads it) of a cold default study, without arrows that a longer path implies."""
    with tempfile.TemporaryDirectory() as empty:
        asked = ["--rulegraph", "dot", "--directory", empty, "--snakefile", ROOT / "Snakefile"]
        command = [Path(sys.executable).with_name("snakemake"), *asked, "--configfile", ROOT / "config/mini.yaml"]
        graph = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = dict(NODE.findall(graph))
    found = {(names[one], names[other]) for one, other in EDGE.findall(graph)}
    readers = {}
    for one, other in sorted(found):
        if one != other and other != "all":
            readers.setdefault(one, set()).add(other)
    return [(one, other) for one in sorted(readers) for other in sorted(readers[one] - _later(readers, one))]


def _later(readers: dict[str, set[str]], rule: str) -> set[str]:
    """Return the rules that are two or more steps after a rule."""
    found, waiting = set(), [*readers[rule]]
    while waiting:
        for other in readers.get(waiting.pop(), ()):
            if other not in found:
                found.add(other)
                waiting.append(other)
    return found


def drawn() -> list[tuple[str, str]]:
    """Return the arrows of the present picture."""
    return sorted(TITLE.findall(PICTURE.read_text()))


def source(arrows: list[tuple[str, str]]) -> str:
    """Return the picture in Graphviz' language."""
    colours = {file: colour for colour, files in PARTS.values() for file in files}
    lines = [
        "digraph rules {",
        'graph [rankdir=LR, bgcolor=white, nodesep=0.12, ranksep=0.35, fontname="sans-serif"];',
        'node [shape=box, style="rounded,filled", color="#444444", penwidth=0.8, fontname="sans-serif", fontsize=11,'
        " height=0.3, margin=0.08];",
        'edge [color="#777777", penwidth=0.8, arrowsize=0.6];',
    ]
    lines += [f'{rule} [fillcolor="{colours[file]}"];' for rule, file in rules(arrows)]
    lines += [f"{one} -> {other};" for one, other in arrows]
    return "\n".join([*lines, "}\n"])


def rules(arrows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return each rule of the arrows with its file."""
    place = {
        name: file.stem
        for file in sorted((ROOT / "workflow/rules").glob("*.smk"))
        for name in re.findall(r"^(?:use rule \w+ as|rule|checkpoint) (\w+)\b", file.read_text(), re.MULTILINE)
    }
    return [(rule, place[rule]) for rule in sorted({rule for arrow in arrows for rule in arrow})]


if __name__ == "__main__":
    main()
