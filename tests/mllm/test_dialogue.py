"""Dialogues: masks by speaker, and a chain with skips whose sums are those over all label sequences."""

import itertools

import pytest
import tiny
import torch

from cuewise.mllm.dialogue import (
    DialogueConfig,
    DialogueHead,
    DialogueUnit,
    SkipChainCRF,
    SpeakerAttention,
    longest_stretch,
    read_dialogue,
    speaker_mask,
)

LABELS = 3


def chain(labels: int = LABELS) -> SkipChainCRF:
    torch.manual_seed(0)
    crf = SkipChainCRF(labels)
    for weight in crf.parameters():
        torch.nn.init.normal_(weight)
    return crf


@pytest.mark.parametrize("speakers", ["aaaa", "abab", "aabb", "abca", "abba", "abcd", "abac"])
def test_sums_and_best_sequence_are_those_of_all_sequences(speakers):
    crf, emission = chain(), torch.randn(4, LABELS)
    sequences = list(itertools.product(range(LABELS), repeat=4))
    scores = torch.stack([crf.score(emission, speakers, labels) for labels in sequences])
    torch.testing.assert_close(crf.log_partition(emission, speakers), scores.logsumexp(0))
    assert tuple(crf.best(emission, speakers)) == sequences[int(scores.argmax())]
    known = torch.stack([score for labels, score in zip(sequences, scores) if labels[1] == 2 and labels[3] == 0])
    loss = crf.loss(emission, speakers, [None, 2, None, 0])
    torch.testing.assert_close(loss, scores.logsumexp(0) - known.logsumexp(0))
    every = crf.loss(emission, speakers, [0, 1, 2, 0])
    torch.testing.assert_close(every, scores.logsumexp(0) - crf.score(emission, speakers, [0, 1, 2, 0]))


def test_the_skip_link_reaches_over_the_other_speaker():
    crf = SkipChainCRF(2)
    with torch.no_grad():
        crf.skip.copy_(torch.tensor([[9.0, 0.0], [0.0, 9.0]]))
    emission = torch.tensor([[5.0, 0.0], [0.0, 0.1], [0.0, 0.1]])
    assert crf.best(emission, "aba") == [0, 1, 0] and crf.best(emission, "abc") == [0, 1, 1]


def test_people_who_left_are_forgotten_and_too_many_at_once_are_refused():
    crf = chain(7)
    assert torch.isfinite(crf.log_partition(torch.randn(30, 7), [f"p{i // 2}" for i in range(30)]))
    crowd = [*map(str, range(9)), *map(str, range(9))]
    with pytest.raises(ValueError, match="combinations of last labels; cut the dialogue"):
        crf.log_partition(torch.randn(18, 7), crowd)


@pytest.mark.parametrize("speakers", ["abcdefghi" * 2, "abababab" * 3, "aabcbdcedfegfhgih", "abcdefghijklmnop", "a"])
def test_the_longest_stretch_is_the_longest_that_the_sums_can_hold(speakers):
    crf, most = chain(7), longest_stretch(speakers, 7)
    assert torch.isfinite(crf.log_partition(torch.randn(most, 7), speakers[:most]))
    if most < len(speakers):
        with pytest.raises(ValueError, match="cut the dialogue"):
            crf.log_partition(torch.randn(most + 1, 7), speakers[: most + 1])


@pytest.mark.parametrize("past_only", [False, True])
def test_a_turn_sees_only_the_planned_speakers(past_only):
    torch.manual_seed(0)
    module, turns, speakers = SpeakerAttention(8, 2).eval(), torch.randn(5, 8), "abaca"
    own, others = speaker_mask(speakers, True, past_only), speaker_mask(speakers, False, past_only)
    assert not (own & others).any() and own.diagonal().all()
    assert (own | others).all() != past_only
    x = module.norm(turns)[None]
    for part, mask in ((module.own, own), (module.others, others)):
        base = module._read(part, x, mask)
        for j in range(5):
            moved = x.clone()
            moved[0, j] += 3.0
            changed = (module._read(part, moved, mask) - base).abs().sum(1) > 1e-6
            assert not (changed & ~mask[:, j])[[i for i in range(5) if i != j]].any()
    lonely = module._read(module.others, x[:, :1], torch.zeros(1, 1, dtype=torch.bool))
    assert not lonely.any()


def test_the_unit_remembers_the_last_turn_and_the_own_last_turn():
    torch.manual_seed(0)
    unit, turns = DialogueUnit(6), torch.randn(4, 6)
    base = unit(turns, "abba")
    torch.testing.assert_close(unit(turns[:2], "ab"), base[:2])
    assert not torch.allclose(unit(turns, "abbb")[3], base[3])


def test_a_head_learns_labels_that_only_the_dialogue_tells():
    """Every turn of a speaker has the label of their first; the other turns say nothing about it."""
    torch.manual_seed(0)
    head = DialogueHead(4, 2, DialogueConfig(hidden=16, heads=2))
    optimizer = torch.optim.Adam(head.parameters(), 1e-2)

    def dialogue() -> tuple[torch.Tensor, list[int]]:
        a, b = torch.randint(2, (2,)).tolist()
        turns = torch.randn(6, 4) * 0.1
        turns[0, 0], turns[1, 0] = 2.0 * a - 1, 2.0 * b - 1
        return turns, [a, b, a, b, a, b]

    for _ in range(60):
        loss = sum(head.loss(turns, "ababab", labels) for turns, labels in (dialogue() for _ in range(4)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = [(head(turns, "ababab"), labels) for turns, labels in (dialogue() for _ in range(20))]
    assert sum(said == labels for said, labels in found) >= 18


def test_a_config_gives_the_model_the_head_and_a_saved_one_answers_the_same(tmp_path):
    model = tiny.tiny_model(heads={"dialogue": {"hidden": 8, "heads": 2}})
    processor = tiny.tiny_processor(model.config)
    batch = processor.collate([processor.tensors(tiny.tiny_media(i)) for i in range(4)])
    with torch.no_grad():
        said = read_dialogue(model, batch, "abab")
        model.save_pretrained(tmp_path)
        again = type(model).from_pretrained(tmp_path).eval()
        assert read_dialogue(again, batch, "abab") == said and set(said) <= set(model.config.labels)
        with pytest.raises(ValueError, match="a speaker for every turn, got 4 and 2"):
            read_dialogue(model, batch, "ab")
        with pytest.raises(ValueError, match="this model has no dialogue head"):
            read_dialogue(tiny.tiny_model(), batch, "abab")
    with pytest.raises(ValueError, match="multiple of its heads"):
        tiny.tiny_config(heads={"dialogue": {"hidden": 7}})
