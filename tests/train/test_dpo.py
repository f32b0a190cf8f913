"""Preference pairs become packed rows; losses are those of the formulas; nothing but the asked-about stream moves."""

import json
import math
from dataclasses import replace

import pytest
import torch
from grpo_samples import clips
from tiny import tiny_media, tiny_model, tiny_processor

from cuewise.data_recipes.preferences import TASK
from cuewise.data_recipes.schema import Row
from cuewise.mllm.report import Cue
from cuewise.train.dpo import DPOConfig, PreferenceConfig, Preferences, answer_sums, pair_loss, rate, run
from cuewise.train.examples import Example, SourceConfig
from cuewise.train.grpo import choose_parts
from cuewise.train.loop import LoopConfig
from cuewise.train.media_gate import MediaLostError
from cuewise.train.policy_losses import token_logprobs
from cuewise.train.preference_pairs import Pair, Prompter, make_pairs, shares
from cuewise.train.rewards.base import Entry

ANSWER = "<think>\n[voice] pitch clearly {} => {}\n</think>\n<answer>{}</answer>"


def examples():
    return [Example(Row(id=f"clip{i}", corpus="toy", labels=["happy"], transcript="we won"), clip, 1.0, "toy")
            for i, clip in enumerate(clips())]  # fmt: skip


def pairs():
    found = examples()
    rejected = {"spurious": ANSWER.format("lower", "happy", "happy"),
                "hallucinated": ANSWER.format("flat", "sad", "sad")}  # fmt: skip
    return [
        Pair("clip0", found[0], ANSWER.format("higher", "happy", "happy"), rejected, {"voice": found[1]}),
        Pair("clip2", found[2], ANSWER.format("higher", "angry", "angry"), {"hallucinated": rejected["hallucinated"]},
             {"face": found[0]}),
    ]  # fmt: skip


def config(**changes):
    values = {
        "name": "toy", "init": "none", "sources": {"toy": SourceConfig(kind="rows")}, "trains": ["llm"],
        "loop": LoopConfig(steps=2, batch_size=2, warmup_steps=1, log_every=1, save_every=2),
    }  # fmt: skip
    return DPOConfig(**(values | changes))


def batch_of(**preference):
    model = tiny_model()
    chosen = config(preference=PreferenceConfig(**preference))
    choose_parts(model, chosen.trains, {}, 0)
    source = Preferences(model, tiny_processor(), pairs(), chosen, 2)
    return model, source, source.batch(source.pairs)


def moved_away(model):
    with torch.no_grad():
        for weight in model.language_model.parameters():
            weight.add_(torch.randn_like(weight) * 0.03)


def separate(model, shown):
    """Summed log-probabilities, every answer in a row of its own."""
    found = []
    for one in shown:
        media = model.encode(tiny_processor().collate([one.clip])) if one.clip.streams else None
        for answer in one.prompt.answers:
            logits = model(input_ids=torch.tensor([one.prompt.prompt + answer]), media_tokens=media).logits[0]
            found.append(token_logprobs(logits[len(one.prompt.prompt) - 1 : -1], torch.tensor(answer)).sum())
    return torch.stack(found)


def test_packed_pairs_give_the_log_probabilities_of_separate_rows():
    model, _, batch = batch_of(method="avem")
    shown = [batch.own[0], batch.elsewhere[0], batch.own[1], batch.elsewhere[1]]
    sums, lengths, rows = answer_sums(model, tiny_processor(), shown, "loss")
    torch.testing.assert_close(sums, separate(model, shown), atol=1e-4, rtol=1e-5)
    assert len(sums) == 3 + 1 + 2 + 1 and rows > 0 and lengths[0] == len(batch.own[0].prompt.answers[0])


def test_plain_dpo_is_the_formula_over_all_rejected_answers():
    model, _, batch = batch_of(beta=0.3)
    loss, stats = pair_loss(model, tiny_processor(), batch, PreferenceConfig(beta=0.3))
    torch.testing.assert_close(loss, torch.tensor(math.log(2)), atol=1e-4, rtol=0)
    assert stats["media_rows"] > 0
    moved_away(model)
    scores = separate(model, batch.own) - torch.cat(batch.reference)
    margins = torch.stack([scores[0] - scores[1], scores[0] - scores[2], scores[3] - scores[4]])
    expected = -torch.nn.functional.logsigmoid(0.3 * margins).mean()
    loss, stats = pair_loss(model, tiny_processor(), batch, PreferenceConfig(beta=0.3))
    torch.testing.assert_close(loss, expected, atol=1e-4, rtol=1e-4)


def test_avem_is_the_published_formula():
    options = {"method": "avem", "beta": 0.2, "text_weight": 0.3, "input_weight": 0.7}
    model, source, batch = batch_of(**options)
    blind = [separate(model, [source.prompter.blind(own)]) for own in batch.own]
    moved_away(model)
    score = [separate(model, [one]) for one in (*batch.own, *batch.elsewhere)]
    reference = batch.reference
    first, second = score[0] - reference[0][:3], score[1] - reference[1][:2]
    logits = torch.stack([
        0.2 * (first[0] - 0.5 * first[1] - 0.5 * first[2])
        - 0.3 * (blind[0][0] - 0.5 * blind[0][1] - 0.5 * blind[0][2]),
        0.2 * (second[0] - second[1]) - 0.3 * (blind[1][0] - blind[1][1]),
    ])  # fmt: skip
    inputs = torch.stack([first[0] - (score[2][0] - reference[0][3]), second[0] - (score[3][0] - reference[1][2])])
    sigmoid = torch.nn.functional.logsigmoid
    expected = -sigmoid(logits).mean() - 0.7 * sigmoid(0.2 * inputs).mean()
    loss, stats = pair_loss(model, tiny_processor(), batch, PreferenceConfig(**options))
    torch.testing.assert_close(loss, expected, atol=1e-4, rtol=1e-4)
    assert 0 <= stats["input_accuracy"] <= 1


@pytest.mark.parametrize("options", [
    {"method": "dpo"}, {"method": "dpo", "kind": "ipo"}, {"method": "dpo", "sft_weight": 1.0}, {"method": "avem"},
    {"method": "avem", "sft_weight": 1.0}, {"method": "cut"},
])  # fmt: skip
def test_the_cut_of_a_step_into_micro_batches_changes_no_gradient(options):
    model, source, _ = batch_of(**options)
    moved_away(model)
    source.pairs[1].replaced = {}  # nothing to compare its input with
    source.cache.clear()
    learnt = [weight for weight in model.parameters() if weight.requires_grad]

    def gradient(*parts):
        """As the loop adds them up."""
        total = sum(part.weight for part in parts)
        losses = [pair_loss(model, tiny_processor(), part, PreferenceConfig(**options))[0] * part.weight / total
                  for part in parts]  # fmt: skip
        found = torch.autograd.grad(sum(losses), learnt, allow_unused=True)
        return torch.cat([value.flatten() for value in found if value is not None])

    whole = gradient(source.batch(source.pairs))
    cut = gradient(source.batch(source.pairs[:1]), source.batch(source.pairs[1:]))
    assert (whole - cut).norm() < 1e-5 * whole.norm()


def test_answers_of_a_pair_speak_only_of_streams_that_are_there():
    """A face that was never found has known cues, and no pixels."""
    face = Cue(channel="face", observation="lip corners clearly up (AU12)", supports=["happy"])
    voice = Cue(channel="voice", observation="pitch clearly higher", supports=["happy"])
    row = Row(id="c", corpus="toy", labels=["happy"], media={"video": "x.mp4"}, cues=[face, voice])
    clip = tiny_media(0, streams=("voice",))
    made = make_pairs([Example(row, tiny_processor().tensors(clip), 1.0, "toy")], ["flipped"])
    assert len(made) == 1 and "pitch clearly higher" in made[0].chosen
    assert "[face]" not in made[0].chosen + "".join(made[0].rejected.values())


def test_clips_that_share_an_id_keep_their_own_media():
    low, high = ("pitch clearly lower", "pitch clearly higher")
    heard = [tiny_processor().tensors(tiny_media(i, streams=("voice",))) for i in range(3)]
    made = [Example(Row(id="c", corpus="toy", labels=["happy"], media={"audio": "x.wav"},
                        cues=[Cue(channel="voice", observation=text, supports=["happy"])]), clip, 1.0, source)
            for (text, source), clip in zip(((low, "a"), (high, "b"), (high, "b")), heard)]  # fmt: skip
    found = {pair.id: pair for pair in make_pairs(made, ["flipped"])}
    assert [*found] == ["a/c", "b/c", "b/c#2"]
    for (name, pair), example, text in zip(found.items(), made, (low, high, high)):
        assert pair.example.tensors is example.tensors and text in pair.chosen, name


def test_preference_rows_of_two_files_name_rows_of_their_own():
    listed = [Example(Row(id=f"{clip}:flipped:voice", corpus="toy", task=TASK, chosen="y", rejected="n",
                          rejected_kind="flipped", rejected_inputs={"voice": "d" if clip == "c" else "c"}),
                      tensors, 1.0, source)
              for source, tensors in zip("ab", clips()) for clip in "cd"]  # fmt: skip
    made = make_pairs(listed, [])
    assert [pair.replaced["voice"].source for pair in made] == [*"aabb"] and not any(pair.lost for pair in made)


def test_only_the_asked_about_stream_is_replaced():
    prompter, pair = Prompter(tiny_processor()), pairs()[0]
    own, other = prompter.own(pair, list(pair.rejected)), prompter.elsewhere(pair)
    for name, stream in own.clip.streams.items():
        same = stream is other.clip.streams[name] or torch.equal(stream.values, other.clip.streams[name].values)
        assert same == (name != "voice")
    assert torch.equal(other.clip.streams["voice"].values, pair.replaced["voice"].tensors.streams["voice"].values)
    assert other.prompt.answers == own.prompt.answers[:1]
    noisy = prompter.elsewhere(pair, torch.Generator().manual_seed(0)).clip.streams
    assert noisy["voice"].values.shape == own.clip.streams["voice"].values.shape
    assert noisy["face"] is own.clip.streams["face"]
    assert prompter.elsewhere(replace(pair, replaced={})) is None


def test_replaced_words_also_replace_the_transcript_of_the_prompt():
    prompter, pair = Prompter(tiny_processor()), pairs()[0]
    other = replace(examples()[2], row=Row(id="x", corpus="toy", transcript="pitch lower"))
    decode = tiny_processor().tokenizer.decode
    shown = prompter.elsewhere(replace(pair, replaced={"words": other}))
    assert "pitch lower" in decode(shown.prompt.prompt) and "we won" not in decode(shown.prompt.prompt)
    assert "we won" in decode(prompter.own(pair, []).prompt.prompt)


def test_the_text_prior_sees_no_media():
    prompter, pair = Prompter(tiny_processor()), pairs()[0]
    own = prompter.own(pair, list(pair.rejected))
    blind, tokens = prompter.blind(own), tiny_processor().plan.tokens
    media = {*tokens.placeholders.values(), *tokens.begins.values(), tokens.media_end}
    assert not media & set(blind.prompt.prompt) and media & set(own.prompt.prompt)
    assert [t for t in own.prompt.prompt if t not in media] == blind.prompt.prompt


def test_cached_reference_equals_the_recomputed_one_while_the_model_learns():
    model, source, batch = batch_of(method="avem")
    moved_away(model)
    values = {name: weight.clone() for name, weight in model.named_parameters()}
    for pair, cached in zip(batch.pairs, batch.reference):
        torch.testing.assert_close(source.asked_once(*source.shown(pair))[0], cached, atol=1e-4, rtol=1e-5)
    assert all(torch.equal(values[name], weight) for name, weight in model.named_parameters())


def test_dynamic_beta_follows_the_rated_margin():
    rated = pairs()
    rate(rated, {"exact": Entry()}, 5.0)
    assert rated[0].margin == pytest.approx(2.5), "one of two rejected answers is wrong about the emotion"
    assert rated[1].margin == pytest.approx(0.0), "neither answer names the row's emotion"
    _, source, batch = batch_of()
    batch.pairs[0].margin, batch.pairs[1].margin = 2.0, 0.0
    _, stats = pair_loss(source.model, tiny_processor(), batch, PreferenceConfig(dynamic=0.5))
    assert float(stats["beta"]) == pytest.approx((0.1316 + 0.1) / 2, abs=1e-4)
    with pytest.raises(ValueError, match=r"preference\.dynamic needs `rewards`"):
        config(preference=PreferenceConfig(dynamic=0.5))


def test_media_that_is_lost_in_the_reference_or_loss_pass_is_an_error():
    model, source, batch = batch_of()
    plain = model.encode
    model.encode = lambda streams: plain({k: v for k, v in streams.items() if not k.startswith("voice")})
    with pytest.raises(MediaLostError, match=r"loss: voice has 0 rows from the encoder .*samples clip0"):
        pair_loss(model, tiny_processor(), batch, PreferenceConfig())
    with pytest.raises(MediaLostError, match=r"reference: voice has 0 rows from the encoder .*samples clip0"):
        source.asked_once(*source.shown(batch.pairs[0]))


def test_shares_sum_to_one_over_the_kinds_that_a_pair_has():
    table = shares(pairs(), ["spurious", "hallucinated"], {"spurious": 3.0, "hallucinated": 1.0})
    assert table.tolist() == [[0.75, 0.0], [0.25, 1.0]]


def test_pairs_are_made_from_rows_with_cues_and_from_rows_that_bring_them():
    given = examples()[0]
    given.row = given.row.model_copy(update={"chosen": "a", "rejected": "b", "rejected_kind": "mine",
                                             "rejected_inputs": {"voice": "clip1"}})  # fmt: skip
    made = make_pairs([given, *examples()[1:]], ["flipped"])
    assert [(pair.id, pair.chosen, pair.rejected) for pair in made] == [("clip0", "a", {"mine": "b"})]
    assert made[0].replaced["voice"].row.id == "clip1"


def preference_rows() -> list[Example]:
    """Rows as a file of preferences has them: none under its own id."""
    made = []
    for number, (other, stream) in enumerate([("clip1", "voice"), ("clip2", "words"), ("clip0", "voice")]):
        one = examples()[number]
        one.row = one.row.model_copy(update={
            "id": f"clip{number}:flipped:{stream}", "task": TASK, "chosen": "a", "rejected": "b",
            "rejected_kind": "flipped", "rejected_inputs": {stream: other}})  # fmt: skip
        made.append(one)
    return made


def test_the_rejected_inputs_of_a_file_of_preferences_are_found_by_the_rows_they_were_made_of():
    made = make_pairs(preference_rows(), ["flipped"])
    assert [pair.replaced["voice" if i != 1 else "words"].row.id for i, pair in enumerate(made)] == [
        "clip1:flipped:words", "clip2:flipped:voice", "clip0:flipped:voice"]  # fmt: skip
    alone, chosen = make_pairs(preference_rows()[:1], ["flipped"]), config(preference=PreferenceConfig(method="avem"))
    with pytest.raises(ValueError, match=r"of 1 of 1 pairs name rows .*'clip0:flipped:voice' names 'clip1'; add the"):
        Preferences(tiny_model(), tiny_processor(), alone, chosen, 1)
    Preferences(tiny_model(), tiny_processor(), alone, config(), 1)  # `dpo` compares no inputs


def test_margins_begin_at_zero_in_bfloat16():
    model, chosen = tiny_model(), config()
    choose_parts(model, chosen.trains, {}, 0)
    source = Preferences(model, tiny_processor(), pairs(), chosen, 2, Bfloat16())
    batch = source.batch(source.pairs)
    with Bfloat16().autocast():
        sums, _, _ = answer_sums(model, tiny_processor(), batch.own, "loss")
    plain = Preferences(model, tiny_processor(), pairs(), chosen, 2).batch(source.pairs)
    offset = (sums - torch.cat(batch.reference)).abs().max()
    assert offset < 0.25 * (sums - torch.cat(plain.reference)).abs().max()


class Bfloat16:
    """Stands for `Parallel` with hardware.precision=bf16."""

    def autocast(self):
        return torch.autocast("cpu", dtype=torch.bfloat16)


@pytest.mark.parametrize("method", ["dpo", "avem"])
def test_the_margin_grows(tmp_path, method, monkeypatch):
    torch.manual_seed(0)
    model = tiny_model()
    loop = LoopConfig(steps=12, batch_size=2, lr=2e-3, warmup_steps=1, log_every=1, save_every=12)
    chosen = config(loop=loop, preference=PreferenceConfig(method=method, sft_weight=0.1))
    choose_parts(model, chosen.trains, {}, 0)
    monkeypatch.setattr("cuewise.train.dpo.make_pairs", lambda *_, **__: pairs())
    run(model, tiny_processor(), examples(), chosen, tmp_path)
    log = [json.loads(line) for line in (tmp_path / "checkpoints" / "log.jsonl").read_text().splitlines()]
    assert abs(log[0]["dpo/margin"]) < 1e-3 and log[-1]["dpo/margin"] > 1.0
    assert log[-1]["dpo/accuracy"] == 1 and log[-1]["dpo/media_rows"] > 0


@pytest.mark.slow  # makes synthetic clips and loads the shipped model
def test_the_shipped_model_trains_from_a_recipe(tmp_path):
    from cuewise.train.run import main

    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"""
kind: dpo
name: preferred
init: nano
out: {tmp_path}
cache: {tmp_path}/cache
workers: 1
sources: {{synthetic: {{kind: synthetic, count: 6, seed: 5}}}}
adapters: {{llm: {{r: 4, dropout: 0}}}}
preference: {{method: avem, dynamic: 0.5}}
rewards: {{cue_grounding: {{}}, exact: {{}}}}
loop: {{steps: 2, batch_size: 2, lr: 0.001, warmup_steps: 1, log_every: 1, save_every: 1}}
""")
    folder = main(str(recipe), [])
    log = (tmp_path / "preferred" / "checkpoints" / "log.jsonl").read_text().splitlines()
    line = json.loads(log[-1])
    assert line["dpo/media_rows"] > 10 and "dpo/input_loss" in line
    assert (folder / "model.safetensors").exists()
