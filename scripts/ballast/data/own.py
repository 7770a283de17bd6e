"""Find a pool's rows in its own file again, to read columns that no pair has."""

from collections.abc import Iterator, Mapping
from itertools import islice

from ballast.data import forms, marks
from ballast.data.records import records
from ballast.data.rows import content_id


def detect(path: str, form: str, columns: Mapping[str, str]) -> forms.Form:
    """Return the form of a file, of those that a reader's FORM allows."""
    return forms.detect(path, list(islice(records(path), forms.SAMPLE)), form, columns)


def rows(path: str, form: forms.Form, where: Mapping) -> Iterator[tuple[str, int, dict, forms.Pair]]:
    """Yield id, number in the file, record and pair of each row that `where` takes; a repeated row has the same id."""
    chosen = marks.Filter(where)
    for number, record in enumerate(records(path)):
        try:
            pair = forms.pair(record, form)
        except forms.Unreadable:
            continue
        if chosen.takes(record):
            yield content_id(pair.instruction, pair.input, pair.output), number, record, pair
