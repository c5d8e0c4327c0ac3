"""A replica has to answer as the model did that was judged."""

from __future__ import annotations

import http.server
import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tradewind_workload.measure import agreement
from tradewind_workload.measure.agreement import Agreement, Expected
from tradewind_workload.measure.clients import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Answer = Callable[[float, int], tuple[int, dict[str, Any]]]  # to a number, beside so many others

ROWS = 40
SHARES = np.linspace(0.02, 0.98, ROWS)
BODIES = [json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [x]}]}) for x in SHARES]
JUDGED = np.stack([1 - SHARES, SHARES], 1).astype(np.float32)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that is busy all rows are asked, too."""
    monkeypatch.setattr(agreement, "SECONDS", 60.0)


def answered(share: float, label: int | None = None) -> tuple[int, dict[str, Any]]:
    label = int(share > 0.5) if label is None else label
    outputs = [{"name": "label", "data": [label]}, {"name": "probabilities", "data": [1 - share, share]}]
    return 200, {"outputs": outputs}


@contextmanager
def serving(answer: Answer) -> Iterator[int]:
    """A replica that answers so: its port."""
    beside, lock = [0], threading.Lock()
    others = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer in one piece, which is not waited for

        def do_POST(self) -> None:
            """Answer one row."""
            (tensor,) = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["inputs"]
            with lock:
                beside[0] += 1
                if beside[0] > 1:
                    others.set()
            if agreement.SECONDS and SHARES.tolist().index(tensor["data"][0]) % 2:  # one that many clients ask
                others.wait(60)
            code, document = answer(tensor["data"][0], 1 + others.is_set())
            with lock:
                beside[0] -= 1
            body = json.dumps(document).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 64  # of more connections at once the kernel drops some, and tries again a minute later

    with Server(("127.0.0.1", 0), Handler) as there:
        threading.Thread(target=there.serve_forever, daemon=True).start()
        yield there.server_port
        there.shutdown()


def differs(answer: Answer, asked: Agreement | None = None, *, rough: bool = False) -> str | None:
    with serving(answer) as port:
        return (asked or Agreement(BODIES)).differs(port, Expected(JUDGED, rough), 30)


def test_a_replica_that_answers_alike() -> None:
    assert differs(lambda x, _: answered(x)) is None
    assert differs(lambda x, _: answered(x + 0.0005)) is None, "another kernel"


def test_a_replica_that_answers_otherwise() -> None:
    wrong = differs(lambda x, _: answered(1 - x if x > 0.9 else x))
    assert wrong is not None
    assert wrong.startswith("over HTTP it answers a row that judges it otherwise than in this process")
    assert ": probabilities 0.9" in wrong and " here" in wrong
    label = differs(lambda x, _: answered(x, label=0))
    assert label is not None and label.endswith(": label 0, and 1 here")
    assert differs(lambda x, _: answered(x + 0.005)) is not None


def test_8_bits_turn_on_the_last_bit_of_a_float_in_a_few_rows() -> None:
    assert differs(lambda x, _: answered(x + 0.03 * (x == SHARES[3])), rough=True) is None
    assert differs(lambda x, _: answered(x + 0.06 * (x == SHARES[3])), rough=True) is not None
    wrong = differs(lambda x, _: answered(x + 0.005), rough=True)
    assert wrong is not None and wrong.startswith("over HTTP its answers to 40 rows that judge it are off by 0.0050 on")


def test_an_answer_that_depends_on_strangers_rows() -> None:
    wrong = differs(lambda x, others: answered(x if others == 1 else x * 0.9))
    assert wrong is not None and "in this process, asked by several clients at once: probabilities" in wrong


def test_a_row_that_the_baseline_refuses_is_asked_of_no_variant() -> None:
    def choosy(limit: float) -> Answer:
        return lambda x, _: answered(x) if x < limit else (400, {"error": "it is too large"})

    asked = Agreement(BODIES)
    assert differs(choosy(0.9), asked=asked) is None
    assert differs(choosy(0.9), asked=asked) is None
    why = differs(choosy(0.7), asked=asked)
    assert why is not None and why.startswith("it refuses row ") and why.endswith("it is too large")
    with pytest.raises(Failed, match="it answers 500 to a row of the data: no"):
        differs(lambda _, __: (500, {"error": "no"}))


def test_values_are_compared_in_their_own_scale() -> None:
    truths = np.linspace(1e-6, 5e-6, ROWS).astype(np.float32)

    def answer(off: float) -> Answer:
        by_share = dict(zip(SHARES.tolist(), truths.tolist(), strict=True))
        return lambda x, _: (200, {"outputs": [{"name": "prediction", "data": [by_share[x] + off]}]})

    for off, same in ((0.0, True), (1e-6, False)):
        with serving(answer(off)) as port:
            found = Agreement(BODIES).differs(port, Expected(truths, rough=False), 30)
        assert (found is None) is same, found


def test_several_labels() -> None:
    judged = np.stack([SHARES, 1 - SHARES, np.full(ROWS, 0.5)], 1).astype(np.float32)

    def answer(flip: int | None) -> Answer:
        def told(x: float, _: int) -> tuple[int, dict[str, Any]]:
            probabilities = [x, 1 - x, 0.5]
            labels = [(share >= 0.5) != (number == flip) for number, share in enumerate(probabilities)]
            return 200, {
                "outputs": [{"name": "labels", "data": labels}, {"name": "probabilities", "data": probabilities}]
            }

        return told

    for flip, same in ((None, True), (0, False), (2, True)):  # the last one is a close call
        with serving(answer(flip)) as port:
            found = Agreement(BODIES).differs(port, Expected(judged, rough=False), 30)
        assert (found is None) is same, found


def test_many_rows_are_not_all_asked_of_a_slow_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "SECONDS", 0.0)
    asked: list[float] = []

    def slow(x: float, _: int) -> tuple[int, dict[str, Any]]:
        asked.append(x)
        return answered(x)

    assert differs(slow) is None
    assert len(asked) == 2, "one by itself, and one of the others"
