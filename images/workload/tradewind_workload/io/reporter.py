"""Tells the operator how the work goes: a report a few seconds in the background, and a last one that must arrive."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import sys
import threading
import time
import urllib.error
import urllib.request
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tradewind_workload.io.fault import Superseded
from tradewind_workload.io.places import MOUNT

if TYPE_CHECKING:
    from collections.abc import Callable

UTC = timezone.utc  # noqa: UP017 -- Python 3.10 has no datetime.UTC
INTERVAL = 3.0  # seconds between two progress reports
PATIENCE = 600.0  # seconds that a last report is tried for


def rfc3339(moment: datetime | None = None) -> str:
    """A time as Kubernetes writes it; now when none is given."""
    return (moment or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")


class Refused(Exception):
    """The operator will not take this report, however often it is sent."""


class _Unanswered(Exception):
    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Addressed(Protocol):
    """A document of a job, as far as its reports need it."""

    @property
    def run(self) -> str:
        """Name of the run."""

    @property
    def report_url(self) -> str:
        """URL to post reports to; empty for none."""


class Reporter:
    """Sends reports of one job: api.report.Report in its JSON form.

    `on_superseded` is called from the sending thread when the operator has moved on.
    """

    def __init__(
        self,
        job: Addressed,
        *,
        mount: Path | None = None,
        interval: float = INTERVAL,
        patience: float = PATIENCE,
        on_superseded: Callable[[], None] | None = None,
    ) -> None:
        self._job = job
        self._mount = mount or Path(os.environ.get("TRADEWIND_MOUNT", MOUNT))
        self._interval = interval
        self._patience = patience
        self._on_superseded = on_superseded or (lambda: None)
        self._slot: dict[str, Any] | None = (
            None  # the latest report that was not sent; an older one is of no use to anyone
        )
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def progress(self, report: dict[str, Any]) -> None:
        """Leave a report for the background thread. Never blocks, never fails."""
        if not self._job.report_url:
            return
        with self._changed:
            if self._closed:
                return
            self._slot = {"run": self._job.run, **report}
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="tradewind-report", daemon=True)
                self._thread.start()
            self._changed.notify()

    def final(self, report: dict[str, Any]) -> None:
        """Send the last report, and return when the operator has it in the object's status.

        Raises Superseded where the operator has moved on, Refused where it will not take the report, and TimeoutError
        when it could not be reached in time.
        """
        with self._changed:
            self._closed = True
            self._slot = None
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(timeout=15)  # what is on its way must not arrive after the last report
        report = {"run": self._job.run, **report}
        if not self._job.report_url:
            print(f"no report URL; the result is {json.dumps(report)}", flush=True)
            return None
        end = time.monotonic() + self._patience
        pause = 1.0
        while True:
            try:
                return self._post(report)
            except _Unanswered as error:
                wait = max(pause, error.retry_after or 0.0)
                if time.monotonic() + wait > end:
                    raise TimeoutError(
                        f"the operator did not take the result in {self._patience:.0f} s: {error}"
                    ) from None
                print(f"result not delivered yet, again in {wait:.0f} s: {error}", file=sys.stderr, flush=True)
                time.sleep(wait)
                pause = min(pause * 2, 30.0)

    def close(self) -> None:
        """Send what is left, once, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(timeout=15)

    def _run(self) -> None:
        while True:
            with self._changed:
                while self._slot is None and not self._closed:
                    self._changed.wait()
                report, self._slot = self._slot, None
                if report is None:
                    return
            try:
                self._post(report)
            except Superseded:
                self._on_superseded()
                return
            except (_Unanswered, Refused) as error:  # the next report says more than this one would
                print(f"progress not reported: {error}", file=sys.stderr, flush=True)
            with self._changed:
                if not self._closed:
                    self._changed.wait_for(lambda: self._closed, timeout=self._interval)

    def _post(self, report: dict[str, Any]) -> None:
        try:
            # Both are read at each try: the kubelet renews the token, an installation may renew the certificates.
            token = (self._mount / "token").read_text().strip()
            context = ssl.create_default_context(cafile=str(self._mount / "ca.crt"))
        except (OSError, ssl.SSLError) as error:
            raise _Unanswered(f"token or ca.crt can't be read: {error}") from None
        request = urllib.request.Request(  # noqa: S310 -- the opener below knows https only by our authority
            self._job.report_url,
            data=json.dumps(report).encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            method="POST",
        )
        # No proxy of the user's environment: the token is for the operator alone.
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context), _NoRedirect()
        )
        try:
            with opener.open(request, timeout=12) as answer:
                answer.read()
        except urllib.error.HTTPError as error:
            said = error.read(2048).decode(errors="replace").strip()
            if error.code in (404, 409):
                raise Superseded(said) from None
            if error.code in (400, 413, 422):
                raise Refused(f"{error.code} {said}") from None
            raise _Unanswered(f"{error.code} {said}", _seconds(error.headers.get("Retry-After"))) from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise _Unanswered(str(error)) from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def _seconds(header: str | None) -> float | None:
    return float(header) if header and header.isdigit() else None
