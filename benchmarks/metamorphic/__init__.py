"""Parts of the benchmark `metamorphic.py`: pairs of references and answers, certified equal or not.

`values.py` has the meanings and `drafts.py` a text with its meaning; `numerals.py`,
`polynomials.py` and the `family_*.py` files make both from the same parts: no text is parsed;
`oracle.py` confirms every label; `wrappers.py` has the ways to state an answer; `pairs.py` draws
pairs.

Careful graders may differ on the following, so no pair has them:

* a percentage for a plain number or a plain number for a percentage; percentage points
* a number without a unit or a currency where the reference has one (the reverse is in: the prompt
  gave the unit), amounts converted between units (640 mm for 64 cm, 5 h 30 min for 5.5 hours),
  dollar signs for the code of one currency, cents for a fraction of a dollar
* rounded for exact and exact for rounded values, decimals for multiples of pi, "about 5"
* fractions and ratios not in lowest terms, 3/4 for 3:4
* factored for expanded polynomials and the reverse, the right side alone for y = 2x + 1, another
  name of the function or the variable
* "at least 5" and "at most 5" for 5, both a letter and the text of another option, letters in
  lower case, two boxes that contradict each other without a word of correction, an empty box after
  a stated answer, "B or D" for BD
* 16:25 for 4:25 p.m., dates in digits, a unit's sign for feet or minutes
* an open interval for a point of the same text, (2; 3) and ]1, 2], points as assignments, row for
  column vectors, determinants for matrices, a repeated element of a set
* a number for the same number in another base, digits without their base
* True for Yes, longer and shorter names of one thing, a translation, numerals in Chinese characters
* two counts of which the prompt asks for one; a number with one decimal comma and three decimals,
  or with a point in German, French or Spanish sentences
"""
