"""Ask a model, in one place: each distinct text once, and never again if `options["store"]` keeps the answer.

`options` is a judge's or a LanguageModel's section of the config: backend, model (folder), batch_size, max_length,
dtype, chat, chat_template, or `endpoint`; and `store`, a folder (`asking.store`) or None. An answer's key is the text
and all that shapes the answer: model files, backend, versions, settings. So an edited template asks again, an edited
parser does not, and a killed job resumes where it stopped.
"""

import sys
from collections.abc import Callable

from ballast import plugins
from ballast.asking import thinking
from ballast.asking.answers import Answer, Answers
from ballast.asking.decoding import rows_at_once
from ballast.asking.prompts import chat_text
from ballast.asking.store import Store
from ballast.identity import backend_identity
from ballast.progress import Progress

TOO_LONG = "too long"


def ask(
    texts: list[str] | list[tuple[str, ...]], options: dict, max_new_tokens: int, schema: dict | None = None
) -> Answers:
    """Return greedy answers to texts, without reasoning, with counts. `schema` is a JSON schema for the answer.

    An endpoint also takes chats, as tuples of turns, the user's first.
    """
    if options.get("endpoint"):
        from ballast.asking import endpoint

        said = endpoint.answer(texts, options["endpoint"], max_new_tokens, schema, options.get("store"))
        _say(len(texts), said.distinct, said.kept)
        return said
    backend = plugins.load("backends", options["backend"])
    found, kept = _once(
        texts,
        _store(options["backend"], options, "words", max_new_tokens, schema),
        lambda waiting, done: backend.answer(options["model"], waiting, options, max_new_tokens, schema, done=done),
    )
    opened = _opening(options)
    answers = {
        text: Answer(None, TOO_LONG) if said is None else Answer(opened + said, None) for text, said in found.items()
    }
    return Answers.of(texts, answers, kept)


def ask_guard(chats: list[tuple[str, ...]], options: dict, max_new_tokens: int) -> Answers:
    """Return a guard model's greedy answers to chats, each a user's turn and perhaps an assistant's.

    The guard's own chat template holds its policy; a server applies it itself.
    """
    if options.get("endpoint"):
        return ask(chats, options, max_new_tokens)
    from ballast.asking.chat import dialogue
    from ballast.asking.loading import load_tokenizer

    tokenizer = load_tokenizer(options["model"])
    return ask([dialogue(tokenizer, turns) for turns in chats], options, max_new_tokens)


def first_token(texts: list[str], options: dict, ids: list[int]) -> list[tuple[list[float], int] | None]:
    """Return, at the first position of each text's answer, log-probabilities of `ids` and the likeliest id of all.

    None for a text that is too long.
    """
    backend = plugins.load("backends", options["backend"])
    found, _ = _once(
        texts,
        _store(options["backend"], options, "first token", ids),
        lambda waiting, done: backend.first_token(options["model"], waiting, options, ids, done=done),
    )
    return [found[text] for text in texts]


def score(texts: list[str] | list[tuple[str, str]], options: dict) -> list[float]:
    """Return raw logits of a one-output sequence classifier for texts or text pairs, cut at `max_length` tokens."""
    from ballast.backends import transformers as backend  # only this backend runs classifiers

    found, _ = _once(
        texts,
        _store("transformers", options, "score"),
        lambda waiting, done: backend.score(options["model"], waiting, options, done=done),
    )
    return [found[text] for text in texts]


def _opening(options: dict) -> str:
    """Return the mark by which the model's chat template opens reasoning; the answers begin inside of it."""
    if not options.get("chat"):
        return ""
    from ballast.asking.loading import load_tokenizer

    return thinking.opening(chat_text(load_tokenizer(options["model"]), "", arguments=options.get("chat_template")))


def _once(texts: list, store: Store, ask: Callable) -> tuple[dict, int]:
    """Return the answer to each distinct text, and how many the store had; `ask(texts, done)` asks for the others.

    A text without an answer is too long to be asked. Finding that out costs nothing, so it is not kept.
    """
    distinct = list(dict.fromkeys(texts))
    found = {text: value for text in distinct if (value := store.get(text)) is not None}
    waiting, kept = [text for text in distinct if text not in found], len(found)
    _say(len(texts), len(distinct), kept)
    if waiting:
        shown = Progress(len(waiting), "texts")

        def done(at: list[int], values: list) -> None:
            store.add(zip([waiting[index] for index in at], values, strict=True))
            shown.add(len(at))

        asked = ask(waiting, done)
        found.update(zip(waiting, asked, strict=True))
    return found, kept


def _store(backend: str, options: dict, *asked: object) -> Store:
    if not options.get("store"):
        return Store(None)
    shape = [options["max_length"], options.get("chat"), options.get("chat_template"), rows_at_once(options)]
    return Store(options["store"], backend_identity(backend, options["model"], options), shape, *asked)


def _say(texts: int, distinct: int, kept: int) -> None:
    print(f"{texts} texts, {distinct} distinct: {kept} kept, {distinct - kept} asked", file=sys.stderr)
