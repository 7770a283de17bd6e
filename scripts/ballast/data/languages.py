"""Name the language of a text, by py3langid, and refuse texts that a labeller or an encoder does not read."""

from collections import Counter
from collections.abc import Collection, Sequence
from functools import cache

from ballast.files import BallastError

ENGLISH, UNSURE = "en", "unsure"
NO_LANGUAGE = "zxx"  # ISO 639 for numbers, code and other text in no language
SURE = 0.5  # a language is named if it is likelier than all others together
READ = 1000  # characters of a text by which its language is named
LOOKED_AT = 5000  # texts of a file whose language is detected, evenly over the file
FOREIGN = 0.05  # a larger share of texts in languages that nobody here reads is reported, or stops
TOLD = 5


def language(text: str) -> str:
    """Return the ISO 639 code of a text's language, or UNSURE, as for code and most texts of a few words."""
    name, probability = _identifier().classify(text[:READ])
    return name if probability > SURE and name != NO_LANGUAGE else UNSURE


def shares(texts: Sequence[str]) -> dict[str, float]:
    """Return the share of texts in each language, the most frequent first."""
    some = texts[:: -(-len(texts) // LOOKED_AT)] if texts else []
    found = Counter(map(language, some))
    return {name: count / len(some) for name, count in sorted(found.items(), key=lambda item: (-item[1], item[0]))}


def foreign(found: dict[str, float], reads: Collection[str] = (ENGLISH,)) -> dict[str, float]:
    """Return the shares of the languages that are not read; UNSURE is none of them."""
    return {name: share for name, share in found.items() if name not in (UNSURE, *reads)}


def check(texts: Sequence[str], reads: Collection[str], path: str, reader: str, instead: str) -> str:
    """Return how many texts are in languages that `reader` does not read, in a sentence.

    Raises BallastError if they are over 5 %; `instead` says what to do.
    """
    unread = foreign(shares(texts), reads)
    told = ", ".join(f"{name} {share:.1%}" for name, share in list(unread.items())[:TOLD])
    more = f" and {len(unread) - TOLD} more" if len(unread) > TOLD else ""
    said = f"{path}: {sum(unread.values()):.1%} of the rows are in languages that {reader} does not read"
    said += f" ({told}{more}; it reads {', '.join(reads)})" if unread else ""
    if sum(unread.values()) > FOREIGN:
        raise BallastError(f"{said}; {instead}")
    return said


@cache
def _identifier():
    # Loading takes 0.8 s and 80 MB, which the other jobs of the preloaded process must not pay.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
