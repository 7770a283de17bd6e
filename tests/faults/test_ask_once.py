"""A text is asked once: by the job that comes first, and not again by one that was killed. Real stages, tiny models."""

import argparse
import json
import random
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from ballast import schemas
from ballast.data.rows import with_ids
from ballast.files import BallastError, read_json, write_json
from ballast.plugins import HOME

pytestmark = pytest.mark.faults
SCRIPTS = HOME.parent
DRAW = random.Random(0)
RESPONSES = ["".join(DRAW.choices("abcdef ", k=DRAW.randrange(5, 250))) + str(number) for number in range(120)]
OPTIONS = {"backend": "transformers", "batch_size": 4, "max_length": 300, "dtype": "float32", "max_unparsable": 1.0}
LINE = re.compile(r"(\d+) texts, (\d+) distinct: (\d+) kept, (\d+) asked")


def responses(path: Path, texts: list[str]) -> Path:
    """A run's responses to the benchmark `b`, as `generate` writes them."""
    table = pd.DataFrame({"benchmark": "b", "id": [f"p{n}" for n in range(len(texts))], "prompt": "p"})
    table = table.assign(category=pd.array([None] * len(texts), dtype="Int8"), response=texts, finish_reason="stop")
    table = table.assign(prompt_tokens=1, response_tokens=1, prompt_cut=False)
    schemas.write(path, table, schemas.RESPONSES)
    return path


def arguments(judge: str, model: str, read: Path, store: Path, out: Path, **changed) -> dict:
    template = HOME / "judges" / f"{judge.replace('-', '_')}.json"
    options = OPTIONS | {"model": model, "template": str(template)} | changed
    asked = {"judge": judge, "options": json.dumps(options), "canaries": None, "store": str(store), "benchmark": "b"}
    asked |= {"about": None, "rows": None}
    return asked | {"responses": str(read), "out": str(out)}


def command(stage: str, given: dict, scripts: Path = SCRIPTS) -> list[str]:
    flags = [f"--{name}={value}" for name, value in given.items() if value is not None and name != "benchmarks"]
    return [sys.executable, str(scripts / "stage.py"), stage, *flags, *given.get("benchmarks", [])]


def run(stage: str, given: dict, scripts: Path = SCRIPTS) -> str:
    done = subprocess.run(command(stage, given, scripts), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stderr


def kill_midway(stage: str, given: dict, store: Path, lines: int) -> int:
    """SIGKILL a stage once its store has some lines; how many it had."""
    child = subprocess.Popen(command(stage, given), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while count(store) < lines and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL, "it was killed before it was done"
    return count(store)


def count(store: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in store.rglob("*.jsonl"))


def judge(*given, **changed) -> tuple[int, ...]:
    """Judge in this process; texts, distinct, kept and asked as the stage says them."""
    said = LINE.search(judged(*given, **changed))
    return tuple(map(int, said.groups()))


def judged(*given, **changed) -> str:
    from contextlib import redirect_stderr
    from io import StringIO

    with redirect_stderr(StringIO()) as stderr:
        runpy.run_path(str(SCRIPTS / "judge.py"))["main"](argparse.Namespace(**arguments(*given, **changed)))
    return stderr.getvalue()


@pytest.mark.parametrize("name", ["harm-rm", "md-judge"])
def test_a_killed_judge_asks_only_the_rest_and_gives_the_bytes_of_one_that_was_not(name, model, reward_model, tmp_path):
    folder = reward_model if name == "harm-rm" else model
    size = {} if name == "harm-rm" else {"max_length": 2000}
    texts = [*RESPONSES, RESPONSES[3]]
    read, store, out = responses(tmp_path / "r.parquet", texts), tmp_path / "store", tmp_path / "killed.parquet"
    given = arguments(name, folder, read, store, out, **size)
    had = kill_midway("judge", given, store, 12)
    assert 12 <= had < len(RESPONSES) and not out.exists()
    said = LINE.search(run("judge", given))
    kept = int(said[3])
    assert [int(number) for number in said.groups()] == [121, 120, kept, 120 - kept] and had - 4 <= kept <= had
    assert kept + int(said[4]) == 120 <= count(store) <= 124, "but for a batch that was torn, nothing was asked twice"
    assert judge(name, folder, read, tmp_path / "empty", tmp_path / "whole.parquet", **size) == (121, 120, 0, 120)
    assert out.read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_another_run_with_the_same_responses_asks_nothing_and_loads_no_model(reward_model, tmp_path):
    folder = tmp_path / "judge"
    shutil.copytree(reward_model, folder)
    write_json(folder / "source.json", {"sha256": {}})
    first, second = (
        responses(tmp_path / "1.parquet", RESPONSES[:30]),
        responses(tmp_path / "2.parquet", RESPONSES[9:25]),
    )
    store = tmp_path / "store"
    assert judge("harm-rm", str(folder), first, store, tmp_path / "1") == (30, 30, 0, 30)
    (folder / "model.safetensors").write_bytes(b"nothing that loads")
    before = sorted(store.rglob("*"))
    assert judge("harm-rm", str(folder), second, store, tmp_path / "2") == (16, 16, 16, 0)
    assert sorted(store.rglob("*")) == before
    scores = [pd.read_parquet(tmp_path / name)["score"].tolist() for name in "12"]
    assert scores[1] == scores[0][9:25]
    with pytest.raises(Exception, match="(?i)header|safetensor"):
        judge("harm-rm", str(folder), responses(tmp_path / "3.parquet", ["new"]), store, tmp_path / "3")


def test_scores_do_not_depend_on_what_the_store_held(reward_model, tmp_path):
    whole, some = (
        responses(tmp_path / "r.parquet", RESPONSES[:60]),
        responses(tmp_path / "s.parquet", RESPONSES[5:60:7]),
    )
    judge("harm-rm", reward_model, some, tmp_path / "store", tmp_path / "other", batch_size=16)
    assert judge("harm-rm", reward_model, whole, tmp_path / "store", tmp_path / "a", batch_size=16) == (60, 60, 8, 52)
    judge("harm-rm", reward_model, whole, tmp_path / "empty", tmp_path / "b", batch_size=16)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_canaries_are_checked_where_they_are_kept_too(reward_model, tmp_path):
    canaries = tmp_path / "canaries.json"
    write_json(canaries, [{"kind": "empty", "prompt": "p", "response": ""}])
    read, store = responses(tmp_path / "r.parquet", RESPONSES[:3]), tmp_path / "store"
    main = runpy.run_path(str(SCRIPTS / "judge.py"))["main"]
    given = arguments("helpful-rm", reward_model, read, store, tmp_path / "out") | {"canaries": str(canaries)}
    main(argparse.Namespace(**given))
    assert count(store) == 4
    from ballast.judges import helpful_rm

    bounds = dict(helpful_rm.CANARIES)
    helpful_rm.CANARIES["empty"] = (1e9, 2e9)
    try:
        with pytest.raises(BallastError, match="judge helpful-rm: the canary 'empty' scored"):
            main(argparse.Namespace(**given))
    finally:
        helpful_rm.CANARIES.update(bounds)
    assert count(store) == 4


def test_what_shapes_an_answer_is_asked_again_and_nothing_else(model, tmp_path):
    """A template, a model, a number format, a limit; not the parser, the judge's name or more rows than are used."""
    read, store, out = responses(tmp_path / "r.parquet", RESPONSES[:12]), tmp_path / "store", tmp_path / "out"
    size = {"max_length": 2000, "batch_size": 16}

    def asked(name="md-judge", folder=model, **changed):
        return judge(name, folder, read, store, out, **size | changed)[3]

    assert asked() == 12 and asked() == 0
    assert asked(batch_size=128) == 0, "no batch has more than 16 rows"
    assert asked(batch_size=8) == 12
    template = tmp_path / "template.json"
    write_json(template, {"template": read_json(HOME / "judges/md_judge.json")["template"] + " "})
    assert asked(template=str(template)) == 0, "the template's outer space is stripped, so the texts are the same"
    write_json(template, {"template": "Is {prompt} {response} safe?"})
    assert asked(template=str(template)) == 12
    assert asked(dtype="bfloat16") == 12
    assert asked(max_length=1999) == 12
    assert asked(name="md-judge-p") == 12, "another way to ask"
    other = tmp_path / "model"
    shutil.copytree(model, other)
    assert asked(folder=str(other)) == 0, "the same model elsewhere"
    config = read_json(other / "tokenizer_config.json")
    write_json(other / "tokenizer_config.json", config | {"note": 1})
    assert asked(folder=str(other)) == 12
    assert asked() == 0


def test_a_parsers_edit_asks_nothing_and_a_backends_asks_all(model, tmp_path):
    read, store, out = responses(tmp_path / "r.parquet", RESPONSES[:12]), tmp_path / "store", tmp_path / "out"
    given = arguments("md-judge", model, read, store, out, max_length=2000)
    runpy.run_path(str(SCRIPTS / "judge.py"))["main"](argparse.Namespace(**given))
    assert pd.read_parquet(out)["score"].isna().all()
    scripts = tmp_path / "scripts"
    shutil.copytree(SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    parser = scripts / "ballast/judges/md_judge.py"
    code = parser.read_text()
    assert "        return None\n" in code
    parser.write_text(code.replace("        return None\n", "        return 1\n"))
    assert LINE.search(run("judge", given, scripts))[4] == "0"
    assert pd.read_parquet(out)["score"].tolist() == [1.0] * 12
    backend = scripts / "ballast/backends/transformers.py"
    backend.write_text(backend.read_text().replace("STEP = 32", "STEP = 64"))
    assert LINE.search(run("judge", given, scripts))[4] == "12"


def test_damage_in_the_store_is_said_and_only_that_is_asked_again(reward_model, tmp_path):
    read, store = responses(tmp_path / "r.parquet", RESPONSES[:20]), tmp_path / "store"
    judge("harm-rm", reward_model, read, store, tmp_path / "a", batch_size=1)
    [file] = store.rglob("*.jsonl")
    whole = bytearray(file.read_bytes())
    at = whole.index(b'"value": ') + 11
    whole[at] ^= 1
    file.write_bytes(whole[:-30])
    said = judged("harm-rm", reward_model, read, store, tmp_path / "b", batch_size=1)
    assert "2 torn or changed lines dropped" in said and "20 distinct: 18 kept, 2 asked" in said
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert judge("harm-rm", reward_model, read, store, tmp_path / "b", batch_size=1)[3] == 0


def test_a_killed_generation_goes_on_with_the_same_bytes(model, tmp_path):
    prompts = pd.DataFrame({"prompt": [text[:120] for text in RESPONSES] + ["abc"], "category": None})
    prompts["category"] = prompts["category"].astype("Int8")
    schemas.write(tmp_path / "b.parquet", with_ids(prompts, ("prompt",), "test"), schemas.BENCHMARK)
    options = {"backend": "transformers", "decoding": "greedy", "max_new_tokens": 24, "max_prompt_tokens": 400}
    options |= {"long_prompts": "cut", "batch_size": 5, "dtype": "float32", "system": None}
    options |= {"prompt": "alpaca", "template": str(HOME / "alpaca_shaped.json")}

    def given(name):
        asked = {
            "model": model,
            "options": json.dumps(options),
            "benchmarks": ["--benchmarks", f"b={tmp_path}/b.parquet"],
        }
        out = {"out": tmp_path / f"{name}.parquet", "record": tmp_path / f"{name}.json"}
        return asked | {"partial": tmp_path / "partial" / name} | out

    killed = given("killed")
    had = kill_midway("generate", killed, killed["partial"], 4)
    assert 4 <= had < 25 and not killed["out"].exists()
    run("generate", killed)
    assert not killed["partial"].exists(), "it is removed when the job has succeeded"
    run("generate", given("whole"))
    assert killed["out"].read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert killed["record"].read_bytes() == (tmp_path / "whole.json").read_bytes()


def test_a_batch_of_responses_that_is_kept_is_not_generated_again(model, tmp_path, monkeypatch):
    from ballast.asking.store import Store
    from ballast.backends import transformers as backend

    options = {"decoding": "greedy", "max_new_tokens": 5, "max_prompt_tokens": 40, "long_prompts": "cut"}
    options |= {"batch_size": 2, "dtype": "float32"}
    prompts = [[1, 5], [1, 6, 7], [1, 8], [1, 9, 10, 11], [1, 5]]
    whole = backend.generate(model, None, prompts, options)
    batches, real = [], backend.continuations

    def fails_at_the_third(*arguments):
        batches.append(arguments[4])
        if len(batches) == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(backend, "continuations", fails_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        backend.generate(model, None, prompts, options, Store(tmp_path))
    assert backend.generate(model, None, prompts, options, Store(tmp_path)).equals(whole)
    assert batches == [[[1, 5], [1, 8]], [[1, 5], [1, 6, 7]], [[1, 9, 10, 11]], [[1, 9, 10, 11]]]
    changed = [[1, 5], [1, 6, 7], [1, 12], [1, 9, 10, 11], [1, 5]]
    batches.clear()
    backend.generate(model, None, changed, options, Store(tmp_path))
    assert batches == [[[1, 5], [1, 12]]], "a batch of other companions is another batch"
