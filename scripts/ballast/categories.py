"""The harm categories by id: the 14 of BeaverTails (Ji et al., 2023), or a study's own (`taxonomy` in its config).

Paths, columns and labels use the id alone. A rule of a study with its own taxonomy names the file in the environment of
its job, and what the job reads of it is a part of the job's code identity.
"""

import os
from functools import cache
from typing import NamedTuple

from ballast.files import BallastError

OWN = "BALLAST_TAXONOMY"  # environment: the file of the study's own taxonomy
CLUSTERS = "clusters:"
MOST = 100  # categories: an id is a small integer in every table

CATEGORIES = (
    "animal_abuse",
    "child_abuse",
    "controversial_topics,politics",
    "discrimination,stereotype,injustice",
    "drug_abuse,weapons,banned_substance",
    "financial_crime,property_crime,theft",
    "hate_speech,offensive_language",
    "misinformation_regarding_ethics,laws_and_safety",
    "non_violent_unethical_behavior",
    "privacy_violation",
    "self_harm",
    "sexually_explicit,adult_content",
    "terrorism,organized_crime",
    "violence,aiding_and_abetting,incitement",
)

# Their definitions, in our own words after the BeaverTails dataset card.
DEFINITIONS = (
    "cruelty to animals, neglecting them or causing them distress, or content in favour of it",
    "physical, emotional or sexual abuse of minors, neglecting or exploiting them, or content in favour of it",
    "divisive political or social issues, handled in a way that could inflame or do harm",
    "unequal treatment of groups, sweeping beliefs about them, or violations of their rights",
    "misuse of drugs or banned substances, and unlawful possession, use or trade of weapons",
    "fraud, embezzlement, money laundering, bribery, and stealing or damaging property",
    "hostility towards people for a trait of their group, and crude or insulting language",
    "false or misleading claims about ethics, law or safety",
    "dishonest or immoral conduct without violence, such as lying, cheating, deceiving or spreading rumours",
    "unauthorised access to personal data or exposure of it, stalking and doxing",
    "physical or emotional harm to oneself, suicide plans, or encouragement of either",
    "sexually explicit or adult material",
    "promoting terrorist or organised crime or taking part in it, and its propaganda",
    "physical harm to people or threats of it, and helping or provoking violence or illegal acts",
)


class Taxonomy(NamedTuple):
    """Names and definitions of categories, by id."""

    names: tuple[str, ...]
    definitions: tuple[str, ...]


BEAVERTAILS = Taxonomy(CATEGORIES, DEFINITIONS)


def taxonomy() -> Taxonomy:
    """Return the study's categories."""
    path = os.environ.get(OWN)
    return read(path) if path else BEAVERTAILS


@cache
def read(path: str) -> Taxonomy:
    """Read a taxonomy's YAML or JSON file, `name: definition` per category; raise BallastError at a mistake.

    `clusters:14` instead of a file means 14 clusters of a pool.
    """
    if path.startswith(CLUSTERS):
        names = tuple(f"cluster {each}" for each in range(int(path.removeprefix(CLUSTERS))))
        return Taxonomy(names, ("rows whose embeddings are near one another",) * len(names))
    from ballast.study.yaml_file import parse

    found = parse(path)
    if not 2 <= len(found) <= MOST:
        raise BallastError(f"{path}: {len(found)} categories; give 2 to {MOST}, one `name: definition` a line")
    for name, definition in found.items():
        if not isinstance(name, str) or not name.strip() or name.strip().isdigit() or name.strip().lower() == "none":
            raise BallastError(f"{path}: '{name}': a category's name is text, and neither a number nor none")
        if not isinstance(definition, str) or not definition.strip():
            raise BallastError(f"{path}: {name}: its definition is missing or not text")
    folded = [name.strip().lower() for name in found]
    if twice := next((name for name in folded if folded.count(name) > 1), None):
        raise BallastError(f"{path}: '{twice}' stands twice, apart from case and spaces; keep one")
    return Taxonomy(tuple(found), tuple(definition.strip().rstrip(".") for definition in found.values()))


def clustered() -> bool:
    """Return whether the categories are clusters of a pool, which say nothing of other data."""
    return os.environ.get(OWN, "").startswith(CLUSTERS)


def number() -> int:
    """Return the number of categories."""
    return len(taxonomy().names)


def span() -> str:
    """Return the ids as a message names them: `0..13`."""
    return f"0..{number() - 1}"


def title(category: int) -> str:
    """Return a category's key as words; a name of one's own stays as it is written."""
    return _title(taxonomy().names[category])


def _title(name: str) -> str:
    return name.replace("_", " ").replace(",", ", ").capitalize() if name in CATEGORIES else name


def definitions(known: Taxonomy | None = None) -> str:
    """Return one line per category: id, title, definition."""
    lines = enumerate(zip(*(known or taxonomy()), strict=True))
    return "\n".join(f"{category}. {_title(name)}: {definition}." for category, (name, definition) in lines)


def category_id(key: str) -> int:
    """Return the id of a dataset key; some copies of BeaverTails spell the same key with `,_`."""
    return taxonomy().names.index(key.replace(",_", ","))
