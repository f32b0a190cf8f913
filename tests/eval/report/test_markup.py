"""Escaping: text cannot become markup, and what no page may hold is dropped."""

from cuewise.eval.report.markup import breakable, escape, join, tag


def test_text_and_attributes_are_escaped_and_markup_is_not():
    assert tag("p", "<b>", tag("i", "x"), title='"&') == '<p title="&quot;&amp;">&lt;b&gt;<i>x</i></p>'
    assert join("a<", None, tag("br")) == "a&lt;<br>"


def test_controls_surrogates_and_direction_marks_are_dropped():
    assert escape("a\x00\x1b[31m\ud83d\u202eb\u2067c\x85\n") == "a[31mbc\n"


def test_attribute_names_and_values():
    assert tag("td", class_="x", data_label="n", hidden=True, open=False, width=1.5, id=None) == (
        '<td class="x" data-label="n" hidden width="1.5"></td>'
    )


def test_names_may_be_broken_after_their_joints_only():
    assert breakable("ew_level1_<b>") == "ew_<wbr>level1_&lt;b&gt;" and breakable("_x") == "_<wbr>x"
