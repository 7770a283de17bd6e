"""Filters of base data: one file each. A filter is `score(model, base, safety, features, options, seed) -> pd.Series`.

`base` and `safety` are rows (columns id, instruction, input, output): the base data, and the safety rows that go with
them. The result has one finite number for each id of `base`, higher = keep; the best share `options["keep"]` of the
rows is trained on, ties by id. It depends neither on the order of the rows nor on what is filtered beside them.

`NEEDS` names the features that it reads (selection.Features), `SEEDED` says whether the seed changes the scores, and
`SAFETY` whether it reads the safety rows: a filter that does not gets none, and filters once for all of them.
`OPTIONS` names its options, name -> (default, sentence); `keep` is one of them.
"""
