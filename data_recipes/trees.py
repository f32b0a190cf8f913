"""Affective trees (VidEmo): an answer as root -> emotions -> channels -> observed attributes, and their edit distance.

    tree = affective_tree(parse(text))
    tree_distance(gold, tree)            # 0 identical … 1 nothing shared
    parse_tree(render_tree(tree)) == tree

The distance is that of Zhang and Shasha (1989) over ordered trees: insert, delete and relabel cost 1 each, children
stand in alphabetical order, and the sum is divided by the number of nodes of both trees.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from cuewise.mllm.evidence.claims import read_claim
from cuewise.mllm.report import Cue, ParsedAnswer

ROOT = "clip"
UNSUPPORTING = "other"
"""Parent of cues that speak for no emotion."""

_ITEM = re.compile(r"[^()\n]+|[()]")


@dataclass(frozen=True, slots=True)
class Tree:
    """A node with its subtrees, kept in alphabetical order so that two trees of the same content are equal."""

    name: str
    children: tuple["Tree", ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "children", tuple(sorted(self.children, key=render_tree)))

    def __len__(self) -> int:
        return 1 + sum(map(len, self.children))

    def __iter__(self) -> Iterator["Tree"]:
        """All nodes, children before their parent."""
        for child in self.children:
            yield from child
        yield self


def affective_tree(answer: ParsedAnswer) -> Tree:
    """The tree of an answer: each label with the channels whose cues support it, each channel with what was seen."""
    labels = list(dict.fromkeys(answer.labels))
    branches: dict[str, dict[str, list[Tree]]] = {label: {} for label in labels}
    for cue in answer.cues:
        homes = [label for label in cue.supports if label in branches] or [*cue.supports[:1]] or [UNSUPPORTING]
        for home in homes:
            branches.setdefault(home, {}).setdefault(cue.channel, []).append(_observed(cue))
    return Tree(ROOT, tuple(
        Tree(label, tuple(Tree(channel, tuple(leaves)) for channel, leaves in channels.items()))
        for label, channels in branches.items()
    ))  # fmt: skip


def render_tree(tree: Tree) -> str:
    """One line: ``(clip (happy (face (lip corners up (clearly)))))``. Brackets in names become spaces."""
    inside = " ".join(render_tree(child) for child in tree.children)
    return f"({' '.join(tree.name.replace('(', ' ').replace(')', ' ').split())}{' ' if inside else ''}{inside})"


def parse_tree(text: str) -> Tree | None:
    """The tree of a line written by `render_tree`; None when the text is no such line."""
    stack: list[tuple[str, list[Tree]]] = []
    done: Tree | None = None
    for item in _ITEM.findall(text):
        if done is not None:
            if item.strip():
                return None
        elif item == "(":
            stack.append(("", []))
        elif not stack:
            return None
        elif item == ")":
            name, children = stack.pop()
            if not name:
                return None
            node = Tree(name, tuple(children))
            if stack:
                stack[-1][1].append(node)
            else:
                done = node
        elif item.strip():
            name, children = stack[-1]
            if name:
                return None
            stack[-1] = (item.strip(), children)
    return done


def tree_distance(a: Tree, b: Tree) -> float:
    """Edit distance over the number of nodes of both trees, in [0, 1]; symmetric, 0 for equal trees."""
    return edit_distance(a, b) / (len(a) + len(b))


def edit_distance(a: Tree, b: Tree) -> int:
    """Least number of inserted, deleted and relabelled nodes that turns `a` into `b` (Zhang and Shasha 1989)."""
    names_a, left_a, roots_a = _postorder(a)
    names_b, left_b, roots_b = _postorder(b)
    table = [[0] * len(names_b) for _ in names_a]
    for i in roots_a:
        for j in roots_b:
            _forest(i, j, names_a, names_b, left_a, left_b, table)
    return table[-1][-1]


def _forest(
    i: int, j: int, names_a: list[str], names_b: list[str], left_a: list[int], left_b: list[int],
    table: list[list[int]],
) -> None:  # fmt: skip
    """Fill `table` for the pair of key roots (i, j)."""
    first_a, first_b = left_a[i], left_b[j]
    height, width = i - first_a + 2, j - first_b + 2
    cost = [[0] * width for _ in range(height)]
    for x in range(1, height):
        cost[x][0] = x
    for y in range(1, width):
        cost[0][y] = y
    for x in range(1, height):
        for y in range(1, width):
            at_a, at_b = first_a + x - 1, first_b + y - 1
            options = (cost[x - 1][y] + 1, cost[x][y - 1] + 1)
            if left_a[at_a] == first_a and left_b[at_b] == first_b:
                cost[x][y] = min(*options, cost[x - 1][y - 1] + (names_a[at_a] != names_b[at_b]))
                table[at_a][at_b] = cost[x][y]
            else:
                before = cost[left_a[at_a] - first_a][left_b[at_b] - first_b]
                cost[x][y] = min(*options, before + table[at_a][at_b])


def _postorder(tree: Tree) -> tuple[list[str], list[int], list[int]]:
    """Names in post-order, leftmost leaf of each node, and the key roots."""
    names: list[str] = []
    left: list[int] = []

    def visit(node: Tree) -> int:
        first = None
        for child in node.children:
            leaf = visit(child)
            first = leaf if first is None else first
        names.append(node.name)
        left.append(len(names) - 1 if first is None else first)
        return left[-1]

    visit(tree)
    roots = {leaf: index for index, leaf in enumerate(left)}
    return names, left, sorted(roots.values())


def _observed(cue: Cue) -> Tree:
    claim = cue.claim or read_claim(cue.channel, cue.observation)
    if claim is None or claim.attribute == "quote":
        return Tree(cue.observation.lower())
    return Tree(f"{claim.attribute} {claim.direction}", (Tree(claim.degree),))
