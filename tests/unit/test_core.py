"""Names, quantities, times and conditions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.world import START
from tradewind.core.conditions import Reason, Verdict, merge, phase
from tradewind.core.names import ATTEMPT_LENGTH, attempt_name, child_name
from tradewind.core.quantity import added, canonical, parse, times
from tradewind.core.timestamps import moment, stamp, whole


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("500m", "0.5"),
        ("2", "2"),
        ("1500Mi", "1572864000"),
        ("1.5Gi", "1610612736"),
        ("1k", "1000"),
        ("1e3", "1000"),
        ("1E", "1e18"),
        ("100n", "1e-7"),
    ],
)
def test_quantities_are_exact(text: str, value: str) -> None:
    assert parse(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "m", "1 Gi", "1gi", "0x10", "1Zi", "--1", "NaN", "Infinity"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity"):
        parse(text)


# As `resource.MustParse(...).String()` of k8s.io/apimachinery prints them.
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("1000m", "1"),
        ("0.5", "500m"),
        ("1024Mi", "1Gi"),
        ("1500Mi", "1500Mi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Gi", "512Mi"),
        ("2000", "2k"),
        ("300m", "300m"),
        ("0", "0"),
        ("0Mi", "0"),
        ("12", "12"),
        ("1M", "1M"),
        ("1000k", "1M"),
    ],
)
def test_quantities_are_written_as_kubernetes_writes_them(given: str, expected: str) -> None:
    assert canonical(given) == expected
    assert parse(given) == parse(expected)


def test_quantities_that_no_node_has_are_exact_too() -> None:
    """A spec may have twenty characters of one: the operator plans with it, and then says that no pool has so much."""
    most = "999999999999999999Pi"
    assert parse(most) == 999_999_999_999_999_999 * 1024**5
    assert added("9999999999Ti", "100m") == f"{9_999_999_999 * 1024**4 * 1000 + 100}m"
    assert times(100_000, most) == "99999999999999999900000Pi"


def test_a_name_that_is_good_stays_and_says_the_kind() -> None:
    assert attempt_name("TrainingJob", "digits", 1) == "digits-train-1"
    assert attempt_name("CompressionJob", "digits", 12) == "digits-compress-12"
    assert child_name("TrainingJob", "digits") == "digits-train"
    assert child_name("ModelDeployment", "digits") == "digits"


@pytest.mark.parametrize("name", ["9lives", "x" * 63, "1", "0-" + "y" * 60])
@pytest.mark.parametrize("kind", ["TrainingJob", "CompressionJob", "ModelDeployment"])
def test_any_name_of_an_object_makes_names_that_kuberay_and_kserve_take(name: str, kind: str) -> None:
    for made in (child_name(kind, name), attempt_name(kind, name, 1234)):
        assert made[0].isalpha()
        assert made.replace("-", "").isalnum()
        assert made == made.lower()
        assert len(made) <= 63 - len("-predictor")
    assert len(attempt_name(kind, name, 1234)) <= ATTEMPT_LENGTH


def test_shortened_names_stay_different() -> None:
    assert child_name("TrainingJob", "x" * 60 + "a") != child_name("TrainingJob", "x" * 60 + "b")


def test_times_are_whole_seconds_in_utc() -> None:
    now = datetime(2026, 11, 24, 12, 0, 0, 999999, tzinfo=UTC)
    assert stamp(now) == "2026-11-24T12:00:00Z"
    assert moment(stamp(now)) == whole(now)
    assert moment("yesterday") is None
    assert moment(None) is None
    assert moment("2026-11-24T13:00:00+01:00") == whole(now)


def verdict(status: str, message: str = "") -> Verdict:
    return Verdict("Running", status, Reason.RUNNING, message)  # type: ignore[arg-type]


def test_the_time_of_a_condition_moves_with_its_status_only() -> None:
    first = merge((), [verdict("False")], 1, START)
    later = START + timedelta(minutes=1)
    same = merge(first, [verdict("False", "another message")], 2, later)
    assert same[0].last_transition_time == stamp(START)
    assert (same[0].message, same[0].observed_generation) == ("another message", 2)
    assert merge(same, [verdict("True")], 2, later)[0].last_transition_time == stamp(later)


@pytest.mark.parametrize(
    ("verdicts", "word"),
    [
        ([("Accepted", "True"), ("Running", "True"), ("Failed", "True")], "Failed"),
        ([("Accepted", "True"), ("Running", "False"), ("Complete", "True")], "Complete"),
        ([("Accepted", "True"), ("Running", "False"), ("Suspended", "True")], "Suspended"),
        ([("Accepted", "False"), ("Running", "True")], "Running"),
        ([("Accepted", "False"), ("Running", "False")], "Invalid"),
        ([("Accepted", "True"), ("Running", "False")], "Starting"),
        ([("Accepted", "True"), ("Ready", "False")], "Progressing"),
        ([("Accepted", "True"), ("Ready", "True")], "Ready"),
    ],
)
def test_the_phase_is_one_word_for_the_conditions(verdicts: list[tuple[str, str]], word: str) -> None:
    assert phase([Verdict(kind, status, Reason.POOL_NOT_FOUND) for kind, status in verdicts]) == word  # type: ignore[arg-type]


def test_what_waits_for_another_object_is_waiting_not_invalid() -> None:
    assert phase([Verdict("Accepted", "False", Reason.TRAINING_JOB_NOT_FOUND)]) == "Waiting"


def test_every_reason_is_one_word_with_a_sentence() -> None:
    for reason in Reason:
        assert reason.value.isalpha()
        assert reason.value[0].isupper()
        assert reason.sentence.endswith(".")
        assert Reason.of(reason.value) is reason
    with pytest.raises(ValueError, match="is not a reason"):
        Reason.of("Nonsense")
