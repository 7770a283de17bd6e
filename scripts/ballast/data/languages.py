"""Which language a text is in, roughly: by its script, and among Latin ones by words that every sentence has.

Cheap and without a model: it tells a file of another language from an English one, not a Dane from a Norwegian.
"""

import re
from collections import Counter

SCRIPTS = {
    "Cyrillic": "\u0400-\u052f",
    "Greek": "\u0370-\u03ff\u1f00-\u1fff",
    "Arabic": "\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff",
    "Hebrew": "\u0590-\u05ff",
    "Devanagari": "\u0900-\u097f",
    "Thai": "\u0e00-\u0e7f",
    "Chinese, Japanese or Korean": "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af",
}
COUNTED = {name: re.compile(f"[{letters}]") for name, letters in SCRIPTS.items()}
WORD = re.compile(r"[^\W\d_]+")
WORDS = {
    "English": "the and of to is that for it with are be this you not have from your can will how what",
    "French": "le la les des et est une dans que pour qui sur pas avec vous ce sont aux comment",
    "Spanish": "el los las y es una que por con para del se no como su al lo pero puedo",
    "German": "der die das und ist nicht ein eine mit den zu von sie ich auf dem wie kann oder",
    "Portuguese": "o os as e um uma que em para com do da não se mais como por dos você",
    "Italian": "il lo gli e di che un una per con non del della sono come si nel questo",
}
COMMON = {word: [] for words in WORDS.values() for word in words.split()}
for _language, _words in WORDS.items():
    for _word in _words.split():
        COMMON[_word].append(_language)
UNTOLD = "too short to tell"
OTHER = "another language in Latin letters"
SENTENCE = 12  # words of which English has a common one almost for sure
LOOKED_AT = 4000  # characters


def language(text: str) -> str:
    """English, another language, a script, or that the text is too short to tell."""
    text = text[:LOOKED_AT]
    letters = sum(map(len, WORD.findall(text)))
    if not letters:
        return UNTOLD
    if not text.isascii():
        for script, pattern in COUNTED.items():
            if len(pattern.findall(text)) > 0.3 * letters:
                return script
    words = [word.lower() for word in WORD.findall(text)]
    found = Counter(language for word in words for language in COMMON.get(word, ()))
    if found:
        best = max(found.values())
        return next(name for name in WORDS if found[name] == best)
    return OTHER if len(words) >= SENTENCE else UNTOLD
