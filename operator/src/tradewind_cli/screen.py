"""What a person at a terminal sees of a job: its log, and a bar below it; without a terminal, the log alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from tradewind.api.report import Report

if TYPE_CHECKING:
    from types import TracebackType


class Screen:
    """Takes the reports of one job, as the operator would: the last one is `report`."""

    def __init__(self, title: str) -> None:
        self.report: Report | None = None
        console = Console()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[metrics]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(title, total=100, metrics="")

    def __enter__(self) -> Screen:
        """Show the bar; what the job prints appears above it."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away."""
        self._bar.stop()

    def progress(self, report: dict[str, Any]) -> None:
        """Move the bar. Never fails."""
        status = Report.read(report).trainer_status
        if status is None:
            return
        metrics = ", ".join(f"{metric.name} {metric.value}" for metric in status.metrics)
        self._bar.update(self._task, completed=status.progress_percentage, metrics=metrics)

    def final(self, report: dict[str, Any]) -> None:
        """Keep the result."""
        self.report = Report.read(report)

    def close(self) -> None:
        """Nothing is left to send."""
