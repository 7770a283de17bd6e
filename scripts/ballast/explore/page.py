"""Write explore.html: one file without network, in which no prompt or response can become markup or code.

A JSON block that is never executed holds the texts, and the page shows them as text nodes. In addition, its content
security policy allows only the page's own script and style, by their digests.
"""

import base64
import hashlib
import json
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

PARTS = Path(__file__).parent / "page"
SCRIPTS = ("model.js", "view.js", "events.js")
# Characters that could end the block, or a line of it, in a parser of HTML or old JavaScript.
ESCAPES = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


def render(data: dict) -> str:
    """Return the page for `data` from `data.collect`."""
    script = "".join((PARTS / name).read_text("utf-8") for name in SCRIPTS)
    style = (PARTS / "explore.css").read_text("utf-8")
    files = Environment(
        loader=FileSystemLoader(PARTS), autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    return files.get_template("explore.html").render(
        study=data["study"],
        redacted=data["redacted"],
        notes=data["notes"],
        policy=f"default-src 'none'; script-src {_source(script)}; style-src {_source(style)}; base-uri 'none'; "
        "form-action 'none'",
        style=style,
        script=script,
        data=embedded(data),
    )


def embedded(data: dict) -> str:
    """Return JSON that is safe inside a script element."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).translate(ESCAPES)


def _source(text: str) -> str:
    """Return a content security policy's name for an inline script or style: its digest."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
