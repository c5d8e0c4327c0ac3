"""The operator with a clock on its event loop, see `held.py`."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from pathlib import Path

import aiohttp

from e2e.bench.controlplane.contestants import TRADEWIND, Contestant, Installed
from e2e.equipment import CONFIG

CALM_SECONDS = 2.0  # without a key that waits, after which a look at all objects is over
SEEN_SECONDS = 5.0  # until a changed configuration is seen
# Another pool, which no object names.
MORE = CONFIG.replace("images:", '  - {name: other, node: {cpu: "1", memory: 1Gi}}\nimages:')


class Timed(Contestant):
    """The operator with a clock on its event loop."""

    def __init__(self, installed: Installed) -> None:
        super().__init__(TRADEWIND, installed)

    def _ours(self) -> list[str]:
        command = super()._ours()
        at = command.index("-m")
        return [*command[:at], str(Path(__file__).with_name("held.py")), str(self._times), *command[at + 2 :]]

    @property
    def _times(self) -> Path:
        return self.log.with_suffix(".json")

    async def until_ready(self) -> float:
        """Wait until it is; the seconds since it was started. What it does before it has the lease is not timed."""
        await self.until_logged("this replica is active")
        await self.held()
        return await super().until_ready()

    async def held(self) -> dict[str, float]:
        """For how long the loop was held at most since the last time, milliseconds."""
        self._times.unlink(missing_ok=True)
        self.send(signal.SIGUSR1)
        async with asyncio.timeout(30):
            while True:
                if self._times.exists():
                    break
                await asyncio.sleep(0.01)
        return {name: 1000 * seconds for name, seconds in json.loads(self._times.read_text()).items()}

    async def calm(self) -> None:
        """Wait until it has looked at all objects."""
        since = time.monotonic()
        async with aiohttp.ClientSession() as session:
            while time.monotonic() - since < CALM_SECONDS:
                async with session.get(f"http://127.0.0.1:{self._metrics}/metrics") as answer:
                    lines = (await answer.text()).splitlines()
                if "tradewind_queue_depth 0.0" not in lines:
                    since = time.monotonic()
                await asyncio.sleep(0.1)

    async def change_configuration(self) -> None:
        """Change the configuration in a way that changes no plan; wait until all objects were looked at again."""
        path = self._folder / "config.yaml"
        path.write_text(MORE if path.read_text() == CONFIG else CONFIG)
        await asyncio.sleep(SEEN_SECONDS)
        await self.calm()
