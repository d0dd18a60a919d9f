import re
from html.parser import HTMLParser

from hypothesis import given, settings
from hypothesis import strategies as st

from vasari.report.inputs import shown
from vasari.report.plot import drawing, to_svg


def picture(label: str, name: str = "a") -> str:
    with drawing() as (figure, axes):
        axes.plot([0, 1], [0, 1])
        axes.set_xlabel(label)
        return str(to_svg(figure, name=name, alt=label))


@given(st.text(alphabet=st.characters(codec=None), max_size=300), st.integers(1, 50))
def test_shown_text_can_be_written_and_is_short(text, limit):
    found = shown(text, limit)
    assert len(found) <= limit
    assert found.encode("utf-8").decode("utf-8") == found
    assert "\x00" not in found


def test_equal_pictures_are_equal_text():
    assert picture("x") == picture("x")


def test_pictures_on_one_page_share_no_id():
    first, second = (set(re.findall(r'id="([^"]*)"', picture("x", name))) for name in ("a", "b"))
    assert first
    assert not first & second


@settings(max_examples=8, deadline=None)
@given(
    st.sampled_from(
        [
            "</svg><script>x</script>",
            "a & b < c",
            "$\\frac{1}{0}$",
            '" onload="x',
            "<!--",
            "]]>",
            "\u202e\u4e2d",
        ]
    )
)
def test_labels_are_text_and_never_markup_or_formulas(label):
    tags, said = [], []
    parser = HTMLParser(convert_charrefs=True)
    parser.handle_starttag = lambda tag, attrs: tags.append((tag, attrs))
    parser.handle_data = said.append
    parser.feed(picture(label))
    parser.close()
    assert {tag for tag, _ in tags} <= {
        "svg",
        "g",
        "path",
        "defs",
        "use",
        "clippath",
        "rect",
        "text",
        "tspan",
    }
    assert not [name for _, attrs in tags for name, _ in attrs if name.startswith("on")]
    assert label in "".join(said)
    assert dict(tags[0][1])["aria-label"] == label
