"""Affective trees: edit distance against brute force and by hand, and a text form that reads back."""

import itertools

import numpy as np
import pytest

from cuewise.data_recipes.trees import Tree, affective_tree, edit_distance, parse_tree, render_tree, tree_distance
from cuewise.mllm.report import parse


def tree(text: str) -> Tree:
    found = parse_tree(text)
    assert found is not None
    return found


def grown(rng: np.random.Generator, size: int) -> Tree:
    if size <= 1:
        return Tree(str(rng.choice(list("abc"))))
    cut = int(rng.integers(1, size))
    parts = [n for n in (cut, size - 1 - cut) if n > 0]
    return Tree(str(rng.choice(list("abc"))), tuple(grown(rng, n) for n in parts))


def recursive(a: tuple[Tree, ...], b: tuple[Tree, ...]) -> int:
    """The textbook recursion over forests, without any table."""
    if not a or not b:
        return sum(map(len, a)) + sum(map(len, b))
    x, y = a[-1], b[-1]
    return min(
        recursive((*a[:-1], *x.children), b) + 1,
        recursive(a, (*b[:-1], *y.children)) + 1,
        recursive(a[:-1], b[:-1]) + recursive(x.children, y.children) + (x.name != y.name),
    )


def test_distance_is_that_of_the_plain_recursion_symmetric_and_zero_for_equal_trees():
    rng = np.random.default_rng(0)
    trees = [grown(rng, int(rng.integers(1, 7))) for _ in range(12)]
    for a, b in itertools.product(trees, trees):
        assert edit_distance(a, b) == recursive((a,), (b,)) == edit_distance(b, a)
        assert 0 <= tree_distance(a, b) <= 1 and (tree_distance(a, b) == 0) == (a == b)


def test_the_known_example_of_zhang_and_shasha():
    assert edit_distance(tree("(f (d (a) (c (b))) (e))"), tree("(f (c (d (a) (b))) (e))")) == 2


@pytest.mark.parametrize("seed", range(20))
def test_trees_are_read_back_as_they_were_written(seed):
    grown_tree = grown(np.random.default_rng(seed), 9)
    assert parse_tree(render_tree(grown_tree)) == grown_tree


@pytest.mark.parametrize("text", ["", "a", "(a", "a)", "(a) (b)", "(a (b) c)", "()"])
def test_text_that_is_no_tree_is_none(text):
    assert parse_tree(text) is None


def said(lines: list[str], *labels: str) -> Tree:
    return affective_tree(parse("\n".join(["<think>", *lines, "</think>", f"<answer>{', '.join(labels)}</answer>"])))


UP, WIDE = "[face] lip corners clearly up => happy", "[voice] pitch range clearly higher => happy"


def test_more_wrong_leaves_are_farther_and_a_wrong_emotion_is_worse_than_one_more_attribute():
    gold = said([UP, WIDE], "happy")
    wrong = [UP.replace("lip corners", "upper lip").replace("up", "raised"), WIDE.replace("higher", "lower")]
    distances = [tree_distance(gold, said(lines, "happy")) for lines in ([UP, WIDE], [UP, wrong[1]], wrong)]
    assert distances[0] == 0 < distances[1] < distances[2]
    more = tree_distance(gold, said([UP, WIDE, "[face] lips clearly parted => happy"], "happy"))
    sad = tree_distance(gold, said(["[face] lip corners clearly down => sad", WIDE], "sad"))
    assert more < sad


def test_a_wrong_attribute_under_the_right_label_scores_below_the_right_one():
    gold = said([UP], "happy")
    frown = said(["[face] brows clearly lowered => happy"], "happy")
    assert tree_distance(gold, said([UP], "happy")) < tree_distance(gold, frown)


def test_cues_without_a_label_hang_below_other():
    text = render_tree(said(["[scene] brightness lower"], "sad"))
    assert text == "(clip (other (scene (brightness lower (clearly)))) (sad))"
