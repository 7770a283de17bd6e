"""Tell an absent text from a text: words that programs write for a missing value, and letters that nobody sees."""

import unicodedata

# Words that programs write for a missing value; a person may write the others as an answer.
ABSENT = {"nan", "NaN", "NAN", "None", "NULL", "Null", "null", "<NA>", "NaT", "#N/A", "\\N", "(null)", "undefined"}
AS_ANSWER = {"n/a", "na", "n.a.", "none", "nil", "-", "--", "?", "...", "tbd", "todo"}
# Spaces and marks that nobody sees, beside Unicode's format characters.
BLANK = {"\u2800", "\u3164", "\u115f", "\u1160", "\uffa0", "\u034f", "\ufe0e", "\ufe0f"}
LONGEST_BLANK = 64


def present(text: str) -> str:
    """Return a text, empty if it is a word for a missing value or holds only characters that nobody sees."""
    seen = text.strip()
    return "" if seen in ABSENT or (len(seen) <= LONGEST_BLANK and all(map(_is_blank, seen))) else text


def _is_blank(letter: str) -> bool:
    return letter in BLANK or unicodedata.category(letter) in ("Cf", "Cc", "Zs", "Zl", "Zp")
