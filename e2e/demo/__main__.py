"""`make demo` and `make demo-clean`."""

from __future__ import annotations

import os
import sys
import time

from e2e.demo import digits
from e2e.installation import OPERATOR_NAMESPACE, ROOT, Failed, cluster, connect, install, is_ours, prepare, say
from tradewind_cli.drawing import say_all


def show() -> None:
    """Set everything up, run the digits path, print its result; raise `Failed` if anything of it is missing."""
    say_all()
    start = time.monotonic()
    kubernetes = prepare()
    install(kubernetes)
    ready = time.monotonic()
    objects, answers = digits.run(kubernetes)
    print(digits.describe(objects, answers))
    path, picture = digits.write(ROOT / "build", objects, answers)
    gaps = digits.missing(objects, answers)
    spent = f"set up in {ready - start:.0f} s, digits in {time.monotonic() - ready:.0f} s"
    print(f"\n{spent}; all of it: {path.relative_to(ROOT)}, the frontier: {picture.relative_to(ROOT)}")
    if gaps:
        raise Failed("; ".join(gaps))
    where = (
        f"kubectl --context {kubernetes.context}"
        if kubernetes.context
        else f"KUBECONFIG={kubernetes.kubeconfig} {kubernetes.kubectl}"
    )
    print(f"Look around with `{where} -n {digits.NAMESPACE} get tradewind`; `make demo-clean` removes it all.")


def clean() -> None:
    """Remove what the demo made; nothing else on a cluster of the user's."""
    if not os.environ.get("CONTEXT"):
        cluster("down")
        return
    kubernetes = connect()
    say("removing the example")
    kubernetes.run("delete", "namespace", digits.NAMESPACE, "--ignore-not-found", "--wait=true")
    running = kubernetes.find("deployment", "tradewind-operator", "-n", OPERATOR_NAMESPACE)
    if running and not is_ours(running):
        say(f"leaving the operator in {OPERATOR_NAMESPACE}, which the demo did not install")
        return
    say("removing the operator")
    kubernetes.run("delete", "-k", "e2e/overlay", "--ignore-not-found", "--wait=true")
    if kubernetes.find("namespace", OPERATOR_NAMESPACE):
        raise Failed(f"namespace {OPERATOR_NAMESPACE} is still there")


if __name__ == "__main__":
    try:
        clean() if sys.argv[1:] == ["clean"] else show()
    except Failed as failure:
        sys.exit(f"demo: {failure}")
