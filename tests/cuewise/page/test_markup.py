from cuewise.page.markup import Markup, escape, join, tag


def test_text_is_escaped_and_markup_is_not():
    assert tag("p", "<b>&\"'", tag("i", "x")) == "<p>&lt;b&gt;&amp;&quot;&#x27;<i>x</i></p>"
    assert join("<", Markup("<br>"), None) == "&lt;<br>"


def test_attributes_are_escaped_and_named():
    assert tag("a", class_="x", data_start=0.5, href='"><script>') == (
        '<a class="x" data-start="0.5" href="&quot;&gt;&lt;script&gt;"></a>'
    )
    assert tag("input", hidden=True, title=None, open=False) == "<input hidden>"


def test_zero_is_a_value():
    assert tag("b", data_start=0.0) == '<b data-start="0"></b>'


def test_control_characters_are_dropped():
    assert escape("a\x00\x1bb\n") == "ab\n"
