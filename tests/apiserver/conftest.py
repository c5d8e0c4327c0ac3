"""The operator that the tests here share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.apiserver.process import OperatorProcess


@pytest.fixture(scope="package")
def _kept(launch: Callable[..., OperatorProcess]) -> Iterator[list[OperatorProcess]]:
    """Ended with the last test here: other folders have operators of their own on the same API server."""
    started: list[OperatorProcess] = []
    yield started
    for operator in started:
        operator.stop()


@pytest.fixture(scope="package")
def shared(launch: Callable[..., OperatorProcess], _kept: list[OperatorProcess]) -> Callable[[], OperatorProcess]:
    """Gives an operator that is ready; the tests share one as long as it runs."""

    def ready() -> OperatorProcess:
        if not _kept or _kept[-1].process is None or _kept[-1].process.poll() is not None:
            _kept.append(launch(name="shared"))
        return _kept[-1].wait_ready()

    return ready


@pytest.fixture
def operator(shared: Callable[[], OperatorProcess]) -> OperatorProcess:
    """The operator that the tests share, ready."""
    return shared()
