"""What the benchmark of batches makes of what it measured."""

from benchmarks.batch_devices import Answers
from benchmarks.batch_devices import figures_of as device_figures
from benchmarks.batch_memory import Phase
from benchmarks.batch_memory import figures_of as memory_figures
from benchmarks.batch_results import Figure, Report, Result, at_least, at_most, cpu_figures, lines_of
from benchmarks.batch_throughput import around, pace
from benchmarks.machine import Machine


def told(figures: list[Figure]) -> dict[str, tuple[float, str, bool]]:
    return {figure.label: (round(figure.value, 6), figure.goal, figure.is_met) for figure in figures}


def test_the_pace_of_the_middle_leaves_out_a_slow_begin_and_a_slow_end() -> None:
    ends_s = [10.0, *(10.0 + 0.1 * number for number in range(1, 100)), 40.0]

    assert told(pace(ends_s, ideal=10)) == {
        "photos a second, from its begin to its end": (round(101 / 40, 6), "", True),
        "  of the whole, as a share of 10": (round(101 / 400, 6), "at least 0.95", False),
        "photos a second, the middle 80 %": (10.0, "", True),
        "  of the middle, as a share of 10": (1.0, "at least 0.95", True),
        "the first photo ended after": (10.0, "", True),
    }


def test_a_batch_of_which_nothing_ended_has_no_pace() -> None:
    assert pace([], ideal=10) == []


def test_a_jobs_time_is_told_without_its_providers() -> None:
    assert told(around([1020.0, 1010.0, 1200.0], latency_ms=1000)) == {
        "a job beyond the provider's time, p50": (20.0, "", True),
        "a job beyond the provider's time, p95": (200.0, "", True),
    }


def test_processor_time_is_told_per_photo_the_dearest_part_first() -> None:
    figures = cpu_figures({"api": 1.0, "workers": 5.0}, {"api": 1.5, "workers": 7.0, "valkey": 0.1}, photos=100)

    assert [(figure.label, round(figure.value, 3), figure.unit) for figure in figures] == [
        ("processor per photo: workers", 20.0, "ms"),
        ("processor per photo: api", 5.0, "ms"),
        ("processor per photo: valkey", 1.0, "ms"),
    ]


def phase(name: str, **mebibytes: list[float]) -> Phase:
    return Phase(name, mebibytes=mebibytes, begin_ms=[30.0], look_ms=[3.0, 5.0, 9.0], cancel_s=1.5, photos_per_s=90.0)


def test_memory_is_compared_when_all_is_as_it_stays_and_with_what_time_alone_adds() -> None:
    small = phase("small before", valkey=[9.0, 9.0, 2.0], api=[100.0], workers=[200.0], postgres=[50.0])
    large = phase("large", valkey=[2.0, 2.0, 3.5], api=[104.9], workers=[220.0], postgres=[90.0])
    after = phase("small after", valkey=[2.2], api=[100.0], workers=[219.0], postgres=[90.0])

    figures = told(memory_figures([small, large, after]))

    assert {label: figure for label, figure in figures.items() if "minus" in label} == {
        "valkey: large minus small": (1.3, "at most 1", False),
        "api: large minus small": (4.9, "at most 5", True),
        "workers: large minus small": (1.0, "at most 10.95", True),
    }
    assert figures["postgres: large"] == (90.0, "", True)
    assert figures["GET /v2/batches/ID, small"] == (5.0, "", True)


def test_devices_are_compared_in_what_is_added_and_in_the_whole_answer() -> None:
    idle = Answers("idle", rounds_ms=[[1010.0, 1020.0], [1030.0]])
    busy = Answers("in a batch", rounds_ms=[[1020.0, 1040.0], [1130.0]])

    assert told(device_figures(idle, busy, latency_ms=1000)) == {
        "added p50, idle (rounds 10.0 to 30.0)": (20.0, "", True),
        "added p50, in a batch (rounds 20.0 to 130.0)": (40.0, "", True),
        "added p95, idle (rounds 20.0 to 30.0)": (30.0, "", True),
        "added p95, in a batch (rounds 40.0 to 130.0)": (130.0, "", True),
        "added p99, idle (rounds 20.0 to 30.0)": (30.0, "", True),
        "added p99, in a batch (rounds 40.0 to 130.0)": (130.0, "", True),
        "whole answer p50, in a batch over idle": (round(1040 / 1020, 6), "at most 1.05", True),
        "whole answer p95, in a batch over idle": (round(1130 / 1030, 6), "at most 1.05", False),
        "whole answer p99, in a batch over idle": (round(1130 / 1030, 6), "", True),
    }


def test_a_person_reads_the_figures_their_goals_and_what_went_wrong() -> None:
    machine = Machine("Linux", "AMD", 2, 8.0, "3.11", {}, None, load_before=2.0)
    figures = [at_least("photos a second", 96.04, least=95), at_most("waited", 12345.0, most=100, unit="ms")]
    result = Result(case="throughput", shows="10 photos", figures=figures, problems=["10 photos took 11 jobs"])

    assert [" ".join(line.split()) for line in lines_of(Report(machine=machine, results=[result]))] == [
        "AMD, 2 cores, Linux, Python 3.11",
        "The machine was busy before the run (load 2.0): the figures are not only ours.",
        "",
        "throughput: 10 photos",
        "photos a second 96.04 at least 95: met",
        "waited 12,345 ms at most 100: NOT MET",
        "WRONG: 10 photos took 11 jobs",
    ]
