"""Filters of base data: one file each. A filter is `score(model, base, safety, features, options, seed) -> pd.Series`.

`base` and `safety` are rows (columns id, instruction, input, output): the base data, and the safety rows trained with
them. The result has one finite number for each id of `base`, higher = keep. Training uses the best share
`options["keep"]` of the rows, ties by id. The scores do not depend on the order of the rows.

`NEEDS` names the features that it reads (selection.Features). `SEEDED` says whether the seed changes the scores.
`SAFETY` says whether it reads the safety rows; a filter that does not gets none, and runs once for all subsets.
`OPTIONS` names its options, name -> (default, sentence); `keep` is one of them.
"""
