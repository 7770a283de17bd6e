"""Find bad habits of English in docs, docstrings, comments and messages: `python scripts/plain_english.py [PATH...]`.

Print one line per finding: path, line, words, and what to write instead. `make lint` runs it on all files. Code blocks,
words in backticks, headings and questions are exempt.
"""

import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
GLOBS = ("README.md", "CONTRIBUTING.md", "docs/*.md", "config/*.yaml", "profiles/*/*.yaml", "Makefile")
CODE = ("Snakefile", "workflow/Snakefile", "scripts/**/*.py", "benchmarks/*.py", "workflow/**/*.smk")
# Words -> what to write instead. Each has sent a reader back to the start of the sentence.
PHRASES = {
    r"told (?:from|apart)": "differs significantly from, or distinguished by",
    r"less (?:it|this|its|his|Random|Random's)(?= in\b|[,.;:]|$)": "a difference is A minus B",
    r"(?:says?|said) of": "name the verb: reports, states, shows, describes",
    r"looked at": "name the verb: read, checked, measured",
    r"beside each other": "side by side, or compared",
    r"as (?:it is|they are)(?=[.,;:)]|$)": "name the state: original, unchanged, untrained",
    r"that (?:is|are|was|were) there(?=[.,;:)\s]|$)": "existing, finished",
    r"in the place of": "instead of",
    r"one (?:column|file|job|line|panel|point|process|program|row|start) an? (?=\w)": "say per: one job per run",
}
# The opening of a sentence whose subject is a clause: the reader waits for the verb.
SUBJECT = {
    r"(?:What|Whether|Which|Who|How (?:many|much|often|far|long)) ": "name the actor first, then the verb",
    r"That (?:a|an|the|it|each|every|all|no|one|this|these|we|you|they|there) ": "name the actor first, then the verb",
    r"Of (?![^,.]{0,60},)": "begin with the subject",
}
DOCSTRING = {r"(?:What|Whether|Which|Who|Whose|How|Where|Why|That|Of) ": "start with a verb: Return, Rank, Write"}
# The caption of a table, whose bytes stay the same: (file, words).
KEPT = {("table5.py", "What fine-tuning on")}
SENTENCE = re.compile(r"(?:(?<=[.!?]\s)|(?<=[.!?]\*\*\s))(?=[A-Z])")
INLINE = re.compile(r"`[^`\n]*`")


def findings(text: str, docstring: bool = False) -> Iterator[tuple[int, str, str]]:
    """Yield (offset, words, advice) for a piece of prose."""
    text = INLINE.sub(lambda code: "x" * len(code[0]), text)
    begin = len(text) - len(text.lstrip())
    if docstring:
        yield from _opening(text[begin:], begin, DOCSTRING)
    starts = [begin, *(match.start() for match in SENTENCE.finditer(text))]
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        sentence = text[start:end].rstrip()
        if sentence.endswith(".") and not (docstring and start == begin):
            yield from _opening(sentence, start, SUBJECT)
    for pattern, advice in PHRASES.items():
        for match in re.finditer(_spaced(rf"\b{pattern}"), text):
            yield match.start(), match[0], advice


def _opening(sentence: str, start: int, openings: dict[str, str]) -> Iterator[tuple[int, str, str]]:
    for pattern, advice in openings.items():
        if re.match(_spaced(pattern), sentence):
            yield start, " ".join(sentence.split()[:3]), advice


def _spaced(pattern: str) -> str:
    """Let each space of a pattern match the end of a line too."""
    return pattern.replace(" ", r"\s+")


def markdown(text: str) -> Iterator[tuple[int, str, bool]]:
    """Yield (line, prose, False) for the paragraphs, list items and table cells outside code blocks and headings."""
    text = re.sub(r"(?ms)^ *```.*?^ *```$", lambda block: "\n" * block[0].count("\n"), text)
    for match in re.finditer(r"(?m)^(?![ \t]*$|#)(?:(?!^[ \t]*$|^#).*\n?(?![-*|] |[0-9]\. ))+", text):
        line = text.count("\n", 0, match.start()) + 1
        parts = match[0].split("|") if match[0].startswith("|") else [re.sub(r"^[-*] |^[0-9]\. ", "", match[0])]
        yield from ((line, part.replace("**", "  "), False) for part in parts)


def comments(text: str) -> Iterator[tuple[int, str, bool]]:
    """Yield (line, prose, False) for the comments of a YAML file or a Makefile; adjacent lines are one text."""
    for match in re.finditer(r"(?m)^(?:[ \t]*#.*\n?)+|(?<= )#.*$", text):
        yield text.count("\n", 0, match.start()) + 1, re.sub(r"(?m)^[ \t]*# ?(?:-+ )?", "", match[0]), False


def python(text: str) -> Iterator[tuple[int, str, bool]]:
    """Yield (line, prose, whether it is a docstring) for the comments and the strings of Python or Snakemake code."""
    kept, before = [], tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            kept.append(["#", token.start[0], token.end[0], token.string.lstrip("# "), token.start[1]])
        elif token.type == tokenize.STRING:
            body = re.sub(r"^\w*(\"\"\"|'''|\"|')|(\"\"\"|'''|\"|')$", "", token.string)
            if before == tokenize.STRING:
                kept[-1][3] += body
            else:
                kept.append(["'", token.start[0], token.end[0], body, before in (tokenize.NEWLINE, tokenize.INDENT)])
        if token.type not in (tokenize.COMMENT, tokenize.NL, tokenize.DEDENT):
            before = token.type
    pieces = []
    for kind, first, last, body, place in kept:
        if pieces and kind == "#" == pieces[-1][0] and (pieces[-1][2], pieces[-1][4]) == (first - 1, place):
            pieces[-1][2:4] = last, f"{pieces[-1][3]}\n{body}"
        else:
            pieces.append([kind, first, last, body, place])
    yield from ((first, body, kind == "'" and place) for kind, first, _, body, place in pieces)


READERS = {".md": markdown, ".yaml": comments, "Makefile": comments}


def report(paths: list[Path]) -> list[str]:
    """Return one line per finding in these files."""
    lines = []
    for path in paths:
        text = path.read_text()
        read = READERS.get(path.suffix or path.name, python)
        for line, prose, docstring in read(text):
            for offset, words, advice in sorted(findings(prose, docstring)):
                where, words = line + prose.count("\n", 0, offset), " ".join(words.split())
                if (path.name, words) not in KEPT:
                    lines.append(f"{path.relative_to(ROOT)}:{where}: '{words}': {advice}")
    return lines


if __name__ == "__main__":
    given = [Path(name).resolve() for name in sys.argv[1:]]
    every = sorted({path for pattern in (*GLOBS, *CODE) for path in ROOT.glob(pattern)} - {Path(__file__)})
    wanted = [path for path in every if not given or any(path == one or one in path.parents for one in given)]
    found = report(wanted)
    print(*found, sep="\n", end="\n" * bool(found))
    folders = Counter(str(Path(line.split(":")[0]).parent) for line in found)
    for folder, count in sorted(folders.items()):
        print(f"{count} in {folder}", file=sys.stderr)
    sys.exit(bool(found))
