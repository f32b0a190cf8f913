"""Trees of emotion words: the wheels are trees, and what is none is told why."""

import pytest

from cuewise.data_recipes.ontology import path_to_root, tree_problems, wheel_tree
from cuewise.mllm.taxonomy import WHEELS, level1


@pytest.mark.parametrize("wheel", WHEELS)
def test_every_word_of_a_wheel_has_one_path_to_its_core(wheel):
    tree = wheel_tree(wheel)
    assert tree_problems(tree) == []
    for word in tree:
        path = path_to_root(tree, word)
        assert len(path) <= 3 and path[-1] == level1(word, wheel, "cuewise2026")


def test_cycles_second_parents_and_strangers_are_named():
    broken = {"joy": [], "glee": ["joy", "mirth"], "a": ["b"], "b": ["a"], "lost": ["nowhere"]}
    problems = tree_problems(broken)
    assert "glee: 2 paths upwards (joy, mirth)" in problems and "a: cycle through a > b > a" in problems
    assert "lost: its parent nowhere is not in the tree" in problems
    with pytest.raises(ValueError, match="`a` lies on a cycle: a > b > a"):
        path_to_root(broken, "a")
    with pytest.raises(ValueError, match="`x` is not in the tree"):
        path_to_root(broken, "x")
