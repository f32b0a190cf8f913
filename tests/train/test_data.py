"""Batches: everything random follows the generator, labels stand where they should, streams are dropped with care."""

import pytest
import torch
from tiny import tiny_media, tiny_model, tiny_processor

from cuewise.data_recipes.corpora import COMMON_LABELS
from cuewise.data_recipes.schema import Row
from cuewise.mllm.report import Cue, parse
from cuewise.mllm.tensors import ClipTensors
from cuewise.train.augment import AugmentConfig, augment
from cuewise.train.data import Mixture, MixtureConfig, drop_streams, head_targets
from cuewise.train.examples import Example
from cuewise.train.losses import IGNORE, soft_cross_entropy
from cuewise.train.stages import answers_loss, heads_loss


def example(seed: int, **row) -> Example:
    media = tiny_media(seed, seconds=1.6)
    cue = Cue(channel="voice", start=0.2, end=1.1, observation="pitch clearly higher", supports=["happy"])
    values = {"id": f"e{seed}", "corpus": "t", "labels": ["happy"], "transcript": "we won", "cues": [cue],
              "reasoning": "The voice is bright.",
              "votes": {"voice": {"happy": 3, "sad": 1}, "all": {"happy": 1}}}  # fmt: skip
    return Example(Row(**(values | row)), tiny_processor().tensors(media), 1.6, "t")


def mixture(**options) -> Mixture:
    sources = {"a": [example(i) for i in range(4)], "b": [example(9, labels=["sad"], votes={}, cues=[])]}
    return Mixture(sources, MixtureConfig(**({"weights": {"a": 3.0, "b": 1.0}} | options)), tiny_processor())


def test_the_same_generator_state_gives_the_same_batch():
    batches = [mixture().answer_batch(6, torch.Generator().manual_seed(4)) for _ in range(2)]
    assert batches[0].ids == batches[1].ids
    assert torch.equal(batches[0].input_ids, batches[1].input_ids)
    assert all(torch.equal(batches[0].streams[key], batches[1].streams[key]) for key in batches[0].streams)
    other = mixture().answer_batch(6, torch.Generator().manual_seed(5))
    assert other.ids != batches[0].ids or other.input_ids.shape != batches[0].input_ids.shape


def test_sources_are_drawn_by_weight():
    drawn = mixture().draw(4000, torch.Generator().manual_seed(0))
    share = sum(example.row.id == "e9" for example in drawn) / 4000
    assert share == pytest.approx(0.25, abs=0.03)


def test_labels_cover_exactly_the_answer_and_it_parses_back():
    batch = mixture(weights={"a": 1.0}, explained_share=1.0, stream_dropout=0.0).answer_batch(
        2, torch.Generator().manual_seed(1)
    )
    processor = tiny_processor()
    learnt = batch.labels[0][batch.labels[0] != IGNORE].tolist()
    assert learnt[-1] == processor.plan.tokens.end
    answer = parse(processor.tokenizer.decode(learnt[:-1]), 1.6)
    assert answer.format_ok and answer.labels == ["happy"] and answer.cues[0].observation == "pitch clearly higher"
    conclusion = batch.label_weights[0][batch.labels[0] != IGNORE]
    assert conclusion[0] == 1.0 and conclusion[-1] == 2.0
    assert (batch.label_weights[batch.labels == IGNORE] == 0).all()


def test_the_only_labelled_stream_is_never_dropped():
    tensors = example(0).tensors
    generator = torch.Generator().manual_seed(0)
    kept = [drop_streams(tensors, 1.0, generator, always="voice").streams for _ in range(60)]
    assert all("voice" in streams for streams in kept)
    assert len({tuple(streams) for streams in kept}) > 3
    assert any("voice" not in drop_streams(tensors, 1.0, generator).streams for _ in range(60))
    assert all(drop_streams(tensors, 1.0, generator).streams for _ in range(60))


def test_targets_are_vote_shares_and_missing_votes_are_missing():
    targets = head_targets([example(0), example(1, votes={}, labels=["sad"], media={"audio": "x.wav"})])
    happy, sad = COMMON_LABELS.index("happy"), COMMON_LABELS.index("sad")
    assert targets.shares["voice"][0, happy] == 0.75 and targets.shares["voice"][0, sad] == 0.25
    assert targets.known["voice"].tolist() == [True, True] and targets.shares["voice"][1, sad] == 1.0
    assert not targets.known["face"].any() and targets.known["all"].all()


def test_augmentation_changes_values_and_keeps_streams_and_the_original():
    tensors = example(0).tensors
    before = {name: stream.values.clone() for name, stream in tensors.streams.items()}
    varied = augment(tensors, AugmentConfig(), torch.Generator().manual_seed(0))
    assert varied.streams.keys() == tensors.streams.keys()
    for name in ("voice", "face", "scene"):
        assert torch.equal(tensors.streams[name].values, before[name])
        values = varied.streams[name].values
        assert values.dtype == before[name].dtype
        assert values.shape != before[name].shape or not torch.equal(values, before[name])
    assert torch.equal(varied.streams["words"].values, before["words"])


def test_the_answer_loss_reaches_every_trained_part_and_counts_the_media_rows():
    model = tiny_model()
    batch = mixture(stream_dropout=0.0, weights={"a": 1.0}).answer_batch(2, torch.Generator().manual_seed(2))
    loss, stats = answers_loss(model, batch, head_weight=0.5)
    loss.backward()
    assert stats["media_rows"] > 0
    for part in ("voice.projector", "face.projector", "voice.head", "llm", "fusion"):
        gradients = [weight.grad for weight in model.scopes()[part].parameters() if weight.grad is not None]
        assert gradients and any(grad.abs().sum() > 0 for grad in gradients), part


def test_media_that_does_not_reach_the_model_is_an_error():
    batch = mixture(weights={"a": 1.0}).answer_batch(2, torch.Generator().manual_seed(2))
    batch.streams = {key: value for key, value in batch.streams.items() if not key.startswith("voice")}
    with pytest.raises(ValueError, match=r"voice: .* placeholder tokens in the prompt but 0 rows"):
        answers_loss(tiny_model(), batch, head_weight=0.0)


def test_heads_learn_from_a_batch():
    model = tiny_model().train()
    batch = mixture(augment=AugmentConfig(voice=False, pictures=False)).heads_batch(8, torch.Generator().manual_seed(3))
    optimizer = torch.optim.Adam(model.media.parameters(), lr=0.01)
    losses = []
    for _ in range(25):
        loss, _ = heads_loss(model, batch)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize(
    "options", [{"weights": {}}, {"weights": {"a": -1.0}}, {"weights": {"a": 1.0}, "stream_dropout": 2}]
)
def test_impossible_mixtures_are_refused(options):
    with pytest.raises(ValueError, match="mixture"):
        MixtureConfig(**options)


def test_a_mixture_of_an_unknown_source_names_the_known_ones():
    with pytest.raises(ValueError, match="`c`, but the sources are a, b"):
        mixture(weights={"c": 1.0})


def test_a_clip_without_streams_stays_as_it_is():
    assert augment(ClipTensors({}), AugmentConfig(), torch.Generator()).streams == {}


def test_even_labels_learn_a_reading_that_favours_no_frequent_label():
    rows = [example(i, votes={"voice": {"happy" if i % 4 else "sad": 1}}) for i in range(8)]
    mixture = Mixture({"a": rows}, MixtureConfig(weights={"a": 1.0}, even_labels=True), tiny_processor())
    prior = mixture.heads_batch(4, torch.Generator().manual_seed(0)).targets.prior["voice"]
    happy, sad = COMMON_LABELS.index("happy"), COMMON_LABELS.index("sad")
    torch.testing.assert_close(prior[[happy, sad]].exp(), torch.tensor([0.75, 0.25]))
    logits = torch.zeros(8, requires_grad=True)  # a reading that knows nothing of the clip
    shares = torch.stack([row.shares("voice") for row in rows])
    loss, _ = soft_cross_entropy(logits.expand(8, 8) + prior, shares, torch.ones(8, dtype=torch.bool))
    loss.backward()
    assert logits.grad[[happy, sad]].abs().max() < 1e-2  # 0.25 without it
    plain = Mixture({"a": rows}, MixtureConfig(weights={"a": 1.0}), tiny_processor())
    assert plain.heads_batch(4, torch.Generator().manual_seed(0)).targets.prior == {}


def test_a_part_of_the_streams_is_not_taught_the_label_of_the_whole_clip():
    votes = {"face": {"happy": 1.0}, "voice": {"sad": 1.0}, "words": {"sad": 1.0}, "all": {"happy": 1.0}}
    given = Mixture({"a": [example(0, votes=votes)]}, MixtureConfig(weights={"a": 1.0}, stream_dropout=0.5),
                    tiny_processor())  # fmt: skip
    batch = given.answer_batch(12, torch.Generator().manual_seed(0))
    shown = torch.stack([batch.streams[f"{name}_mask"].any(1) for name in ("face", "voice", "scene", "words")])
    assert torch.equal(batch.targets.known["all"], shown.all(0)) and 0 < shown.all(0).sum() < 12
    assert torch.equal(batch.targets.va_known, shown.all(0))
    assert batch.targets.known["voice"].all(), "what a stream was labelled with stays"


def test_a_context_alone_is_never_what_is_left_of_a_clip():
    processor = tiny_processor()
    whole = processor.tensors(tiny_media(0, streams=("voice", "words")))
    told = ClipTensors(whole.streams | {"context": whole.streams["words"]})
    generator = torch.Generator().manual_seed(0)
    kept = [{*drop_streams(told, 1.0, generator).streams} for _ in range(80)]
    assert {"context"} not in kept and any("context" in streams for streams in kept)


def test_votes_of_a_clip_with_one_medium_are_those_of_its_channel():
    row = Row(id="v", corpus="t", labels=["happy"], media={"audio": "x.wav"}, votes={"all": {"happy": 3, "sad": 2}})
    heard = Example(row, ClipTensors(), 1.0, "a")
    assert heard.shares("voice").tolist() == heard.shares("all").tolist()
    assert heard.shares("voice").max() == pytest.approx(0.6) and heard.shares("face") is None


def test_streams_that_the_model_does_not_have_are_named():
    with pytest.raises(ValueError, match=r"mixture\.streams names `voise`.*did you mean `voice`"):
        Mixture({"a": []}, MixtureConfig(weights={"a": 1.0}, streams=["voise"]), tiny_processor())
