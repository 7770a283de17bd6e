"""Render requests in a model's own chat template, the same bytes on every day; refuse a template that does not fit.

Checked once per model, on a made request: the template renders, holds system message and request, reads each argument
that the config gives it and, for training, ends where the answer begins, not inside thoughts.
"""

import re
from contextlib import suppress
from datetime import datetime

from ballast import limits
from ballast.asking import thinking
from ballast.asking.sandbox import bounded
from ballast.files import BallastError
from ballast.plugins import nearest

# Some templates write today's date; this is what Llama 3.2's writes where it knows none.
DAY = datetime(2024, 7, 26)
PROBE = "Name a river."
PROBES = (PROBE, "The Po.")
# Arguments, and words in a message, by which templates turn thoughts on and off.
SWITCHES = ("enable_thinking", "thinking")
COMMAND = re.compile(r"/(no_)?think\b")
# Arguments of apply_chat_template that no template reads by name.
PASSED = ("chat_template", "tools", "documents")


def chat_text(tokenizer, text: str, system: str | None = None, arguments: dict | None = None) -> str:
    """Return a user's message in the model's own chat template, up to where the answer begins."""
    messages = [{"role": "system", "content": system}] if system else []
    return render(tokenizer, [*messages, {"role": "user", "content": text}], arguments)


def render(tokenizer, messages: list[dict], arguments: dict | None = None, *, asks: bool = True) -> str:
    """Return messages in the model's own chat template, up to where the answer begins if it `asks` for one.

    `arguments` go to the template, such as enable_thinking. Raises BallastError if the template cannot render them.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise BallastError(f"{tokenizer.name_or_path}: the tokenizer has no chat template; use prompt: alpaca")
    name = tokenizer.name_or_path
    if len(template_of(tokenizer)) > limits.TEMPLATE:
        raise BallastError(f"{name}: its chat template has over {limits.TEMPLATE:,} characters; choose another model")
    given = {"strftime_now": DAY.strftime} | (arguments or {})
    try:
        with bounded(name):
            return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=asks, **given)
    except BallastError:
        raise
    except Exception as error:  # the template is a program, and may raise anything
        raise BallastError(f"{name}: its chat template stops ({_said(error, messages)})") from None


def _said(error: Exception, messages: list[dict]) -> str:
    """Return the first words of a template's error, without the texts of the messages."""
    said = str(error)
    for message in messages:
        content = message["content"]
        for text in [part["text"] for part in content] if isinstance(content, list) else [content]:
            said = said.replace(text, "...") if text.strip() else said
    return " ".join(said.split())[:200]


def dialogue(tokenizer, turns: tuple[str, ...]) -> str:
    """Return a chat, its user first, in the template of a guard model, which judges the last turn.

    Some templates take a turn as text, others as a list of parts. Raises BallastError if either loses a turn.
    """
    for parts in (False, True):
        probes = PROBES[: len(turns)]
        with suppress(BallastError):
            if all(probe in _turns(tokenizer, probes, parts) for probe in probes):
                return _turns(tokenizer, turns, parts)
    raise BallastError(f"{tokenizer.name_or_path}: its chat template loses a turn; give a guard that reads chats")


def _turns(tokenizer, turns: tuple[str, ...], parts: bool) -> str:
    contents = [[{"type": "text", "text": text}] if parts else text for text in turns]
    roles = ("user", "assistant")
    return render(tokenizer, [{"role": roles[place % 2], "content": text} for place, text in enumerate(contents)])


def turn_end(tokenizer, arguments: dict | None = None) -> int | None:
    """Return the token by which the template ends an assistant's turn; EOS if the model does not stop at that one.

    Gemma's is not EOS: a model that learnt to end with EOS would end its turns in two ways.
    """
    turns = [{"role": role, "content": text} for role, text in zip(("user", "assistant"), PROBES, strict=True)]
    written: list[int] = []
    with suppress(BallastError):  # a template without such turns
        _, found, after = render(tokenizer, turns, arguments, asks=False).rpartition(PROBES[1])
        written = tokenizer(after, add_special_tokens=False)["input_ids"] if found else []
    stops = getattr(tokenizer, "ends", [])
    return next((token for token in written if token in stops), tokenizer.eos_token_id)


def template_of(tokenizer) -> str:
    """Return the text of the tokenizer's chat template, or of all if it has several by name."""
    found = getattr(tokenizer, "chat_template", None) or ""
    return "\n".join(found.values()) if isinstance(found, dict) else found


def date_in(tokenizer) -> str | None:
    """Return the date that the template writes as today's; None if it asks for none."""
    return DAY.date().isoformat() if "strftime_now" in template_of(tokenizer) else None


def check(
    tokenizer, system: str | None = None, arguments: dict | None = None, *, trained: bool = False, decided: bool = True
) -> None:
    """Raise BallastError if the template loses the system message or the request.

    `trained`: also raise if it opens the answer inside thoughts, where a trained answer would stand. `decided`: also
    raise if the model may think first because nobody says that it does not.
    """
    name, key = tokenizer.name_or_path, "models.<name>.chat_template"
    given, words = arguments or {}, sorted(set(re.findall(r"\w+", template_of(tokenizer))))
    for argument in given:
        if argument not in (*words, *PASSED):
            known = [word for word in words if "think" in word.lower()] or words
            raise BallastError(f"{name}: its chat template does not read '{argument}'{nearest(argument, known)}")
    prompt = _probe(tokenizer, system, given)
    if trained and thinking.opening(prompt.rpartition(PROBE)[2]):
        raise BallastError(
            f"{name}: its chat template opens the answer inside thoughts, where answers would be trained; "
            f"set {key}: {{enable_thinking: false}}, or take a model that answers at once"
        )
    for switch in SWITCHES if decided else ():
        if (
            switch in words
            and switch not in given
            and chat_text(tokenizer, PROBE, system, {switch: False} | given) != prompt
        ):
            raise BallastError(
                f"{name}: the model may think first, and the config does not say whether; set {key}: "
                f"{{{switch}: false}} for answers at once, or true"
            )


def _probe(tokenizer, system: str | None, arguments: dict) -> str:
    """Return the made request as the template renders it; it must hold request and system message."""
    name, remedy = tokenizer.name_or_path, "take models.<name>.system out, or choose another model"
    try:
        prompt = chat_text(tokenizer, PROBE, system, arguments)
    except BallastError as error:
        if not system:
            raise
        chat_text(tokenizer, PROBE, None, arguments)  # raises too if the system message is not the reason
        raise BallastError(f"{error}, but only for a system message; {remedy}") from None
    if PROBE not in prompt:
        raise BallastError(f"{name}: its chat template leaves out the request; it wants another form of message")
    # Some templates take the words out that turn thoughts on and off.
    if system and system.strip() not in prompt and COMMAND.sub("", system).strip() not in prompt:
        raise BallastError(f"{name}: its chat template leaves out the system message; {remedy}")
    return prompt
