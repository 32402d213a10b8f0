"""The clocks of the benchmarks, driven by times that are made up: order, medians, disturbed rounds, fits."""

import subprocess
import sys

import pytest

from rgflow.bench import clock
from rgflow.bench.child import Child, Silent
from rgflow.bench.clock import Spent, Spread, in_turn, ratios, repeated, seconds
from rgflow.bench.growth import fit
from rgflow.bench.machine import measures_memory


def made_up(log, name, times):
    """Work that takes the times given, one after the other, and says when it ran."""
    left = iter(times)

    def work():
        log.append(name)
        time = next(left)
        return time if isinstance(time, Spent) else Spent(time, time)

    return work


def test_rounds_run_in_turn_and_every_other_one_backwards():
    log = []
    works = [made_up(log, "A", [1, 1, 1]), made_up(log, "B", [2, 2, 2])]
    in_turn(works, 3)
    assert log == ["A", "B", "B", "A", "A", "B"]


def test_the_ratio_is_the_median_of_rounds_not_that_of_medians():
    rounds = in_turn([made_up([], "A", [1, 2, 4]), made_up([], "B", [10, 2, 20])], 3)
    assert ratios(rounds) == Spread(5.0, 1.0, 10.0)
    assert seconds(rounds, 0) == 2
    assert seconds(rounds, 1) == 10


def test_a_round_that_another_program_disturbed_is_measured_again():
    slow = Spent(wall=3.0, cpu=1.0)
    rounds = in_turn([made_up([], "A", [slow, 1, 1]), made_up([], "B", [1, 1, 1])], 2)
    assert [times[0].wall for times in rounds] == [1, 1]


def test_a_busy_machine_still_ends():
    slow = Spent(wall=3.0, cpu=1.0)
    rounds = in_turn([made_up([], "A", [slow] * 9), made_up([], "B", [1] * 9)], 2)
    assert [times[0].wall for times in rounds] == [3, 3]


def test_several_threads_may_take_more_processor_than_wall_time():
    rounds = in_turn([made_up([], "A", [Spent(3.0, 1.0)])], 1, threads=2)
    assert rounds[0][0].wall == 3


def test_short_work_is_called_often_enough(monkeypatch):
    def took(call):
        call()
        return Spent(2.0**-16, 2.0**-16)

    monkeypatch.setattr(clock, "spent", took)
    calls = []
    assert repeated(lambda: calls.append(1), least=2.0**-10)() == Spent(2.0**-22, 2.0**-22)
    assert len(calls) == 1 + 1 + 64  # warm, to see how long it takes, and as often as the clock needs


def test_slopes_are_those_of_power_laws_and_their_errors_grow_with_noise():
    sizes = [1, 2, 4, 8]
    assert fit(sizes, [5 * n**1.5 for n in sizes]) == pytest.approx((1.5, 0), abs=1e-12)
    p, doubt = fit(sizes, [5 * n**1.5 * (1.2 if n == 2 else 1) for n in sizes])
    assert abs(p - 1.5) < 2 * doubt  # the noise is within two standard errors
    assert doubt > 0.01


ECHO = """
import json, sys
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    if asked["do"] == "end":
        break
    print(json.dumps({"wall": asked["x"], "cpu": 2 * asked["x"]}), flush=True)
"""


def test_a_child_answers_and_its_silence_is_an_error():
    with Child([sys.executable, "-c", ECHO]) as other:
        assert other.hello == {"ready": True}
        assert other.work("run", x=1.5)() == Spent(1.5, 3.0)
        with pytest.raises(Silent, match="by hand"):
            other.ask("end")


HOLD = """
import sys
from rgflow.bench.machine import mark, peak
before = mark()
held = b"1" * int(sys.argv[1])
print(peak() - before)
"""


@pytest.mark.skipif(not measures_memory(), reason="the peak of a process can be set back on Linux only")
def test_the_peak_of_memory_counts_from_the_mark():
    held = 64_000_000
    said = subprocess.run([sys.executable, "-c", HOLD, str(held)], capture_output=True, text=True, check=True).stdout
    assert held <= int(said) < held + (16 << 20)
