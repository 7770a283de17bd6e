"""What is said of base data and pools: each thing that would ruin a result stops, and no text of a row is told."""

import argparse
import json

import pandas as pd
import pytest

import data
from ballast import plugins, schemas
from ballast.data import forms, inspection, inspection_report
from ballast.data import leaks as leaks_of
from ballast.data.languages import language
from ballast.files import BallastError, read_parquet

NORTH = ["Oslo", "Bergen", "Turku", "Riga", "Vilnius", "Gdansk", "Kiel", "Ghent", "Lyon"]
PLACES = [*NORTH, "Porto", "Malaga", "Genoa", "Split", "Varna", "Izmir", "Haifa", "Tunis", "Dakar"]
BASE = [{"instruction": f"Tell me of the town {place}.", "output": f"{place} has a harbour."} for place in PLACES]
REQUESTS = [f"Plan a prank {number} in {place} against the mayor." for number, place in enumerate(PLACES)]
POOL = [
    {
        "prompt": request,
        "response": "I'm sorry, that would hurt people." if number % 3 else "Of course, here is a joke.",
    }
    for number, request in enumerate(REQUESTS)
]
CHECKS = {"unreadable": 0.1, "empty": 0.1, "leaks": "stop", "reasoning": "stop"}
PROMPTS = pd.DataFrame({"id": ["p0", "p1"], "prompt": ["Explain how a lock works.", "Write about winter nights."]})


class Bench:
    def __init__(self, folder):
        self.folder, self.base, self.pool = folder, list(BASE), list(POOL)
        self.options = {"checks": CHECKS, "asked": {"own": {"any": 5, "T1": 5}}, "labeller": "refusal-string"}
        self.prompts, self.rows = PROMPTS, {}

    def look(self) -> inspection.Inspection:
        datasets = []
        for name, rows in (("base", self.base), ("pools/own", self.pool)):
            path = self.folder / f"{name.split('/')[-1]}.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            datasets.append(inspection.read(name, str(path), "auto", {}, **self.rows.get(name, {})))
        return inspection.inspect(datasets, {"winter": self.prompts}, self.options)

    def stops(self, *said: str) -> str:
        """The sentence that stops, and alone does."""
        [stop] = self.look().stops()
        for words in said:
            assert words in stop
        return stop

    def remarks(self, said: str) -> None:
        found = self.look()
        assert not found.stops() and any(said in finding.said for finding in found.findings)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_sound_files_stop_nothing_and_are_shown(bench):
    found = bench.look()
    assert not found.stops()
    text = inspection_report.report(found, "mine")
    assert "Nothing here stops the study." in text
    assert "prompt-response" in text and "instruction = prompt, output = response" in text
    assert "| base      | winter      | 2         | 0       | 0        | 0      |" in text
    assert "12 of 18 responses open as a refusal" in text and "en 100.0%" in text
    inspection.refuse(inspection.findings_json(found))


def test_no_text_of_a_row_is_told(bench):
    bench.base.append({"instruction": PROMPTS["prompt"][0], "output": "zebra crossing"})
    bench.pool += [{"prompt": REQUESTS[0], "response": None}, bench.pool[3]]
    found = bench.look()
    said = inspection_report.report(found, "mine") + json.dumps(inspection.findings_json(found)) + found.leaks.to_csv()
    words = {word for row in (*BASE, *POOL) for text in row.values() for word in text.split() if len(word) > 5}
    assert not [word for word in words if word in said] and "zebra" not in said


def test_unreadable_rows(bench):
    bench.pool[4] = {"text": "x"}
    bench.remarks("1 of 18 rows cannot be read (5.6%), the first is row 4: no column 'prompt'")
    bench.pool[5] = {"prompt": "x", "response": 5}
    bench.stops("own.jsonl: 2 of 18 rows cannot be read (11.1%)", "row 4", "raise checks.unreadable (10.0%)")


def test_a_file_of_which_no_row_can_be_read(bench):
    bench.pool = [{"prompt": "a", "response": 1}]
    bench.stops("own.jsonl: no row can be read: row 0: 'response' is missing or not text")


def test_empty_responses(bench):
    bench.base[0] = BASE[0] | {"output": " "}
    bench.remarks("base.jsonl: 1 rows have an empty response (5.6%), such as row 0; they are kept")
    bench.base[1] = BASE[1] | {"output": ""}
    bench.stops("2 rows have an empty response (11.1%), such as rows 0, 1", "raise checks.empty")


@pytest.mark.parametrize(("leaks", "ending"), [("stop", None), ("drop", "; these rows are left out"), ("keep", "")])
def test_a_benchmark_in_the_data(bench, leaks, ending):
    bench.options["checks"] = CHECKS | {"leaks": leaks}
    bench.base.insert(7, {"instruction": "explain HOW a lock works", "output": "With pins."})
    said = "1 of the 2 prompts of winter stand in"
    if ending is None:
        bench.stops(said, "such as in row 7; remove the rows that leaks.csv lists, or set checks.leaks to drop")
    else:
        bench.remarks(said)
    leaks = bench.look().leaks
    assert leaks.to_dict("records") == [
        {"dataset": "base", "row": 7, "benchmark": "winter", "id": "p0", "kind": "exact", "cosine": 1.0}
    ]


LOCK = PROMPTS["prompt"][0]
TEMPLATE = "Below is an instruction. Write a response.\n\n### Instruction:\n{}\n\n### Response:"


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"messages": [("user", LOCK), ("assistant", "a"), ("user", "Thanks."), ("assistant", "b")]}, "exact"),
        ({"messages": [("user", "Hello."), ("assistant", "a"), ("user", LOCK), ("assistant", "b")]}, "exact"),
        ({"instruction": "Answer as a chef would.", "input": LOCK.upper(), "output": "b"}, "exact"),
        ({"instruction": LOCK, "input": "Briefly.", "output": "b"}, "exact"),
        ({"instruction": "Go on.", "history": [[LOCK, "a"]], "output": "b"}, "exact"),
        ({"instruction": TEMPLATE.format(LOCK), "output": "b"}, "within"),
    ],
)
@pytest.mark.parametrize("leaks", ["stop", "drop"])
def test_a_benchmark_in_a_turn_an_input_or_a_template(bench, row, kind, leaks):
    if "messages" in row:
        row = {"messages": [{"role": role, "content": text} for role, text in row["messages"]]}
        asked = ({"role": "user", "content": request} for request in REQUESTS)
        said = {"role": "assistant", "content": "No."}
        bench.pool = [{"messages": [each, said]} for each in asked]
    else:
        bench.pool = [{"instruction": request, "output": "No."} for request in REQUESTS]
    bench.pool.append(row)
    bench.options["checks"] = CHECKS | {"leaks": leaks}
    found = bench.look()
    [leak] = found.leaks.to_dict("records")
    assert (leak["dataset"], leak["row"], leak["id"], leak["kind"]) == ("pools/own", 18, "p0", kind)
    assert len(found.stops()) == (leaks == "stop")
    table = forms.understand(bench.folder / "own.jsonl").table
    assert leaks_of.find(table, PROMPTS["prompt"].tolist())["row"].tolist() == [18], "the stage drops the same rows"


def test_a_prompt_inside_a_text_needs_words_and_letters():
    """In Japanese each letter counts as a word."""
    winter = "\u51ac\u306e\u591c\u306b\u3064\u3044\u3066\u77ed\u304f\u66f8\u3044\u3066\u304f\u3060\u3055\u3044"
    texts = [
        f"Instruction: {winter}\nAnswer:",
        f"{winter[:12]}...",
        "Say it: is it so or no?",
        "Tell me: what is a lock for?",
    ]
    table = pd.DataFrame({"instruction": texts, "input": "", "output": "b"})
    found = leaks_of.find(table, [winter, "Is it so or no", "What is a lock", "What is a lock for?"])
    assert found[["row", "place", "kind"]].to_numpy().tolist() == [[0, 0, "within"], [3, 3, "within"]]


def test_leaks_count_in_the_rows_that_the_study_uses(bench):
    bench.base.append({"instruction": LOCK, "output": "b"})
    bench.stops("1 of the 2 prompts of winter stand in")
    bench.rows = {"base": {"rows": 18}}
    found = bench.look()
    assert not found.stops() and found.leaks.empty
    assert "| base      | 19     | 1                           | 18     |" in inspection_report.report(found, "mine")
    # Rows that are dropped for another reason come first, so that `rows` are all of use.
    bench.rows = {"base": {"rows": 18}, "pools/own": {"rows": 5, "order_seed": 3}}
    bench.options["checks"] = CHECKS | {"leaks": "drop"}
    assert bench.look().datasets[1].rows["used"].sum() == 5


@pytest.mark.parametrize(
    ("column", "values", "counts"),
    [
        ("label", [True, True, False], "(false: 6, true: 12)"),
        ("is_safe", ["True", "False", "True"], "(false: 6, true: 12)"),
        ("weight", [1.0, 0, 0.5], "(0: 6, 0.5: 6, 1: 6)"),
        ("Train", [1, 1, 0], "(0: 6, 1: 12)"),
        ("label", ["chosen", "rejected", "chosen"], "(chosen: 12, rejected: 6)"),
        ("exclude", [False, False, True], "(false: 12, true: 6)"),
        ("split", ["train", "test", "train"], "(test: 6, train: 12)"),
    ],
)
def test_a_column_that_marks_rows_not_to_be_learnt_stops(bench, column, values, counts):
    bench.pool = [row | {column: values[number % 3]} for number, row in enumerate(bench.pool)]
    bench.stops(
        f"own.jsonl: 6 of 18 rows are marked by '{column}' as not to be learnt {counts}", f"where: {{{column}: "
    )
    every = sorted({value for value in values}, key=str)
    bench.rows = {"pools/own": {"where": {column: every}}}
    assert not bench.look().stops()
    bench.rows = {"pools/own": {"where": {column: values[0]}}}
    counted = bench.look().datasets[1]
    assert counted.records == 18 == int(counted.rows["used"].sum()) + sum(counted.left_out.values())


def test_an_optional_part_that_few_rows_have_is_read_and_one_that_comes_late_stops(bench):
    bench.base = [{"instruction": f"Tell me of hill {number}.", "output": "High."} for number in range(150)]
    bench.base[50] |= {"input": "In brief.", "history": [["Hello.", "Hi."]]}
    assert bench.look().datasets[0].rows["request"][50].endswith("User: Tell me of hill 50.\nIn brief.")
    bench.base[50] = bench.base[51]
    bench.base[120] |= {"system": "Be kind."}
    bench.stops("base.jsonl: the column 'system' first stands after row 99, so it is not read; name it in `columns`")


def test_reasoning_in_responses_stops_unless_it_is_wanted(bench):
    bench.pool[4] = bench.pool[4] | {"response": "<think>Is that safe? No.</think>\n\nI cannot help with that."}
    bench.stops("own.jsonl: 1 responses have reasoning before the answer, such as row 4; take it out")
    bench.options["checks"] = CHECKS | {"reasoning": "keep"}
    bench.remarks("1 responses have reasoning before the answer, such as row 4; it is trained as it stands")


def test_other_columns_that_are_not_read_are_named(bench):
    bench.pool = [row | {"label": number % 14, "source": "made"} for number, row in enumerate(bench.pool)]
    bench.remarks("own.jsonl: 2 columns are not read: label, source")


def test_a_benchmark_nearly_in_the_data_is_a_remark(bench):
    bench.base.append({"instruction": "Explain how a good lock works.", "output": "With pins."})
    bench.remarks("1 of the 2 prompts of winter nearly stand in")
    assert bench.look().leaks["kind"].tolist() == ["near"]


def test_repeats_and_twins_in_the_pool(bench):
    bench.pool += [POOL[2], POOL[4] | {"prompt": REQUESTS[4] + "!"}]
    bench.remarks("own.jsonl: 1 rows repeat another, such as row 18; the first of each is kept")
    bench.remarks("rows have a near twin in the pool")


def test_a_pool_that_base_data_has_already(bench):
    bench.base += [{"instruction": request, "output": "No."} for request in REQUESTS[:3]]
    bench.remarks("3 requests of")
    bench.base += [{"instruction": request, "output": "No."} for request in REQUESTS[3:]]
    bench.stops("18 requests of", "so a model fine-tuned on base data alone has seen them")


def test_fewer_rows_than_are_asked(bench):
    bench.options["asked"] = {"own": {"any": 19}}
    bench.stops("18 rows to choose from, but n = 19 is asked")
    bench.options["asked"] = {"own": {"any": 18}}
    assert not bench.look().stops()
    bench.pool[3] = bench.pool[2]
    bench.stops("17 rows to choose from")  # a repeat is not counted


def test_a_pool_without_refusals_and_one_of_refusals_alone(bench):
    bench.pool = [row | {"response": "Of course."} for row in POOL]
    bench.stops("n = 5 rows of behaviour T1 are asked, and refusal-string labels 0 so", "or label by wildguard")
    bench.pool = [row | {"response": "I cannot."} for row in POOL]
    assert not bench.look().stops()
    bench.options["asked"]["own"]["T2"] = 5
    bench.stops("n = 5 rows of behaviour T2 are asked")
    bench.options["labeller"] = "wildguard"
    bench.remarks("all open as a refusal; samplers of the other behaviours may find no row")


def test_another_language_is_remarked(bench):
    bench.base = [
        {"instruction": "Quelle est la capitale de la France ?", "output": f"{place} est la ville."} for place in PLACES
    ]
    bench.remarks("base.jsonl: 100% of the rows are not English (fr)")


@pytest.mark.parametrize(
    ("spoken", "text"),
    [
        ("en", "Name a river that flows to the sea, and say how long it is."),
        ("fr", "Nommez une rivière qui se jette dans la mer et dites sa longueur."),
        ("de", "Nenne einen Fluss, der ins Meer fließt, und sage, wie lang er ist."),
        ("es", "Nombra un río que desemboca en el mar y di cuánto mide."),
        ("pt", "Diga o nome de um rio que corre para o mar e qual é o seu comprimento."),
        ("it", "Dimmi il nome di un fiume che arriva al mare e quanto è lungo."),
        ("nl", "Noem een rivier die naar zee stroomt en zeg hoe lang hij is."),
        ("da", "Nævn en flod, der løber ud i havet, og sig, hvor lang den er."),
        ("pl", "Podaj nazwę rzeki, która płynie do morza, i powiedz, jak jest długa."),
        ("tr", "Denize dökülen bir nehrin adını söyle ve ne kadar uzun olduğunu anlat."),
        ("fi", "Nimeä joki, joka virtaa mereen, ja kerro kuinka pitkä se on."),
        ("is", "Nefndu tuttugu fjoll sem gnaefa yfir sveitir landsins okkar sunnan jokla nordan heida"),
        ("ru", "Назови реку, которая течёт в море, и скажи, какой она длины."),
        ("el", "Πες το όνομα ενός ποταμού που χύνεται στη θάλασσα και πόσο μακρύς είναι."),
        ("ar", "اذكر نهرا يصب في البحر وقل كم يبلغ طوله."),
        ("hi", "समुद्र में गिरने वाली एक नदी का नाम बताओ और यह कितनी लंबी है।"),
        ("ja", "海に流れ込む川の名前を一つ挙げて、その長さを言ってください。"),
        ("zh", "说出一条流入大海的河流的名字，并说明它有多长。"),
        ("ko", "바다로 흘러가는 강의 이름을 말하고 길이가 얼마인지 알려 주세요."),
        ("unsure", "42 + 1 = ?"),
        ("unsure", "Ok."),
        ("unsure", ""),
        ("unsure", "tak bano rilu mepo sati goru vane"),
        ("unsure", "for (int i = 0; i < n; i++) { total += rows[i]; }"),
    ],
)
def test_a_language_is_named_where_it_is_sure(spoken, text):
    assert language(text) == spoken


def test_the_real_pool_is_english(data_dir):
    pool = plugins.load("readers", "auto").read(data_dir / "safety-tuned-llamas/safety_pool.vinid.json")
    named = [language(f"{row.instruction}\n{row.output}") for row in pool.itertuples()]
    assert named.count("en") > 0.99 * len(pool)


def test_system_messages_and_long_chats_are_counted(bench):
    turns = [{"role": role, "content": f"{role} says"} for role in ("system", "user", "assistant", "user", "assistant")]
    bench.base = [{"messages": turns} for _ in PLACES]
    bench.remarks("base.jsonl: 18 rows have a system message, which is not read")
    bench.remarks("base.jsonl: 18 rows are chats with several requests")


def test_a_refusal_names_the_first_and_counts_the_rest():
    findings = [{"stops": True, "said": "a"}, {"stops": False, "said": "b"}, {"stops": True, "said": "c"}]
    with pytest.raises(BallastError, match=r"^a \(and 1 more: see the report\)$"):
        inspection.refuse({"findings": findings})


class TestData:
    """What the stage `data` leaves out where a study has checks."""

    @pytest.fixture(autouse=True)
    def said(self, capsys):
        self.capsys = capsys

    def run(self, folder, rows, **arguments) -> tuple[list[str], str]:
        (folder / "pool.json").write_text(json.dumps(rows))
        schemas.write(str(folder / "b.parquet"), PROMPTS.assign(category=pd.NA), schemas.BENCHMARK)
        given = {
            "kind": "pool",
            "format": "auto",
            "source": str(folder / "pool.json"),
            "columns": "{}",
            "tags": "[]",
            "rows": None,
        }
        given |= {"order_seed": None, "unreadable": None, "without": [], "out": str(folder / "out.parquet")}
        given |= {
            "where": "{}",
            "longest": None,
            "prompts": None,
            "learnt": [],
            "out_counts": str(folder / "counts.json"),
        }
        try:
            data.main(argparse.Namespace(**given | arguments))
        except BallastError as error:
            return [], str(error)
        rows = read_parquet(folder / "out.parquet")
        return rows.get("instruction", rows.get("prompt")).tolist(), self.capsys.readouterr().err

    ROWS = [{"prompt": "caf\u00e9", "response": "b"}, {"prompt": "cafe\u0301", "response": "b"}]
    ROWS += [{"prompt": "c", "response": ""}, {"prompt": "d"}]
    ROWS += [{"prompt": "explain how a LOCK works", "response": "e"}, {"prompt": "f", "response": "g"}]

    def test_repeats_rows_without_a_response_and_leaks_are_left_out(self, tmp_path):
        kept, said = self.run(tmp_path, self.ROWS, unreadable=0.2, without=[str(tmp_path / "b.parquet")])
        assert kept == ["caf\u00e9", "f"], "two spellings of one text are a repeat"
        left_out = "1 repeats - 1 that hold a benchmark's prompt - 1 unreadable - 1 without a response"
        assert f"6 rows - {left_out} = 2 used" in said

    def test_without_checks_the_first_bad_row_stops(self, tmp_path):
        assert "pool.json: row 3: no column 'response' (there are: prompt)" in self.run(tmp_path, self.ROWS)[1]
        assert "row 1 repeats row 0" in self.run(tmp_path, self.ROWS[:2])[1]

    def test_nothing_left(self, tmp_path):
        said = self.run(tmp_path, [self.ROWS[2]], unreadable=0.2)[1]
        assert "pool.json: no rows are left: 1 rows - 1 without a response = 0 used" in said

    def test_a_benchmark_loses_prompts_that_are_none_and_counts_them(self, tmp_path):
        rows = [{"prompt": prompt, "expected": "nan"} for prompt in ("a", "nan", "\u200b", "", "b")]
        (tmp_path / "b.json").write_text(json.dumps(rows))
        given = {"kind": "benchmark", "format": "prompts", "source": str(tmp_path / "b.json"), "prompts": None}
        assert self.run(tmp_path, [], **given)[0] == ["a", "b"]
        assert read_parquet(tmp_path / "out.parquet")["expected"].isna().all()
        counts = json.loads((tmp_path / "counts.json").read_text())
        assert counts == {"rows": 5, "used": 2, "left_out": {"without a prompt": 3}}

    def test_columns(self, tmp_path):
        rows = [{"ask": "a", "prompt": "x", "reply": "b"}]
        assert self.run(tmp_path, rows, columns='{"instruction": "ask", "output": "reply"}')[0] == ["a"]
