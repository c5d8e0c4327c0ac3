"""The API server's own priority and fairness: few seats, shared by the operator and a client that takes them all."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import Counter

import aiohttp

from e2e.faults.bench import Bench, Run
from e2e.faults.history import Manifest
from e2e.faults.matrix import Matrix
from e2e.faults.stage import STEP_SECONDS
from e2e.faults.tally import Tally

FAULT = "few seats, noisy client"
API = "/apis/flowcontrol.apiserver.k8s.io/v1"
NOISY = 3  # requests at once, as many as there are seats
REST_SECONDS, LONG_REST_SECONDS = 0.6, 1.5  # between two of them, in the whole run and else
# Then there are seats enough: where the machine is slow, there may be none at all before.
NOISE_SECONDS, SHORT_NOISE_SECONDS = 60.0, 20.0
PATIENCE = 2 * STEP_SECONDS
LIVES_OF_A_KIND = 2
LEAST = 5  # answers 429 to the operator without which nothing was shown

# The API server waits 3 s for a version that etcd has not reached, and the request keeps its seat meanwhile.
_WAITS = "/api/v1/namespaces/default/configmaps?resourceVersion=999999999999&resourceVersionMatch=NotOlderThan"


def _level() -> Manifest:
    limited = {
        "nominalConcurrencyShares": 1,
        "lendablePercent": 0,
        "borrowingLimitPercent": 0,
        "limitResponse": {"type": "Reject"},
    }
    return {"metadata": {"name": "few-seats"}, "spec": {"type": "Limited", "limited": limited}}


def _flows() -> Manifest:
    accounts = (("tradewind-system", "tradewind-operator"), ("default", "noisy"))
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": True}
    subjects = [
        {"kind": "ServiceAccount", "serviceAccount": {"namespace": namespace, "name": name}}
        for namespace, name in accounts
    ]
    rule = {"subjects": subjects, "resourceRules": [everything]}
    level = {"name": "few-seats"}
    return {
        "metadata": {"name": "few-seats"},
        "spec": {"priorityLevelConfiguration": level, "matchingPrecedence": 100, "rules": [rule]},
    }


async def throttling(bench: Bench, tally: Tally, matrix: Matrix, whole: bool) -> None:
    """Play lives while the seats are taken most of the time."""
    await bench.paused()
    noise = _Noise(bench, REST_SECONDS if whole else LONG_REST_SECONDS)
    await noise.prepare()
    admin, [operator] = bench.admin, bench.running
    await admin.send("POST", f"{API}/prioritylevelconfigurations", _level())
    await admin.send("POST", f"{API}/flowschemas", _flows())
    before, ends = bench.proxy.answers[429], len(operator.exits)
    bench.patience, bench.may_lack_events = PATIENCE, True
    async with noise:
        await asyncio.sleep(NOISY)  # until all make noise
        asyncio.get_running_loop().call_later(NOISE_SECONDS if whole else SHORT_NOISE_SECONDS, noise.end)
        lives = [life for life in matrix.lives for _ in range(LIVES_OF_A_KIND if whole else 1)]
        runs: list[Run] = await asyncio.gather(
            *(bench.under(FAULT, life, matrix.usual[life.name]) for life in lives),
        )
    refused = bench.proxy.answers[429] - before
    bench.patience, bench.may_lack_events = STEP_SECONDS, False
    await admin.send("DELETE", f"{API}/flowschemas/few-seats")
    await admin.send("DELETE", f"{API}/prioritylevelconfigurations/few-seats")
    tally.add(runs)
    if refused < LEAST:
        tally.complain(f"{FAULT}: the operator got {refused} answers 429: nothing is shown by that")
    lost = operator.exits[ends:]
    if any(code != 1 for code in lost):
        tally.complain(f"{FAULT}: the operator ended with the exit codes {lost}: only a lost lease is a reason")
    operator.exits[ends:] = []  # told of here
    tally.line(
        "",
        FAULT,
        f"{refused} answers 429 to the operator and {noise.answers[429]} of {noise.answers.total()} to the other",
        f"{len(lost)} ends of the operator",
    )


class _Noise:
    """Another client of the same priority level."""

    def __init__(self, bench: Bench, rest: float) -> None:
        self._bench, self._rest = bench, rest
        self._tasks: list[asyncio.Task[None]] = []
        self.answers: Counter[int] = Counter()

    async def prepare(self) -> None:
        """A service account of its own that may list ConfigMaps."""
        admin, account = self._bench.admin, "/api/v1/namespaces/default/serviceaccounts"
        rights = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
        rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]
        subject = {"kind": "ServiceAccount", "name": "noisy", "namespace": "default"}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "noisy"}
        await admin.send("POST", account, {"metadata": {"name": "noisy"}})
        await admin.send("POST", f"{rights}/roles", {"metadata": {"name": "noisy"}, "rules": rules})
        binding = {"metadata": {"name": "noisy"}, "roleRef": role, "subjects": [subject]}
        await admin.send("POST", f"{rights}/rolebindings", binding)
        made = await admin.send("POST", f"{account}/noisy/token", {"spec": {"expirationSeconds": 3600}})
        self._token = made["status"]["token"]

    async def __aenter__(self) -> None:
        self._session = aiohttp.ClientSession(headers={"Authorization": f"Bearer {self._token}"})
        for number in range(NOISY):
            self._tasks.append(asyncio.create_task(self._go_on(number)))

    def end(self) -> None:
        """Make no noise any more."""
        for task in self._tasks:
            task.cancel()

    async def __aexit__(self, *error: object) -> None:
        self.end()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._session.close()

    async def _go_on(self, number: int) -> None:
        url = self._bench.server.url + _WAITS
        # Without the administrator's certificate, for whom there is always a seat.
        tls = ssl.create_default_context(cafile=str(self._bench.server.ca))
        await asyncio.sleep(number)
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with self._session.get(url, ssl=tls) as answer:
                    self.answers[answer.status] += 1
            await asyncio.sleep(self._rest)
