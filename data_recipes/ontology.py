"""Emotion words as a tree of three tiers, and the check that such a tree is one.

Any ontology given as child -> parents can be checked: no cycles, one root per word, no unknown parent. The wheels of
`cuewise.mllm.taxonomy` are such trees (core, middle, outer word).
"""

from collections.abc import Iterable, Mapping

from cuewise.mllm.taxonomy import wheel_table


def wheel_tree(wheel: int) -> dict[str, list[str]]:
    """Child -> parents of one wheel (1-5): outer words below their middle word, middle words below their core."""
    table = wheel_table("cuewise2026")
    core, middle = (table.lookups[f"case3_wheel{wheel}_level{level}"] for level in (1, 2))
    parents: dict[str, list[str]] = {}
    for word, root in core.items():
        between = middle[word]
        # A middle word that also stands in an outer ring keeps that place alone, so it is no parent of others.
        is_middle = between != word and middle[between] == between and core[between] == root
        parents[word] = [] if word == root else [between if is_middle else root]
    return parents


def tree_problems(parents: Mapping[str, Iterable[str]]) -> list[str]:
    """What keeps a child -> parents table from being a forest, one line each; empty when it is one."""
    problems = []
    for word, above in parents.items():
        above = list(above)
        if len(above) > 1:
            problems.append(f"{word}: {len(above)} paths upwards ({', '.join(above)})")
        problems += [f"{word}: its parent {parent} is not in the tree" for parent in above if parent not in parents]
    for word in parents:
        seen = [word]
        while (above := list(parents.get(seen[-1], ()))) and len(seen) <= len(parents):
            if above[0] in seen:
                problems.append(f"{word}: cycle through {' > '.join([*seen, above[0]])}")
                break
            seen.append(above[0])
    return problems


def path_to_root(parents: Mapping[str, Iterable[str]], word: str) -> list[str]:
    """The words from `word` up to its root. Raises ValueError for an unknown word or a cycle."""
    if word not in parents:
        raise ValueError(f"`{word}` is not in the tree")
    path = [word]
    while above := list(parents.get(path[-1], ())):
        if above[0] in path:
            raise ValueError(f"`{word}` lies on a cycle: {' > '.join([*path, above[0]])}")
        path.append(above[0])
    return path
