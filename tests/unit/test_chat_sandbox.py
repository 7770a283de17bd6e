"""A chat template is a program of other people: it runs in a sandbox, within limits of time and memory."""

import re
import resource
import signal

import pytest
import tokenizers
import transformers

from ballast import limits
from ballast.asking import chat
from ballast.files import BallastError
from ballast.plugins import HOME

NESTED = "{% for a in range(99999) %}{% for b in range(99999) %}" + "{% endfor %}" * 2


def tokenizer(template: str):
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0}, unk_token="a"))
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=words)
    made.name_or_path, made.chat_template = "made", template
    return made


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(limits, "TEMPLATE_SECONDS", 1)
    monkeypatch.setattr(limits, "TEMPLATE_MEMORY", 2**28)


SLOW, LARGE, STOPS = "takes over 1 s", "takes over 256 MiB", "its chat template stops"
TEMPLATES = {
    NESTED: SLOW,
    NESTED.replace("{% endfor", "{{ 1 }}{% endfor", 1).replace("99999", "9999"): SLOW,
    "{{ 9**(9**9) }}": SLOW,
    "{{ 'a' * 10**10 }}": LARGE,
    "{{ 'a'.ljust(10**10) }}": LARGE,
    "{{ '%10000000000d' % 1 }}": "takes over|stops",
    "{{ '{:10000000000}'.format(1) }}": "takes over|stops",
    "{{ 'a'|center(10**10) }}": LARGE,
    "{% for a in range(999999) %}{% endfor %}": STOPS,
    "{{ 1 / 0 }}": STOPS,
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}": STOPS,
    "{{ ''.__class__.__mro__[1].__subclasses__() }}": STOPS,
    "{{ messages.append(1) }}": STOPS,
    "{{ cycler.__init__.__globals__.os.system('true') }}": STOPS,
    "{% include '/etc/passwd' %}": STOPS,
    "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}": STOPS,
    "a" * (limits.TEMPLATE + 1): "has over 1,048,576 characters",
}


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template[:30])
def test_a_hostile_template_ends_in_one_line(template):
    before = resource.getrlimit(resource.RLIMIT_AS), signal.getsignal(signal.SIGALRM)
    with pytest.raises(BallastError, match=TEMPLATES[template]) as refusal:
        chat.chat_text(tokenizer(template), "hello")
    assert str(refusal.value).startswith("made: its chat template") and "\n" not in str(refusal.value)
    assert (resource.getrlimit(resource.RLIMIT_AS), signal.getsignal(signal.SIGALRM)) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_an_error_of_a_template_never_repeats_a_message():
    template = "{{ raise_exception('no: ' + messages[-1]['content']) }}"
    with pytest.raises(BallastError, match=r"stops \(no: \.\.\.\)"):
        chat.chat_text(tokenizer(template), "planted text")


def test_a_plain_template_is_rendered_as_before():
    template = "{% for m in messages %}<{{ m.role }}>{{ m.content * 2 }}{% endfor %}"
    assert chat.chat_text(tokenizer(template), "ab", "s") == "<system>ss<user>abab"


def test_templates_are_rendered_in_one_place():
    """`chat.render` alone calls transformers' sandbox; the one other Jinja template is Ballast's own page."""
    calls = re.compile(r"apply_chat_template\(|render_jinja_template|import jinja2|from jinja2")
    found = {path.relative_to(HOME).as_posix() for path in HOME.rglob("*.py") if calls.search(path.read_text())}
    assert found == {"asking/chat.py", "explore/page.py"}
