"""explore.html: one file without network, in which no text of a prompt or a response can become markup or code.

Texts stand in a JSON block that is never executed, and the page shows them as text nodes. Beside that, its content
security policy lets only the page's own script and style run, by their digests.
"""

import base64
import hashlib
import json
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

PARTS = Path(__file__).parent / "page"
SCRIPTS = ("model.js", "view.js", "events.js")
# What could end the block, or a line of it, for a parser of HTML or of old JavaScript.
ESCAPES = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


def render(data: dict) -> str:
    """The page of `data`, as `data.collect` gives it."""
    script = "".join((PARTS / name).read_text("utf-8") for name in SCRIPTS)
    style = (PARTS / "explore.css").read_text("utf-8")
    files = Environment(
        loader=FileSystemLoader(PARTS), autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    return files.get_template("explore.html").render(
        study=data["study"],
        redacted=data["redacted"],
        notes=data["notes"],
        policy=f"default-src 'none'; script-src {_source(script)}; style-src {_source(style)}; base-uri 'none'",
        style=style,
        script=script,
        data=embedded(data),
    )


def embedded(data: dict) -> str:
    """JSON that stands safely inside a script element."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).translate(ESCAPES)


def _source(text: str) -> str:
    """What a content security policy calls an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
