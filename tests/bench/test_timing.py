from __future__ import annotations

import gc

import pytest

from flowkit.bench.timing import compare


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only where a variant says so."""

    class Clock:
        now = 0.0

    monkeypatch.setattr("time.perf_counter", lambda: Clock.now)
    return Clock


def taking(clock, seconds, log=None, name=None):
    def function():
        clock.now += seconds() if callable(seconds) else seconds
        if log is not None:
            log.append(name)

    return function


def test_variants_take_turns_in_alternating_order(clock):
    log: list[str] = []
    variants = {name: taking(clock, 1.0, log, name) for name in "abc"}
    compare(variants, rounds=3)
    assert "".join(log) == "aabbcc" + "abc" + "cba" + "abc"


def test_medians_and_paired_ratios_survive_a_slow_minute(clock):
    """The machine runs ten times slower during two of five rounds: ratios stay, the median too."""
    rounds = iter([1, 1, 1, 1, 1, 1, 1, 1, 10, 10, 10, 10, 1, 1])
    factor = lambda base: lambda: base * next(rounds)  # noqa: E731
    result = compare({"slow": taking(clock, factor(3.0)), "fast": taking(clock, factor(2.0))}, rounds=5)
    assert result["slow"].seconds == pytest.approx(3.0)
    assert result["fast"].seconds == pytest.approx(2.0)
    assert result["fast"].speedup == pytest.approx(1.5)
    assert result["slow"].speedup == 1.0
    assert result["slow"].spread == pytest.approx(9.0)


def test_short_calls_are_repeated_until_they_can_be_measured(clock):
    log: list[str] = []
    variants = {"long": taking(clock, 2.0, log, "long"), "short": taking(clock, 0.25, log, "short")}
    result = compare(variants, baseline="short", rounds=1, least=1.0)
    assert log.count("long") == 3
    assert log.count("short") == 2 + 4
    assert result["short"].seconds == pytest.approx(0.25)
    assert result["long"].speedup == pytest.approx(0.125)


def test_the_garbage_collector_is_off_while_measuring_and_back_after_an_error():
    seen = []

    def fail():
        seen.append(gc.isenabled())
        raise RuntimeError("out of order")

    with pytest.raises(RuntimeError, match="out of order"):
        compare({"it": fail})
    assert seen == [False]
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("variants", "options", "message"),
    [
        ({}, {}, "expected variants"),
        ({"a": int}, {"rounds": 0}, "1 round or more"),
        ({"a": int}, {"baseline": "b"}, "one of a; got 'b'"),
    ],
)
def test_wrong_use(variants, options, message):
    with pytest.raises(ValueError, match=message):
        compare(variants, **options)
