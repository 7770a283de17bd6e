"""Turn a Markdown or text document into one self-contained HTML page for the report.

Its content security policy allows no script, and nothing from the network.
"""

import html

from markdown_it import MarkdownIt

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
form-action 'none'">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 74em; margin: 2em auto; padding: 0 1.5em; }}
h1 {{ font-size: 1.5em; }} h2 {{ font-size: 1.15em; margin-top: 1.8em; }}
table {{ border-collapse: collapse; margin: 1em 0; font-size: 0.93em; }}
th, td {{ padding: 0.3em 0.7em; border-bottom: 1px solid #e4e4e4; vertical-align: top; }}
th {{ border-bottom: 1.5px solid #707070; text-align: left; }}
tr:hover td {{ background: #f6f8fa; }}
code, pre {{ font: 0.9em ui-monospace, monospace; }} pre {{ white-space: pre-wrap; }}
ul {{ color: #555; font-size: 0.93em; padding-left: 1.2em; }}
.wide {{ overflow-x: auto; }}
</style>
<div class="wide">
{body}</div>
</html>
"""


def from_markdown(text: str, title: str) -> str:
    """Return the page of a Markdown document; HTML in it is shown as text, never run."""
    return _PAGE.format(title=html.escape(title), body=MarkdownIt("js-default").render(text))


def from_text(text: str, title: str) -> str:
    return _PAGE.format(title=html.escape(title), body=f"<pre>{html.escape(text)}</pre>\n")
