"""Style plans against runs: what they foresee, what they choose, what they refuse."""

import numpy as np
import pytest

from gan_style.hardware import DoesNotFit, memory
from gan_style.style_transfer import planning
from gan_style.style_transfer.planning import (
    StyleCosts,
    measure_style,
    plan_style,
    style_memory,
)
from gan_style.style_transfer.transfer import StyleTransfer

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
    assert plan.scales == [181, 256, 362, 512]
    assert plan.steps == [68, 55, 44, 35]
    assert plan.tile_size is None


def test_seconds_are_those_of_every_scale():
    # 1.04 tries a step and one at the start, of 512 x 256 pixels and 8 at each border.
    pixels = 528 * 272
    expected = 2.0 + 1e-5 * pixels + (1.04 * 10 + 1) * (0.01 + 1e-5 * pixels)
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
    assert plan_style(transfer(), steps=5).steps == [5] * 4
    message = "plan_style: time is 30 s, but must be at least .* Use .*fewer steps"
    with pytest.raises(DoesNotFit, match=message):
        plan_style(transfer(), steps=[9, 80], scales=[64, 512], time="30 s")
    with pytest.raises(ValueError, match="scales"):
        plan_style(transfer(), scales=[64, 256])


def test_too_little_time_is_refused_with_a_size_that_fits(slow):
    message = r"time is 20 s, .* size=512\. Use size=\d+ or less, or .*more time\.$"
    with pytest.raises(DoesNotFit, match=message) as error:
        plan_style(transfer(), time="20 s")
    size = int(str(error.value).split("size=")[2].split()[0])
    assert plan_style(transfer(size), time="20 s").seconds < 20
    with pytest.raises(DoesNotFit):
        plan_style(transfer(size + 32), time="20 s")


def test_no_time_fits_nothing(slow):
    with pytest.raises(DoesNotFit, match=r"size=512\. Use .*more time\.$"):
        plan_style(transfer(), time=0.01)


def test_little_memory_means_tiles(slow):
    made = transfer(2048)
    whole, tiled = style_memory(made, 2048), style_memory(made, 2048, 256)
    assert tiled < whole
    assert plan_style(made, memory=whole + 1e6).tile_size is None
    plan = plan_style(made, memory=(whole + tiled) / 2)
    assert plan.tile_size is not None and plan.memory <= (whole + tiled) / 2


def test_what_is_left_of_the_machine_is_a_budget_too(slow, monkeypatch):
    made, has = transfer(2048), []
    monkeypatch.setattr(memory, "available_memory", has.pop)
    has[:] = 0.95e9, 1e12
    assert plan_style(made).tile_size is None
    message = r"plan_style: memory is .* GB, for size=2048\. Use .*more memory\.$"
    with pytest.raises(DoesNotFit, match=message):
        plan_style(made)


def test_steps_are_timed_and_the_plan_paints():
    made = transfer(24)
    plan = plan_style(made, memory="1000 GB")
    assert 0 < plan.seconds < 600
    assert "24 x 12 px, in one piece" in str(plan)
    result = plan._replace(steps=[2]).paint(progress=False)
    assert result.image.shape == (12, 24, 3) and len(result.history["total"]) == 2


def watch_tiles(made, monkeypatch):
    """Returns the set of the tile sizes in which `made` will be evaluated."""
    seen = set()

    def objective(size=None, tile_size=None, margin=0):
        prepared = type(made).objective(made, size, tile_size, margin)

        def evaluate(image, tile_size=None):
            seen.add(tile_size)
            return prepared(image, tile_size)

        return evaluate

    monkeypatch.setattr(made, "objective", objective)
    return seen


def test_a_planned_tile_size_is_that_of_its_run_alone(slow, monkeypatch):
    made = transfer(48)
    seen = watch_tiles(made, monkeypatch)
    plan = plan_style(made)._replace(tile_size=16, steps=[1])
    plan.paint(progress=False)
    assert seen == {16}
    made.run(1, progress=False)
    assert seen == {16, None}


def scripted(monkeypatch, seconds):
    """Makes steps on images of so many pixels seem to last so many seconds."""

    def timeit(function, number):
        for _ in range(number):
            function()
        step = getattr(function, "__self__", None)
        return 0.0 if step is None else number * seconds[step.image.shape[1] ** 2 * 2]

    monkeypatch.setattr(planning, "timeit", timeit)


SIZES = (16, 32, 64)
PIXELS = [size * size // 2 for size in SIZES]


def measured(monkeypatch, seconds):
    scripted(monkeypatch, dict(zip(PIXELS, seconds, strict=True)))
    costs = measure_style(transfer(64), sizes=SIZES)
    return costs.step, costs.pixel


def test_the_line_through_the_sizes_is_that_of_least_squares(monkeypatch):
    exact = [0.1 + 1e-4 * pixels for pixels in PIXELS]
    assert measured(monkeypatch, exact) == pytest.approx((0.1, 1e-4))
    noisy = [t * factor for t, factor in zip(exact, (1, 0.9, 1), strict=True)]
    pixel, step = np.polyfit(PIXELS, noisy, 1)
    assert measured(monkeypatch, noisy) == pytest.approx((step, pixel))


def test_a_hiccup_does_not_tilt_the_line_far(monkeypatch):
    exact = [1e-4 * pixels for pixels in PIXELS]
    for place in (0, 2):
        hiccup = [*exact]
        hiccup[place] *= 2
        step, pixel = measured(monkeypatch, hiccup)
        assert 0 <= step < exact[1] and 0.6e-4 <= pixel < 2e-4
    assert measured(monkeypatch, [0, 0, 1.0])[0] == 0
    falling = measured(monkeypatch, [1.0, 0.8, 0.7])
    assert falling[1] > 0 and falling[0] > 0
