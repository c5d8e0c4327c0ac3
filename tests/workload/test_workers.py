"""The workers of a training, as actors of Ray: who they are told they are, and whose error counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from ray.exceptions import RayActorError

from tradewind_workload.io.fault import Fault, fault_in
from tradewind_workload.train import workers

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("ray_cluster")
EACH = {"CPU": 1.0}


# Ray's processes don't know this module: what they run is sent to them by its content.
def _functions() -> tuple[Any, ...]:
    def present(config: dict[str, Any]) -> None:
        import os
        import socket
        from pathlib import Path

        member = config["member"]
        if member.rank == 0:
            with socket.socket(fileno=member.door) as door:
                caller, _ = door.accept()
                said = caller.recv(100).decode()
        else:
            with socket.create_connection(member.meeting) as caller:
                said = f"{member.rank} of {member.world}"
                caller.sendall(said.encode())
        Path(config["folder"], str(member.rank)).write_text(f"{said}, {os.getpid()}, {member.gpu}")

    def fault(config: dict[str, Any]) -> None:
        import time

        from tradewind_workload.io.fault import Fault

        if config["member"].rank == 1:
            raise Fault("InvalidData", "row 3 is wrong")
        time.sleep(600)  # as one that waits for the other

    def death(config: dict[str, Any]) -> None:
        import os
        import signal
        import time
        from pathlib import Path

        mark = Path(config["folder"], "mark")
        if config["member"].rank == 1:
            while not mark.exists():
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)
        mark.touch()
        raise RuntimeError("connection closed by peer")

    return present, fault, death


present, fault, death = _functions()


def test_each_knows_its_rank_and_where_all_meet(tmp_path: Path) -> None:
    workers.train(present, {"folder": str(tmp_path)}, world=2, each=EACH)
    first, second = ((tmp_path / str(rank)).read_text().split(", ") for rank in range(2))
    assert (first[0], second[0]) == ("1 of 2", "1 of 2")
    assert first[1] != second[1]
    assert (first[2], second[2]) == ("False", "False")


def test_a_fault_of_one_ends_all() -> None:
    with pytest.raises(Exception, match="row 3 is wrong") as caught:
        workers.train(fault, {}, world=2, each=EACH)
    assert isinstance(fault_in(caught.value), Fault)


def test_a_death_counts_and_not_what_the_others_say_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_SECONDS_FOR_THE_CAUSE", 600)  # however late Ray hears of it
    with pytest.raises(RayActorError):
        workers.train(death, {"folder": str(tmp_path)}, world=2, each=EACH)
