"""explore.html in headless Chromium: from disk, what stands where, filters, search, keys, addresses, redaction."""

import pytest
from helpers.explored import NASTY, row, write_page

from ballast.results import html

pytestmark = pytest.mark.browser
COLUMNS = ["As it is (not fine-tuned)", "No safety data", "Random", "SSS-B"]
# Scores of prompts 0 to 5 in the four columns: what each filter must find follows from them.
SCORES = {
    "m/as-is": [0.1, 3.1, 0.2, 3.2, 0.3, 0.4],
    "m/p/none/n0/t0": [3.5, 3.4, 3.3, 3.2, 3.1, "unparsable"],
    "m/p/random/n7/t0": [2.0, 1.9, 0.1, 3.0, 0.1, 0.1],
    "m/p/random/n7/t1": [0.0] * 6,
    "m/p/sss-b/n7/t0": [0.1, 0.1, 0.1, 2.5, 0.1, 0.1],
}
PROMPTS = [row(number, "")["id"] for number in range(6)]


def runs():
    made = {
        path: [
            row(number, f"Answer {number} of {path.split('/')[-3] if '/n' in path else 'as-is'}.", score)
            for number, score in enumerate(scores)
        ]
        for path, scores in SCORES.items()
    }
    for place, path in enumerate(made):
        made[path] += [
            row(number, "No." if (number + place) % 2 else "Yes, surely.", (number + place) % 2, benchmark="xstest")
            for number in (20, 21, 22)
        ]
    made["m/q/random/n7/t0"] = [row(number, "Elsewhere.", 1.0) for number in range(6)]
    return made


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> str:
    return write_page(tmp_path_factory.mktemp("page"), runs()).as_uri()


@pytest.fixture
def page(tab, address):
    tab.goto(address)
    return tab


def listed(page) -> set[int]:
    """The numbers of the prompts in the table."""
    return {PROMPTS.index(code) for code in page.locator("#rows code").all_inner_texts()}


def heads(page) -> list[str]:
    return page.eval_on_selector_all("select.sampler", "all => all.map((one) => one.selectedOptions[0].textContent)")


def test_it_opens_from_disk_with_the_columns_to_begin_with(page):
    assert page.url.startswith("file://") and heads(page) == COLUMNS
    assert listed(page) == set(range(6)) and page.locator("#count").inner_text() == "6 of 6 prompts"
    line = page.locator(f"#rows tr:has(code:text-is('{PROMPTS[1]}'))")
    assert line.locator("th .text").inner_text() == "How do I bake bread 1?"
    assert line.locator("td .text").all_inner_texts() == [
        f"Answer 1 of {one}." for one in ("as-is", "none", "random", "sss-b")
    ]
    assert line.locator(".badge").all_inner_texts() == [
        "▲ harmful 3.10",
        "▲ harmful 3.40",
        "● harmless 1.90",
        "● harmless 0.10",
    ]
    assert page.locator(".column .sum").first.inner_text().split("\n")[-1] == "harmful 33.3 % 2 of 6, mean 1.22"
    assert page.locator(".column .sum").nth(1).inner_text().endswith("5 of 5, mean 3.30 · 1 not read")


@pytest.mark.parametrize(
    "verdict, wanted",
    [
        ("some", {0, 1, 2, 3, 4}),
        ("every", {3}),
        ("nowhere", {5}),
        ("first", {1, 3}),
        ("last", {3}),
        ("differ", {0, 1, 2, 4}),
        ("better", {1}),
        ("worse", set()),
        ("unread", {5}),
    ],
)
def test_a_verdict_filter_leaves_its_prompts(page, verdict, wanted):
    page.select_option("#verdict", verdict)
    assert listed(page) == wanted
    assert page.locator("#count").inner_text() == f"{len(wanted)} of 6 prompts"
    assert page.locator("#none").is_visible() == (not wanted)


def test_what_no_judge_could_read_is_in_no_filter_but_its_own(tab, tmp_path):
    tab.goto(write_page(tmp_path, {"m/p/random/n7/t0": [row(1, "a", "unparsable"), row(2, "b", "too long")]}).as_uri())
    assert sorted(tab.locator(".badge").all_inner_texts()) == ["? too long", "? unparsable"]
    for verdict in ("some", "every", "nowhere", "first", "last", "differ", "better", "worse", "unread"):
        tab.select_option("#verdict", verdict)
        assert len(listed(tab)) == (2 if verdict == "unread" else 0), verdict


def test_a_category_leaves_its_prompts_and_the_sums_follow(page):
    page.select_option("#category", label="Discrimination, stereotype, injustice")
    assert listed(page) == {3}
    assert page.locator(".column .sum").last.inner_text().split("\n")[-1] == "harmful 100.0 % 1 of 1, mean 2.50"


def test_another_benchmark_has_its_own_judge_and_words(page):
    page.select_option("#benchmark", label="xstest (3)")
    assert page.locator("#count").inner_text() == "3 of 3 prompts"
    assert set(page.locator(".badge").all_inner_texts()) == {"▲ refused", "● answered"}
    page.select_option("#benchmark", label="all")
    assert page.locator("#count").inner_text() == "9 of 9 prompts" and page.locator(".badge").count() == 36


def test_search_finds_prompts_shown_responses_ids_and_categories(page):
    for text, wanted in {
        "bread 4": {4},
        "ANSWER 2 OF SSS-B": {2},
        PROMPTS[5][:9]: {5},
        "child abuse": {1},
        "of random": set(range(6)),
        "elsewhere": set(),
    }.items():
        page.fill("#search", text)
        assert listed(page) == wanted, text
    page.fill("#search", "")
    page.locator("#search").press_sequentially("bread 1")
    assert listed(page) == {1} and page.locator("mark").all_inner_texts() == ["bread 1"]
    for _ in "1":
        page.press("#search", "Backspace")
    assert listed(page) == set(range(6)), "what a longer search had left out is found again"


def test_a_response_that_is_not_shown_is_not_found(page):
    page.fill("#search", "of sss-b")
    assert len(listed(page)) == 6
    page.locator(".remove").last.click()
    assert heads(page) == COLUMNS[:3] and listed(page) == set()


def test_columns_are_picked_by_sampler_n_and_trial(page):
    page.select_option("select.trial[data-column='2']", "1")
    assert page.locator(".column .sum").nth(2).inner_text().split("\n")[-1] == "harmful 0.0 % 0 of 6, mean 0.00"
    page.select_option("select.sampler[data-column='0']", "sss-b")
    assert heads(page) == ["SSS-B", "No safety data", "Random", "SSS-B"]
    page.click("#add")
    assert len(heads(page)) == 5 and page.locator("#rows tr").first.locator("td").count() == 5
    page.click("#reset")
    assert heads(page) == COLUMNS


def test_another_pool_shows_its_runs_beside_the_same_references(page):
    page.select_option("#view", label="Model M · q")
    assert heads(page) == COLUMNS[:3]
    assert page.locator("#rows tr").first.locator("td .text").last.inner_text() == "Elsewhere."


def test_order_by_difference_and_by_a_columns_score(page):
    order = lambda: [PROMPTS.index(code) for code in page.locator("#rows code").all_inner_texts()]  # noqa: E731
    assert [PROMPTS[one] for one in order()] == sorted(PROMPTS)
    page.select_option("#order", "first")
    assert order() == [3, 1, 5, 4, 2, 0]
    page.select_option("#order", "spread")
    assert order()[:2] == [0, 1] and order()[-1] == 5


def test_the_address_keeps_what_is_shown(page, address, browser):
    page.select_option("#verdict", "differ")
    page.select_option("#order", "spread")
    page.select_option("select.trial[data-column='2']", "1")
    page.locator(".remove").first.click()
    page.fill("#search", "bread & café #1")
    page.fill("#search", "bread")
    other = browser.new_page()
    other.goto(page.url)
    assert heads(other) == heads(page) == COLUMNS[1:] and listed(other) == listed(page) != set(range(6))
    assert other.input_value("#search") == "bread" and other.input_value("#verdict") == "differ"
    assert other.input_value("select.trial[data-column='1']") == "1"
    # An address that someone edits, and one that names what is not there.
    other.evaluate("location.hash = '#verdict=every'")
    other.locator("#count:text-is('1 of 6 prompts')").wait_for()
    other.goto(
        f"{address}#model=no/such&verdict=toString&columns=nobody:1:1&category=99&page=-3&size=1e9&order=constructor"
    )
    other.reload()
    assert heads(other) == COLUMNS and listed(other) == set(range(6))
    other.close()


def test_keys(page):
    page.keyboard.press("/")
    page.keyboard.type("bread")
    assert page.input_value("#search") == "bread"
    page.keyboard.press("Escape")
    page.keyboard.press("d")
    assert listed(page) == {0, 1, 2, 4} and page.input_value("#verdict") == "differ"
    page.keyboard.press("d")
    focused = "[...document.querySelectorAll('#rows tr')].indexOf(document.activeElement)"
    seen = []
    for key in "jjjk":
        page.keyboard.press(key)
        seen.append(page.evaluate(focused))
    assert seen == [0, 1, 2, 1]
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.className") == "whole"
    page.keyboard.press("?")
    assert page.locator("#about").is_visible()
    page.keyboard.press("d")
    page.keyboard.press("Escape")
    assert not page.locator("#about").is_visible() and page.input_value("#verdict") == "all"


def test_long_texts_are_folded_and_open_and_paper_shows_them_whole(tab, tmp_path):
    text = "A line.\n" * 60
    tab.goto(write_page(tmp_path, {"m/p/random/n7/t0": [row(1, text, 1.0)]}).as_uri())
    height = lambda: tab.locator("td .text").bounding_box()["height"]  # noqa: E731
    folded = height()
    tab.locator("#rows td").click()
    assert height() > 5 * folded
    tab.locator("#rows td").click()
    assert height() == folded
    tab.emulate_media(media="print")
    assert height() > 5 * folded and not tab.locator("#bar").is_visible()
    assert "benchmark beavertails-eval" in tab.locator("#state").inner_text()


def test_pages_of_many_prompts(tab, tmp_path):
    made = {"m/p/random/n7/t0": [row(number, f"Answer {number}.", number % 5) for number in range(120)]}
    tab.goto(write_page(tmp_path, made).as_uri())
    seen = []
    for rows in (50, 50, 20):
        tab.locator("#rows tr").nth(rows - 1).wait_for(state="attached")
        seen += tab.locator("#rows code").all_inner_texts()
        tab.keyboard.press("n")
    assert seen == sorted(row(number, "")["id"] for number in range(120)) and tab.locator("#next").is_disabled()
    assert tab.locator("#page").inner_text() == "page 3 of 3"
    tab.keyboard.press("p")
    tab.locator("#rows tr").nth(49).wait_for(state="attached")
    assert tab.locator("#rows code").all_inner_texts() == seen[50:100]
    tab.fill("#search", "answer 1")
    assert (
        tab.locator("#page").inner_text() == "page 1 of 1" and tab.locator("#count").inner_text() == "31 of 120 prompts"
    )


def test_nothing_in_a_text_runs_or_becomes_markup(tab, tmp_path):
    made = {"m/p/random/n7/t0": [row(1, NASTY, 1.0, prompt=NASTY), row(2, NASTY, "unparsable")]}
    tab.goto(write_page(tmp_path, made, study="</title><img src=x onerror='window.ran=4'>").as_uri())
    assert tab.locator("td .text").first.evaluate("one => one.textContent") == NASTY
    tab.fill("#search", "<script>")
    assert tab.locator("#rows tr").count() == 2 and tab.locator("#rows td mark").count() == 4
    assert tab.evaluate("window.ran") is None
    assert tab.locator("#rows img, #rows script").count() == 0 and tab.locator("script").count() == 2


def test_a_script_that_got_into_the_page_would_not_run(browser, tmp_path):
    made = write_page(tmp_path, {"m/p/random/n7/t0": [row(1, "a", 1.0)]})
    made.write_text(made.read_text().replace("</body>", "<script>document.title = 'ran'</script></body>"))
    page = browser.new_page()
    page.add_init_script("addEventListener('securitypolicyviolation', (event) => (window.blocked = event.blockedURI))")
    page.goto(made.as_uri())
    assert page.title() != "ran" and page.evaluate("window.blocked") == "inline"
    page.close()


def test_a_page_of_the_report_runs_no_script_and_fetches_nothing(browser, tmp_path):
    text = "![a](http://127.0.0.1:9/a.png)\n\n<script>document.title = 'ran'</script>\n\n| a |\n|:-:|\n| b |\n"
    made = tmp_path / "page.html"
    slipped = "<script>document.title = 'ran'</script><img src=x onerror=\"document.title='ran'\">"
    made.write_text(html.from_markdown(text, "made").replace("</html>", f"{slipped}</html>"))
    page, asked, blocked = browser.new_page(), [], {}
    page.on("request", lambda request: asked.append(request.url))
    page.on("requestfailed", lambda request: blocked.update({request.url: request.failure}))
    page.goto(made.as_uri())
    assert page.title() == "made" and len(asked) == 3 and set(asked) - set(blocked) == {made.as_uri()}
    assert set(blocked.values()) == {"csp"}, "the policy stops them before anything is sent"
    assert page.locator("td").evaluate("cell => getComputedStyle(cell).textAlign") == "center", "styles still apply"
    page.close()


def test_redacted_shows_lengths_and_searches_ids_and_categories(tab, tmp_path):
    made = write_page(tmp_path, runs(), redact=True)
    assert "bread" not in made.read_text()
    tab.goto(made.as_uri())
    assert tab.locator(".holds").inner_text() == "redacted"
    line = tab.locator(f"#rows tr:has(code:text-is('{PROMPTS[1]}'))")
    assert line.locator("th .absent").inner_text() == f"[redacted, {len('How do I bake bread 1?')} characters]"
    assert line.locator("td .absent").first.inner_text() == f"[redacted, {len('Answer 1 of as-is.')} characters]"
    assert line.locator(".badge").first.inner_text() == "▲ harmful 3.10"
    tab.fill("#search", "bread")
    assert listed(tab) == set()
    tab.fill("#search", "child abuse")
    assert listed(tab) == {1}


def test_a_dark_and_a_narrow_page_stay_readable(tab, address):
    tab.emulate_media(color_scheme="dark")
    tab.set_viewport_size({"width": 430, "height": 900})
    tab.goto(address)
    width = tab.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1], "nothing sticks out"
    label = "getComputedStyle(document.querySelector('tbody td'), '::before').content"
    assert tab.evaluate(label) == '"As it is (not fine-tuned), trial 0"'
    ink, paper = tab.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    lightness = [sum(map(int, colour[4:-1].split(", "))) for colour in (ink, paper)]
    assert lightness[0] > 600 and lightness[1] < 120
