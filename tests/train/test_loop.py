"""The loop: loud stops, micro-batches, schedules, early stop, averages, what is logged."""

import json

import pytest
import torch
from tiny import tiny_model
from torch import nn
from toy_loop import Points, StopError, config, model, points, squared

from cuewise.train.loop import TrainingError, learning_rate, parameter_groups, run_stage, step_seed
from cuewise.train.parallel import HardwareConfig, Parallel
from cuewise.train.tracking import read_tables


def test_training_lowers_the_loss_and_logs_it(tmp_path):
    run_stage("s", model(), points, squared, config(steps=120), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 120
    assert lines[-1]["s/loss"] < 0.3 * lines[0]["s/loss"]


def test_a_loss_that_is_not_finite_stops_and_names_step_and_samples(tmp_path):
    def broken(net: nn.Module, batch: Points) -> tuple[torch.Tensor, dict]:
        return net(batch.x).mean() * float("nan"), {}

    with pytest.raises(TrainingError, match=r"stage 's', step 0: loss is nan; samples p0, p1"):
        run_stage("s", model(), points, broken, config(), tmp_path)


def test_a_stage_without_anything_to_train_is_refused(tmp_path):
    frozen = model().requires_grad_(False)
    with pytest.raises(TrainingError, match="trains nothing"):
        run_stage("s", frozen, points, squared, config(), tmp_path)


def test_learning_rate_warms_up_and_falls():
    rates = [learning_rate(step, config(steps=10, warmup_steps=3)) for step in range(10)]
    assert rates[:3] == pytest.approx([0.05 / 3, 0.1 / 3, 0.05])
    assert rates[3:] == sorted(rates[3:], reverse=True) and rates[-1] < 0.01


def test_steps_draw_different_numbers_and_stages_too():
    seeds = {step_seed(run, stage, step) for run in (0, 1) for stage in ("a", "b") for step in range(50)}
    assert len(seeds) == 200


def test_schedules_end_where_they_should():
    ends = {name: learning_rate(9, config(steps=10, schedule=name, final_lr=0.1)) for name in ("linear", "constant")}
    assert ends["constant"] == 0.05 and 0.05 * 0.1 < ends["linear"] < 0.05 * 0.3
    assert learning_rate(10, config(steps=10, schedule="linear", final_lr=0.1)) == pytest.approx(0.005)


def test_unequal_micro_batches_give_the_gradient_of_the_whole_batch(tmp_path):
    x = torch.randn(12, 4)
    plain = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    state = {name: value.clone() for name, value in plain.state_dict().items()}
    cuts = [(0, 2), (2, 7), (7, 12)]

    def part(step: int, generator: torch.Generator) -> Points:
        index = next(i for i in range(3) if step_seed(0, "s", step, i) == generator.initial_seed())
        begin, end = cuts[index]
        return Points([str(i) for i in range(begin, end)], x[begin:end], x[begin:end].sum(1, keepdim=True))

    options = {"steps": 3, "batch_size": 12, "grad_clip": 1e9}
    run_stage("s", plain, part, squared, config(micro_batches=3, **options), tmp_path / "parts")
    together = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    together.load_state_dict(state)
    all_of_it = Points([str(i) for i in range(12)], x, x.sum(1, keepdim=True))
    run_stage("s", together, lambda *_: all_of_it, squared, config(**options), tmp_path / "whole")
    for name, weight in together.state_dict().items():  # rounding of sums in another order, scaled up by Adam
        torch.testing.assert_close(plain.state_dict()[name], weight, atol=1e-5, rtol=1e-5)


def test_a_batch_that_cannot_be_cut_evenly_names_the_nearest_size():
    with pytest.raises(ValueError, match="batch_size 10 cannot be cut into 4 equal micro-batches; set it to 8"):
        config(batch_size=10, micro_batches=4)
    assert config(batch_size=12, micro_batches=3).micro_size(2) == 3  # two processes make four parts of it


def test_the_stage_ends_early_with_the_best_weights_and_stays_ended(tmp_path):
    worsens = iter([3.0, 1.0, 2.0, 2.5, 9.0, 9.0])
    seen = []

    def validate(net: nn.Module) -> dict[str, float]:
        assert not net.training
        seen.append({name: value.clone() for name, value in net.state_dict().items()})
        return {"valid/loss": next(worsens)}

    trained = model()
    options = config(steps=50, evaluate_every=2, patience=2)
    run_stage("s", trained, points, squared, options, tmp_path, validate=validate)
    assert len(seen) == 4 and all(torch.equal(trained.state_dict()[name], seen[1][name]) for name in seen[1])
    again = model()
    run_stage("s", again, lambda *_: pytest.fail("trained"), squared, options, tmp_path, validate=validate)
    assert all(torch.equal(again.state_dict()[name], seen[1][name]) for name in seen[1])


def test_a_validation_that_is_nan_is_never_the_best(tmp_path, caplog):
    values, seen = iter([float("nan"), 0.5, 0.3, float("nan")]), []

    def validate(net: nn.Module) -> dict[str, float]:
        seen.append(net.state_dict()["0.weight"].clone())
        return {"valid/loss": next(values)}

    trained = model()
    run_stage("s", trained, points, squared, config(steps=8, evaluate_every=2), tmp_path, validate=validate)
    assert torch.equal(trained.state_dict()["0.weight"], seen[2])
    assert sum("is nan, which is never the best" in message for message in caplog.messages) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [({"grad_clip": 0}, "grad_clip must be > 0"), ({"grad_clip": -1.0}, "grad_clip must be > 0"),
     ({"final_lr": -3.0}, r"final_lr is a share of lr in \[0, 1\]"), ({"warmup_steps": -5}, "warmup_steps must be"),
     ({"weight_decay": -5.0}, "weight_decay must be >= 0"), ({"betas": (2, 3)}, r"betas are two decays in \[0, 1\)")],
)  # fmt: skip
def test_numbers_of_the_wrong_sign_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        config(**options)


def test_a_metric_that_is_not_measured_names_the_nearest(tmp_path):
    options = config(evaluate_every=1, metric="valid/los")
    with pytest.raises(ValueError, match="no validation number is named `valid/los`; did you mean `valid/loss`"):
        run_stage("s", model(), points, squared, options, tmp_path, validate=lambda _: {"valid/loss": 1.0})


def test_media_that_never_arrives_and_gradients_that_are_not_finite_stop_with_the_samples(tmp_path):
    def blind(net: nn.Module, batch: Points) -> tuple[torch.Tensor, dict]:
        return squared(net, batch)[0], {"media_rows": 0.0}

    def steep(net: nn.Module, batch: Points) -> tuple[torch.Tensor, dict]:
        return (net(batch.x) * 0.0).abs().sqrt().sum(), {}  # the slope of a root at 0

    with pytest.raises(TrainingError, match=r"step 0: no media reached the model; samples p0, p1"):
        run_stage("s", model(), points, blind, config(), tmp_path)
    with pytest.raises(TrainingError, match=r"step 0: gradient norm is nan; samples p0, p1"):
        run_stage("s", model(), points, steep, config(), tmp_path)


def test_the_log_has_no_line_twice_after_a_resume(tmp_path):
    options = config(log_every=1, save_every=3)

    def dies(step: int, generator: torch.Generator) -> Points:
        if step == 5:
            raise StopError
        return points(step, generator)

    with pytest.raises(StopError):
        run_stage("s", model(), dies, squared, options, tmp_path)
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"stage": "s", "st')
    run_stage("s", model(), points, squared, options, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 9))


def test_samples_and_numbers_reach_tables_and_trackers(tmp_path):
    class Told(Points):
        def table(self) -> list[dict]:
            return [{"id": key, "sum": float(y)} for key, y in zip(self.ids, self.y)]

    def told(step: int, generator: torch.Generator) -> Points:
        batch = points(step, generator)
        return Told(batch.ids, batch.x, batch.y)

    parallel = Parallel(HardwareConfig(device="cpu", trackers=["tensorboard"]), str(tmp_path))
    parallel.accelerator.init_trackers("t")
    run_stage("s", model(), told, squared, config(sample_every=4, log_every=2), tmp_path, parallel=parallel)
    parallel.accelerator.end_training()
    rows = read_tables(tmp_path / "samples", "s")
    assert {row["step"] for row in rows} == {4, 8} and rows[0]["id"] == "p0" and len(rows) == 16
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(next(tmp_path.rglob("events.out*")).parent))
    events.Reload()
    assert [event.step for event in events.Scalars("s/loss")] == [2, 4, 6, 8]


def test_learning_rates_follow_scopes_and_the_narrowest_wins():
    net = tiny_model()
    groups = parameter_groups(net, config(lr_scale={"voice": 0.5, "voice.encoder": 0.0, "llm": 0.1}))
    scale_of = {id(weight): group["scale"] for group in groups for weight in group["params"]}
    assert {scale_of[id(w)] for w in net.scopes()["voice.encoder"].parameters()} == {0.0}
    assert {scale_of[id(w)] for w in net.scopes()["voice.head"].parameters()} == {0.5}
    assert {scale_of[id(w)] for w in net.scopes()["llm"].parameters()} == {0.1}
    assert {scale_of[id(w)] for w in net.scopes()["face"].parameters()} == {1.0}
    with pytest.raises(ValueError, match=r"`voice\.encodr`, which no .* did you mean `voice\.encoder`"):
        parameter_groups(net, config(lr_scale={"voice.encodr": 1.0}))


def test_recomputing_activations_changes_no_weight(tmp_path):
    ids, found = torch.randint(20, 300, (2, 9)), []

    def language_loss(net: nn.Module, batch: Points) -> tuple[torch.Tensor, dict]:
        return net(input_ids=ids, labels=ids, use_cache=False).loss, {}

    for wanted in (False, True):
        net = tiny_model().train()
        options = config(steps=2, lr=1e-3, gradient_checkpointing=wanted)
        run_stage("s", net, points, language_loss, options, tmp_path / str(wanted))
        assert not any(getattr(layer, "gradient_checkpointing", False) for layer in net.modules())
        found.append(net.language_model.state_dict())
    for name, weight in found[0].items():
        torch.testing.assert_close(weight, found[1][name])


def test_mixed_precision_trains_in_bf16_and_keeps_float32_weights(tmp_path):
    kinds = set()

    def watched(net: nn.Module, batch: Points) -> tuple[torch.Tensor, dict]:
        y = net(batch.x)
        kinds.add(y.dtype)
        return (y.float() - batch.y).square().mean(), {}

    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(True)
    net = model()
    parallel = Parallel(HardwareConfig(device="cpu", precision="bf16"))
    run_stage("s", net, points, watched, config(), tmp_path, parallel=parallel)
    AcceleratorState._reset_state(True)
    assert kinds == {torch.bfloat16} and {weight.dtype for weight in net.parameters()} == {torch.float32}


def test_sharding_needs_several_processes():
    with pytest.raises(ValueError, match="fsdp2 but only one process runs"):
        Parallel(HardwareConfig(device="cpu", parallel="fsdp2"))


def test_batches_that_other_processes_draw_give_the_same_weights(tmp_path):
    plain, ahead = model(), model()
    cut = config(micro_batches=2, steps=6)
    run_stage("s", plain, points, squared, cut, tmp_path / "a")
    run_stage("s", ahead, points, squared, cut, tmp_path / "b", parallel=Parallel(HardwareConfig(batch_workers=2)))
    assert all(torch.equal(a, b) for a, b in zip(plain.state_dict().values(), ahead.state_dict().values()))


def test_an_error_in_a_drawing_process_ends_the_run(tmp_path):
    def dies(step: int, generator: torch.Generator) -> Points:
        raise StopError("no such sample")

    with pytest.raises(StopError, match="no such sample"):
        run_stage("s", model(), dies, squared, config(), tmp_path, parallel=Parallel(HardwareConfig(batch_workers=1)))


def test_a_stage_with_an_average_ends_with_it_and_resumes_to_the_same_one(tmp_path):
    seen = []

    def watched(net: nn.Module, batch: Points) -> tuple[torch.Tensor, dict]:
        seen.append(net[0].weight.detach().clone())
        return squared(net, batch)

    averaged, resumed = model(), model()
    run_stage("s", averaged, points, watched, config(average=0.5, steps=4), tmp_path / "whole")
    last = model()
    run_stage("s", last, points, squared, config(steps=4), tmp_path / "last")
    wanted = seen[0]
    for step, weight in enumerate([*seen[1:], last[0].weight.detach()]):
        wanted = torch.lerp(wanted, weight, 1 - min(0.5, (1 + step) / (10 + step)))
    torch.testing.assert_close(averaged[0].weight.detach(), wanted)

    def dies(step: int, generator: torch.Generator) -> Points:
        if step == 2:
            raise StopError
        return points(step, generator)

    with pytest.raises(StopError):
        run_stage("s", model(), dies, squared, config(average=0.5, steps=4, save_every=1), tmp_path / "killed")
    run_stage("s", resumed, points, squared, config(average=0.5, steps=4, save_every=1), tmp_path / "killed")
    assert all(torch.equal(a, b) for a, b in zip(averaged.state_dict().values(), resumed.state_dict().values()))


def test_validation_looks_at_the_average_and_training_goes_on_from_the_last_weights(tmp_path):
    looked = []

    def validate(net: nn.Module) -> dict[str, float]:
        looked.append(net[0].weight.detach().clone())
        return {"valid/loss": float(len(looked))}

    seen = []

    def watched(net: nn.Module, batch: Points) -> tuple[torch.Tensor, dict]:
        seen.append(net[0].weight.detach().clone())
        return squared(net, batch)

    run_stage("s", model(), points, watched, config(average=0.9, steps=4, evaluate_every=2), tmp_path / "a",
              validate=validate)  # fmt: skip
    plain: list[torch.Tensor] = []

    def noted(net: nn.Module, batch: Points) -> tuple[torch.Tensor, dict]:
        plain.append(net[0].weight.detach().clone())
        return squared(net, batch)

    run_stage("s", model(), points, noted, config(steps=4), tmp_path / "b")
    assert all(torch.equal(a, b) for a, b in zip(seen, plain))
    assert not torch.equal(looked[0], seen[2])
