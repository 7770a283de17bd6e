"""Name and order samplers, behaviours and pools in tables and figures."""

from collections.abc import Iterable

AS_IS, NONE, RANDOM = "as-is", "none", "random"
REFERENCES = (AS_IS, NONE)  # without safety data, so without an n to compare at
UNKNOWN = "unknown"

SAMPLERS = {
    AS_IS: "As it is (not fine-tuned)",
    NONE: "No safety data",
    RANDOM: "Random Sampling (Baseline)",
    "cossim": "Cossim",
    "sss": "SSS",
    "pss": "PSS",
    "random-b": "Random-B",
    "cossim-b": "Cossim-B",
    "sss-b": "SSS-B",
    "pss-b": "PSS-B",
    "t1": "T1",
    "t2": "T2",
    "t3": "T3",
    "t4": "T4",
}

# The instruction and the response of each behaviour.
BEHAVIOURS = {
    "T1": ("harmful", "refusal"),
    "T2": ("harmful", "compliance"),
    "T3": ("safe", "refusal"),
    "T4": ("safe", "compliance"),
}

# The question that people answer for each metric, in place of the judge.
QUESTIONS = {"harm": "harmful", "asr": "harmful", "over_refusal": "refusal"}

# Figure 7's two pools, as the config lists them: rewritten into refusals, then original safe pairs.
REWRITING = ("Random augmented T1", "Random (baseline)")


def sampler_label(name: str) -> str:
    """Return the paper's name of a sampler, or the config's name of one that is not in the paper."""
    return SAMPLERS.get(name, name)


def short_label(name: str) -> str:
    """Return a sampler's name for small spaces."""
    return "Random" if name == RANDOM else sampler_label(name)


def in_order(samplers: Iterable[str]) -> list[str]:
    """Return samplers in the order of the paper's rows, then the others in the given order."""
    place = {name: rank for rank, name in enumerate(SAMPLERS)}
    return sorted(dict.fromkeys(samplers), key=lambda name: place.get(name, len(place)))


MISSING = "—"  # shown in a table for a value that is not there
