"""Plans of trainings: what they foresee, and what they refuse."""

import itertools

import numpy as np
import pytest
from helpers.cyclegans import small

from gan_style.hardware.memory import DoesNotFit
from gan_style.training import plan_training


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


@pytest.fixture
def steps_take(monkeypatch):
    """Lets a step take half a second, and the process so many bytes at its peak."""

    def set_memory(peak):
        def resident_memory(peak=False, at_peak=peak):
            return at_peak if peak else 1e8

        monkeypatch.setattr(
            "gan_style.hardware.memory.resident_memory", resident_memory
        )

    clock = itertools.count()  # a second at each look; two steps between looks
    monkeypatch.setattr("gan_style.training.planning.perf_counter", clock.__next__)
    return set_memory


def test_epochs_that_fit_and_epochs_that_do_not(planned, steps_take):
    def plan(steps, memory="64 GB", **options):
        batch = [part[:1] for part in batches()]
        return plan_training(planned[0], batch, steps, memory=memory, **options)

    steps_take(1e9)
    assert plan(20, time="100 s").epochs == 9
    assert plan(20).epochs == 200
    assert plan(20, epochs=300).epochs == 300
    with pytest.raises(
        DoesNotFit, match="time is 1 min 40 s.*55 min.*300 epochs.*epochs=9 or less"
    ):
        plan(20, epochs=300, time="100 s")
    with pytest.raises(DoesNotFit, match="time is.*Pass fewer steps"):
        plan(2000, time="100 s")
    steps_take(1e12)
    with pytest.raises(DoesNotFit, match="memory is 500.0 GB.*1000.0 GB.*smaller"):
        plan(20, memory="500 GB")


def test_a_batch_that_cannot_fit_is_refused_before_it_is_tried(planned, monkeypatch):
    monkeypatch.setattr(planned[0], "make_train_function", None)
    huge = [np.broadcast_to(np.float32(0), (10**8, 16, 16, 3))] * 2
    with pytest.raises(DoesNotFit, match="memory is.*at least"):
        plan_training(planned[0], huge, 1)


def test_a_model_that_is_not_compiled_is_refused():
    with pytest.raises(ValueError, match=r"compile\(\)"):
        plan_training(small(16), batches(), 1)
