"""Name the language of a text, by py3langid."""

from functools import cache

ENGLISH, UNSURE = "en", "unsure"
NO_LANGUAGE = "zxx"  # ISO 639 for numbers, code and other text in no language
SURE = 0.5  # a language is named if it is likelier than all others together
READ = 1000  # characters of a text by which its language is named


def language(text: str) -> str:
    """Return the ISO 639 code of a text's language, or UNSURE, as for code and most texts of a few words."""
    name, probability = _identifier().classify(text[:READ])
    return name if probability > SURE and name != NO_LANGUAGE else UNSURE


@cache
def _identifier():
    # Loading takes 0.8 s and 80 MB, which the other jobs of the preloaded process must not pay.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
