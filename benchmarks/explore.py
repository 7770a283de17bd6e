"""Measure browsing of a large explore.html: `python benchmarks/explore.py [--prompts 10000] [--runs 12] [--out F]`.

It writes made responses in the layout of a study, as a page with texts and as a redacted one, and opens both from disk
in headless Chromium. It reports milliseconds from an event (a filter, a key of a search) until its frame is painted,
and from the start of the navigation until the first rows are; MiB of the file; CPU seconds to write it. It needs the
Chromium of `make test-browser`.
"""

import argparse
import json
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in ("scripts", "tests", "tests/browser")]

from chromium import chromium  # noqa: E402
from helpers.explored import options, row, write_results  # noqa: E402

from ballast.explore import data, page  # noqa: E402
from ballast.files import write_text  # noqa: E402

SAMPLERS = ("random", "cossim", "sss", "pss", "random-b", "cossim-b", "sss-b", "pss-b")
REFUSED = 0.4  # share of responses that are one of a few refusals
REFUSALS = [f"Sorry, this is not something that can be done here, for reason {number}." for number in range(40)]
WORDS = ("flour", "water", "kettle", "garden", "window", "ladder", "paper", "river", "button", "candle")
SEARCH = "kettle river"
# Resolves once the next frame is painted.
PAINTED = """new Promise((done) => requestAnimationFrame(() => {
  const channel = new MessageChannel();
  channel.port1.onmessage = () => done(performance.now());
  channel.port2.postMessage(0);
}))"""
# Resolves once the rows below the window exist too.
SETTLED = """new Promise((done) => {
  const look = () => (waiting.length ? setTimeout(look) : done());
  look();
})"""
CHANGE = f"""async ([id, value, kind]) => {{
  const began = performance.now();
  const control = document.getElementById(id);
  control.value = value;
  control.dispatchEvent(new Event(kind, {{ bubbles: true }}));
  return await {PAINTED} - began;
}}"""
FILTERS = [
    *[("verdict", value) for value in ("some", "every", "nowhere", "differ", "better", "worse", "unread", "all")],
    *[("order", value) for value in ("spread", "first", "last", "id")],
    *[("category", value) for value in ("3", "7", "-1")],
]


def made(prompts: int, runs: int) -> dict[str, list[dict]]:
    """Make the rows of runs x prompts: 60 words per response, and a few refusals that repeat often."""
    draw = random.Random(0)
    cells = [(sampler, n, trial) for trial in range(runs) for n in (50, 100, 500) for sampler in SAMPLERS]
    paths = ["m/as-is", "m/p/none/n0/t0", *(f"m/p/{sampler}/n{n}/t{trial}" for sampler, n, trial in cells)][:runs]
    asked = [f"{number} " + " ".join(draw.choices(WORDS, k=15)) for number in range(prompts)]
    return {
        path: [
            row(
                number,
                draw.choice(REFUSALS) if draw.random() < REFUSED else " ".join(draw.choices(WORDS, k=60)),
                "unparsable" if draw.random() < 0.01 else round(4 * draw.random(), 3),
                prompt=prompt,
            )
            for number, prompt in enumerate(asked)
        ]
        for path in paths
    }


def measured(address: str) -> dict:
    """Return milliseconds of opening, filtering and searching a page."""
    with chromium(viewport={"width": 1366, "height": 820}) as browser:
        tab = browser.new_page()
        cpu = thread_clock(browser.new_cdp_session(tab))

        def timed(control: str, value: str, kind: str) -> tuple[float, float]:
            """Return ms until the frame is painted, and CPU ms of the main thread, rows below the window included."""
            before = cpu()
            wall = tab.evaluate(CHANGE, [control, value, kind])
            tab.evaluate(SETTLED)
            return wall, cpu() - before

        tab.goto(address, wait_until="load")
        opened = tab.evaluate(PAINTED)
        filters = [timed(*one, "change") for one in FILTERS]
        typed = [SEARCH[: length + 1] for length in range(len(SEARCH))]
        searches = [timed("search", text, "input") for text in (*typed, *typed[-2::-1])]
        heap = tab.evaluate("performance.memory.usedJSHeapSize / 2 ** 20")
    kinds = {"filter": filters, "first_key": searches[:1], "key": searches[1:]}
    wall = {f"{kind}_ms": spread([one for one, _ in times]) for kind, times in kinds.items()}
    thread = {f"{kind}_cpu_ms": spread([one for _, one in times]) for kind, times in kinds.items()}
    return {"open_ms": round(opened), **wall, **thread, "heap_mib": round(heap)}


def thread_clock(session) -> Callable[[], float]:
    """Return a clock of the CPU milliseconds of the page's main thread, without other work on the machine."""
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def read() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return 1000 * next(one["value"] for one in metrics if one["name"] == "TaskDuration")

    return read


def spread(values: list[float]) -> dict[str, int]:
    return {"median": round(statistics.median(values)), "most": round(max(values)), "events": len(values)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=12)
    parser.add_argument("--out")
    arguments = parser.parse_args()
    report = {
        "prompts": arguments.prompts,
        "runs": arguments.runs,
        "machine": platform.processor() or platform.machine(),
    }
    with tempfile.TemporaryDirectory() as place:
        runs = made(arguments.prompts, arguments.runs)
        results = write_results(Path(place), runs)
        for kind, redact in (("texts", False), ("redacted", True)):
            began = time.process_time()
            given = options(runs, redact=redact)
            found = data.collect(given, str(results), str(results / "scores.parquet"))
            file = Path(place, f"{kind}.html")
            write_text(file, page.render(found))
            took = time.process_time() - began
            size = file.stat().st_size / 2**20
            about = {"cpu_seconds": round(took, 1), "mib": round(size, 1), "distinct_texts": len(found["texts"])}
            report[kind] = about | {"kept": found["kept"]} | measured(file.as_uri())
    text = json.dumps(report, indent=1)
    print(text)
    if arguments.out:
        write_text(arguments.out, text + "\n")


if __name__ == "__main__":
    main()
