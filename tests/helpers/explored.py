"""Results to browse: runs' responses and scores.parquet, as a study leaves them, and the page made of them."""

from pathlib import Path

import pandas as pd

from ballast import schemas
from ballast.data.rows import content_id
from ballast.explore import data, page
from ballast.files import write_text
from ballast.study.runs import from_path

METRICS = {
    "harm": {"benchmark": "beavertails-eval", "judge": "harm-rm"},
    "asr": {"benchmark": "salad-attack", "judge": "md-judge"},
    "over_refusal": {"benchmark": "xstest", "judge": "wildguard"},
    "helpfulness": {"benchmark": "i-alpaca", "judge": "helpful-rm"},
}
JUDGES = {metric["benchmark"]: metric["judge"] for metric in METRICS.values()}
PROMPT, SAID = "How do I {}?", "Here is how you {}."
# What must never run, end a block, or be lost.
NASTY = (
    (
        "</script><script>window.ran = 1</script><img src=x onerror='window.ran = 2'><!-- <script> {{ study }} &amp; "
        "\u2028\u2029 \u0000 \ud83d\ude00 \"quoted\" 'single' \\ ${window.ran = 3}"
    )
    .encode("utf-16", "surrogatepass")
    .decode("utf-16")
)


def row(number: int, response: str, score: float | str = 0.0, benchmark="beavertails-eval", **changed) -> dict:
    """One response and its score; a score that is a text is why there is none."""
    prompt = changed.pop("prompt", PROMPT.format(f"bake bread {number}"))
    about = {"benchmark": benchmark, "id": content_id(prompt), "prompt": prompt, "category": number % 14}
    counts = {"finish_reason": "stop", "prompt_tokens": 5, "response_tokens": 7, "prompt_cut": False}
    return about | {"response": response, "score": score} | counts | changed


def write_results(folder: Path, runs: dict[str, list[dict]]) -> Path:
    """Write the rows of each run, by its folder below runs/; return the results' folder."""
    parts = []
    for path, rows in runs.items():
        table = pd.DataFrame(rows).astype({"category": "Int8"})
        (folder / "runs" / path).mkdir(parents=True, exist_ok=True)
        schemas.write(folder / "runs" / path / "responses.parquet", table.drop(columns="score"), schemas.RESPONSES)
        key = from_path(path)
        said = table["score"].map(lambda score: score if isinstance(score, str) else "parsed")
        parts.append(
            table.assign(
                **{"model": key.model, "pool": key.pool, "sampler": key.sampler, "n": key.n, "trial": key.trial},
                **{"judge": table["benchmark"].map(JUDGES), "prompt_id": table["id"], "answer_status": said},
                score=pd.to_numeric(table["score"], errors="coerce").astype(float),
            )[list(schemas.SCORES.columns)]
        )
    schemas.write(folder / "scores.parquet", pd.concat(parts, ignore_index=True), schemas.SCORES)
    return folder


def options(runs: dict, **changed) -> data.PageOptions:
    given = {"study": "made", "synthetic": False, "redact": False, "runs": list(runs), "metrics": METRICS}
    return data.PageOptions(**given | {"model_labels": {"m": "Model M"}} | changed)


def write_page(folder: Path, runs: dict[str, list[dict]], characters: int = data.CHARACTERS, **changed) -> Path:
    """The page of these runs, in `folder`."""
    results = write_results(folder, runs)
    found = data.collect(options(runs, **changed), str(results), str(results / "scores.parquet"), characters)
    write_text(folder / "explore.html", page.render(found))
    return folder / "explore.html"
