"""Text from data is shown by Markdown as it is, and cannot leave its place."""

from hypothesis import given
from hypothesis import strategies as st

from vasari.core.markdown import fenced, plain


def test_markup_is_escaped_and_lines_are_joined():
    assert plain("a\n<b> [x](y) `c` | & *d*") == "a &lt;b&gt; \\[x\\](y) \\`c\\` \\| &amp; \\*d\\*"


@given(st.text(alphabet="`~a\n "))
def test_no_line_of_a_block_closes_its_fence(text):
    first, *inside, last = fenced(text)
    assert first == last
    assert all(not line.strip().startswith(last) for line in inside)
