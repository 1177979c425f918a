"""Plans against runs: what they foresee, what they choose, and what they refuse."""

import numpy as np
import pytest
from helpers.cyclegans import small

from gan_style.hardware.memory import (
    DoesNotFit,
    Machine,
    budget,
    say_seconds,
    this_machine,
)
from gan_style.style_transfer.costs import StyleCosts, style_memory
from gan_style.style_transfer.planning import plan_style
from gan_style.style_transfer.transfer import StyleTransfer
from gan_style.training.planning import plan_training

PHOTOGRAPH = np.tile(np.linspace(0, 255, 512)[:, None], (256, 1, 3)).astype("uint8")
SLOW = StyleCosts(scale=2.0, prepare=1e-5, step=0.01, pixel=1e-5, tile_size=None)


def transfer(size=512, **options):
    """A StyleTransfer of 2 to 1 images with random features, cheap to make."""
    layers = {"content_layers": ["relu2_1"], "style_layers": ["relu1_1"]}
    options = {"features": {"weights": None}, **layers, **options}
    return StyleTransfer(PHOTOGRAPH, PHOTOGRAPH, size=size, **options)


@pytest.fixture
def slow(monkeypatch):
    """A machine on which 512 x 256 px take about 1.31 + 0.01 s a step."""

    def measured(transfer, tile_size=None):
        return SLOW._replace(tile_size=tile_size)

    monkeypatch.setattr("gan_style.style_transfer.planning.measure_style", measured)


def test_without_a_budget_the_plan_is_the_default_run(slow):
    plan = plan_style(transfer())
    assert plan.scales == [128, 181, 256, 362, 512]
    assert plan.steps == [146, 117, 94, 75, 60]
    assert plan.tile_size is None


def test_seconds_are_those_of_every_scale():
    # 1.04 tries a step and one at the start, of 512 x 256 pixels.
    expected = 2.0 + 1e-5 * 131072 + (1.04 * 10 + 1) * (0.01 + 1e-5 * 131072)
    assert SLOW.seconds(transfer(), [512], [10]) == pytest.approx(expected)


@pytest.mark.parametrize("size", [512, 1024, 2048])
def test_the_steps_are_whole_numbers_at_any_size(slow, size):
    plan = plan_style(transfer(size))
    assert all(type(count) is int for count in plan.steps)


def test_less_time_means_fewer_steps_and_a_run_that_fits(slow):
    default = plan_style(transfer()).seconds
    plan = plan_style(transfer(), time=default / 2)
    assert plan.steps[-1] < 60 and plan.seconds < default / 2
    tighter = plan_style(transfer(), time=default / 3)
    assert tighter.seconds < default / 3 and tighter.steps[-1] < plan.steps[-1]


def test_a_run_of_ones_own_is_judged_as_it_is(slow):
    plan = plan_style(transfer(), steps=[9, 8], scales=[64, 512])
    assert (plan.scales, plan.steps) == ([64, 512], [9, 8])
    assert plan_style(transfer(), steps=5).steps == [5] * 5
    with pytest.raises(DoesNotFit, match="takes .* with 80 steps at the finest"):
        plan_style(transfer(), steps=[9, 80], scales=[64, 512], time="30 s")
    with pytest.raises(ValueError, match="scales"):
        plan_style(transfer(), scales=[64, 256])


def test_costs_once_measured_are_used_again(monkeypatch):
    monkeypatch.setattr("gan_style.style_transfer.planning.measure_style", None)
    assert plan_style(transfer(), costs=SLOW).seconds > 100


def test_too_little_time_is_refused_with_a_size_that_fits(slow):
    with pytest.raises(DoesNotFit, match=r"time: got 20 s.*give size=(\d+)") as error:
        plan_style(transfer(), time="20 s")
    size = int(str(error.value).split("size=")[2].split()[0])
    assert plan_style(transfer(size), time="20 s").seconds < 20
    with pytest.raises(DoesNotFit):
        plan_style(transfer(size + 32), time="20 s")


def test_no_time_fits_nothing(slow):
    with pytest.raises(DoesNotFit, match="no size fits"):
        plan_style(transfer(), time=0.01)


def test_little_memory_means_tiles(slow):
    made = transfer(2048)
    whole, tiled = style_memory(made, 2048), style_memory(made, 2048, 256)
    assert tiled < whole
    assert plan_style(made, memory=whole + 1e6).tile_size is None
    plan = plan_style(made, memory=(whole + tiled) / 2)
    assert plan.tile_size is not None and plan.memory <= (whole + tiled) / 2


def test_what_is_left_of_the_machine_is_a_budget_too(slow):
    made = transfer(2048)
    assert plan_style(made, machine=Machine(2, 1e12)).tile_size is None
    with pytest.raises(DoesNotFit, match=r"memory: got .* GB.*adam"):
        plan_style(made, machine=Machine(2, 0.95e9))


def test_adam_remembers_fewer_images_than_lbfgs():
    made = transfer(2048)
    saved = style_memory(made, 2048) - style_memory(made, 2048, optimizer="adam")
    assert saved == pytest.approx(18 * 2048 * 1024 * 12, rel=0.01)


def test_steps_are_timed_and_the_plan_paints():
    made = transfer(24)
    plan = plan_style(made, memory="1000 GB")
    assert 0 < plan.seconds < 600
    assert "24 x 12 px, in one piece" in str(plan)
    result = plan._replace(steps=[2]).paint(progress=False)
    assert result.image.shape == (12, 24, 3) and len(result.history["total"]) == 2


def test_a_planned_tile_size_is_used():
    made = transfer(48)
    plan = plan_style(made, memory="1000 GB")._replace(tile_size=16, steps=[1])
    plan.paint(progress=False)
    assert made.tile_size == 16


@pytest.mark.parametrize(
    ("name", "words", "amount"),
    [
        *(("time", "3 minutes", 180), ("time", "1 minute", 60), ("time", "90 s", 90)),
        *(("time", "1.5h", 5400), ("time", "2 Hours", 7200), ("time", 7, 7)),
        *(("memory", "4 GB", 4e9), ("memory", "512MiB", 2**29), ("memory", 2e9, 2e9)),
    ],
)
def test_budgets_in_words(name, words, amount):
    assert budget(name, words) == amount


@pytest.mark.parametrize("words", ["soon", "3", "4 GB", "-3 s", "0 s", "1.2.3 s", 0])
def test_budgets_that_are_none(words):
    with pytest.raises(ValueError, match=r"time: got .*'3 minutes'"):
        budget("time", words)
    with pytest.raises(ValueError, match="memory"):
        budget("memory", None if words == "4 GB" else words)


def test_times_are_said_as_people_say_them():
    said = [say_seconds(s) for s in (0.25, 9.4, 9.96, 59.4, 60, 3599, 3600)]
    assert said == [
        *("0.2 s", "9 s", "10 s", "59 s", "1 min 0 s", "59 min 59 s", "1 h 0 min")
    ]


def test_this_machine_has_memory():
    memory = this_machine().memory
    assert memory is None or 1e8 < memory < 1e14


def test_an_unknown_optimizer_is_named():
    with pytest.raises(ValueError, match="optimizer.*'sgd'"):
        plan_style(transfer(24), optimizer="sgd")


def cyclegan():
    model = small(16, pool_size=2)
    model.compile()
    return model


def batches(seed=0, count=4):
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1, 1, (count, 16, 16, 3)).astype("float32") for _ in "ab"]


@pytest.fixture(scope="module")
def planned():
    """A model that a plan was made for, and the plan."""
    model = cyclegan()
    plan = plan_training(model, [part[:1] for part in batches()], 100, epochs=3)
    return model, plan


def test_a_training_plan_adds_up(planned):
    plan = planned[1]
    assert plan.seconds_per_step > 0 and plan.memory > 1e8
    assert plan.seconds_per_epoch == pytest.approx(100 * plan.seconds_per_step)
    assert plan.seconds == pytest.approx(3 * plan.seconds_per_epoch)
    assert str(plan).startswith("3 epochs of ")


def test_planning_leaves_no_trace_in_the_model(planned):
    a, b = batches()
    planned[0].fit(a, b, batch_size=1, epochs=1, shuffle=False, verbose=0)
    fresh = cyclegan()
    fresh.fit(a, b, batch_size=1, epochs=1, shuffle=False, verbose=0)
    assert int(planned[0].steps_done) == 4
    for mine, theirs in zip(planned[0].variables, fresh.variables, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_epochs_that_fit_and_epochs_that_do_not(planned, monkeypatch):
    model = planned[0]
    monkeypatch.setattr(
        "gan_style.training.planning._try_training", lambda *_: (0.5, 1e9)
    )
    batch = [part[:1] for part in batches()]
    assert plan_training(model, batch, 20, time="100 s", memory="64 GB").epochs == 9
    assert plan_training(model, batch, 20, memory="64 GB").epochs == 200
    assert plan_training(model, batch, 20, epochs=300, memory="64 GB").epochs == 300
    with pytest.raises(DoesNotFit, match="time.*300 epochs.*give epochs=9 or less"):
        plan_training(model, batch, 20, epochs=300, time="100 s", memory="64 GB")
    with pytest.raises(DoesNotFit, match="time.*give fewer steps an epoch"):
        plan_training(model, batch, 2000, time="100 s", memory="64 GB")
    monkeypatch.setattr(
        "gan_style.training.planning._try_training", lambda *_: (0.5, 1e12)
    )
    with pytest.raises(DoesNotFit, match="memory: got 500.0 GB.*1000.0 GB.*smaller"):
        plan_training(model, batch, 20, memory="500 GB")


def test_a_batch_that_cannot_fit_is_refused_before_it_is_tried(planned, monkeypatch):
    monkeypatch.setattr("gan_style.training.planning._try_training", None)
    huge = [np.broadcast_to(np.float32(0), (10**8, 16, 16, 3))] * 2
    with pytest.raises(DoesNotFit, match="memory.*at least"):
        plan_training(planned[0], huge, 1)


def test_a_model_that_is_not_compiled_is_refused():
    with pytest.raises(ValueError, match=r"compile\(\)"):
        plan_training(small(16), batches(), 1)
