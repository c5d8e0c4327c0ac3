"""The chart over its life on a real API server: installed, changed, removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from e2e.cluster.apiserver import ApiServer
from tests.packaging.conftest import CHART, Manifest, helm

# KServe is not installed here.
VALUES: Manifest = {"servingRuntime": {"install": False}}


@pytest.fixture(scope="module")
def bare() -> Iterator[ApiServer]:
    """An API server on which nothing is installed."""
    with ApiServer() as running:
        yield running


@pytest.fixture
def release(bare: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Runs a command of Helm on the release `tradewind`, which is removed at the end."""
    for what in ("CACHE", "CONFIG", "DATA"):
        monkeypatch.setenv(f"HELM_{what}_HOME", str(tmp_path))

    def run(command: str, *arguments: str, **values: Manifest) -> None:
        options = ["--kubeconfig", str(bare.kubeconfig), "--namespace", "tradewind", *arguments]
        done = helm(command, "tradewind", *options, values=None if command == "uninstall" else VALUES | values)
        assert done.returncode == 0, done.stderr

    yield run
    run("uninstall", "--ignore-not-found")


def test_it_is_installed_upgraded_and_removed(bare: ApiServer, release: Callable[..., None]) -> None:
    def names(kind: str) -> list[str]:
        return bare.kubectl("get", kind, "-n", "tradewind", "-o", "name", "--ignore-not-found").split()

    def version() -> str:
        path = "jsonpath={.items[*].metadata.resourceVersion}"
        return bare.kubectl("get", "deployment", "-n", "tradewind", "-o", path)

    def image() -> str:
        return bare.kubectl("get", "deployment", "-n", "tradewind", "-o", "jsonpath={..image}")

    release("install", str(CHART), "--create-namespace")
    assert names("deployment") == ["deployment.apps/tradewind-operator"]
    assert len(names("customresourcedefinition")) == 3
    installed = version()
    [certificate] = names("job")

    release("upgrade", str(CHART))
    assert version() == installed

    release("upgrade", str(CHART), images={"operator": "registry.example.com/operator:2"})
    assert image() == "registry.example.com/operator:2"
    [another] = names("job")
    assert another != certificate

    release("uninstall")
    assert names("deployment,service,serviceaccount,role,rolebinding") == []
    assert "clusterrole.rbac.authorization.k8s.io/tradewind-operator" not in names("clusterrole")
    assert len(names("customresourcedefinition")) == 3


def test_the_roles_for_people_reach_those_who_edit_a_namespace(bare: ApiServer, release: Callable[..., None]) -> None:
    release("install", str(CHART), "--create-namespace")
    roles = yaml.safe_load(bare.kubectl("get", "clusterrole", "tradewind-edit", "tradewind-view", "-o", "yaml"))[
        "items"
    ]
    edit, view = (role["metadata"]["labels"] for role in roles)
    aggregate = "rbac.authorization.k8s.io/aggregate-to-"
    assert edit[f"{aggregate}edit"] == edit[f"{aggregate}admin"] == view[f"{aggregate}view"] == "true"
    assert f"{aggregate}view" not in edit
