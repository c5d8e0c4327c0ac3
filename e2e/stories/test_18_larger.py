"""A table three times larger than the memory of all pods: trained by two workers, and the model compressed, in these.

The kernel's own groups say what each pod holds. Each has its memory as its limit: more, and it is killed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from e2e.cluster import cgroups
from e2e.installation import Kubernetes, condition, say
from e2e.memory import Watch
from e2e.stories.jobs import compression, python_said, start_python, training
from e2e.stories.waiting import Item, until
from tradewind.core.quantity import parse

TIMES = 3
MEMORY = "1500Mi"  # of a worker
HEAD = "2Gi"  # of the head, which the operator sets
NUMBERS, TEXTS, LENGTH = 8, 8, 48
ROW = 8 * NUMBERS + (8 + LENGTH) * (TEXTS + 1)  # bytes of the values of a row, as the log has them
FILES = 8
MIB = 1 << 20

# Orders as a warehouse might have them: the label is said by numbers and by the names of things.
MAKE = """
import os
import numpy as np, pyarrow as pa, pyarrow.parquet
numbers, texts, length, rows, files = (int(os.environ[n]) for n in ("NUMBERS", "TEXTS", "LENGTH", "ROWS", "FILES"))
folder = "/mnt/pvc/digits/larger"
os.makedirs(folder, exist_ok=True)
random = np.random.default_rng(7)
words = [pa.array([f"thing {number} of column {i} ".ljust(length, "x") for number in range(200)]) for i in range(texts)]
names = pa.array([name.ljust(length, ".") for name in ("late", "on time")])
worth = random.normal(size=(texts, 200))
schema = pa.schema([*((f"n{i}", pa.float64()) for i in range(numbers)), *((f"t{i}", pa.string()) for i in range(texts)),
                    ("state", pa.string())])
for number in range(files):
    with pyarrow.parquet.ParquetWriter(f"{folder}/{number}.parquet", schema) as writer:
        for start in range(0, rows // files, 65536):
            some = min(65536, rows // files - start)
            values = random.normal(size=(numbers, some)).round(3)
            chosen = random.integers(0, 200, (texts, some))
            score = values[:4].sum(0) + sum(worth[i][chosen[i]] for i in range(texts)) + random.normal(size=some)
            columns = [*map(pa.array, values), *(words[i].take(pa.array(chosen[i])) for i in range(texts)),
                       names.take(pa.array((score > 0).astype(int)))]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
print(sum(os.path.getsize(f"{folder}/{name}") for name in os.listdir(folder)) >> 20)
"""


class Pods:
    """What the pods of a job hold while it runs."""

    def __init__(self, kubernetes: Kubernetes, namespace: str, kind: str, name: str) -> None:
        self._kubernetes, self._namespace = kubernetes, namespace
        self._of = f"tradewind.dev/kind={kind},tradewind.dev/name={name}"
        self.groups: dict[str, Path] = {}
        self.limits: dict[str, int] = {}

    def look(self) -> None:
        """Find those that there are now."""
        for pod in self._kubernetes.get("pods", "-n", self._namespace, "-l", self._of)["items"]:
            if (group := cgroups.memory_of(pod["metadata"]["uid"])) is not None:
                limits = (parse(container["resources"]["limits"]["memory"]) for container in pod["spec"]["containers"])
                self.limits[pod["metadata"]["name"]] = int(sum(limits))
                self.groups[pod["metadata"]["name"]] = group


def played(kubernetes: Kubernetes, item: Item, pods: int, timeout: float) -> Item:
    """Apply a job and wait for its end. No pod of it may hold more than its limit, or be killed."""
    kind, name, namespace = item["kind"], item["metadata"]["name"], item["metadata"]["namespace"]
    kubernetes.apply(yaml.safe_dump(item))
    seen = Pods(kubernetes, namespace, kind, name)

    def over() -> Item | None:
        seen.look()
        found = kubernetes.get(kind.lower(), name, "-n", namespace)
        ended = any(condition(found, end).get("status") == "True" for end in ("Complete", "Failed"))
        return found if ended else None

    with Watch(lambda: dict(seen.groups)) as watch:
        found: Item = until(f"the end of {kind} {name}", over, timeout, every=2)
    for pod, limit in seen.limits.items():
        held = watch.peaks[pod]
        say(f"{pod}: {held.own / MIB:.0f} of {limit / MIB:.0f} MiB, beside {held.cache / MIB:.0f} MiB of page cache")
    assert condition(found, "Complete").get("status") == "True", found["status"]
    assert found["status"]["attempt"]["number"] == 1
    assert len(seen.limits) == pods
    assert not any(watch.killed.values())
    assert all(watch.peaks[pod].own < limit for pod, limit in seen.limits.items())
    return found


def test_a_table_larger_than_all_pods_is_trained_on_and_compressed(local: Kubernetes, data: str) -> None:
    pods = 2 * parse(MEMORY) + parse(HEAD)
    rows = FILES * (int(TIMES * pods / ROW / FILES) + 1)
    sizes: dict[str, Any] = {"NUMBERS": NUMBERS, "TEXTS": TEXTS, "LENGTH": LENGTH, "ROWS": rows, "FILES": FILES}
    start_python(local, data, "make-larger", MAKE, **{name: str(size) for name, size in sizes.items()})
    say(
        f"{rows:,} rows of {ROW * rows / MIB:.0f} MiB in {python_said(local, data, 'make-larger', 1800)} MiB of Parquet"
    )

    item = training(data, "larger", epochs=1)
    item["spec"]["workers"] = 2
    item["spec"]["resources"] |= {"memory": MEMORY}
    item["spec"]["recipe"] |= {"task": "tabular-classification", "batchSize": 4096, "optimizer": {"lr": "0.005"}}
    item["spec"]["data"] = {
        "train": {"storageUri": "pvc://digits/larger"},
        "label": "state",
        "validationFraction": "0.02",
    }
    item["spec"]["output"]["storageUri"] = "pvc://digits/larger-model"
    trained = played(local, item, pods=3, timeout=3600)["status"]["model"]
    assert trained["evaluation"]["betterThanGuessing"]

    smaller = compression(data, "larger", "larger")
    smaller["spec"]["candidates"] = [{"name": "int8", "methods": [{"quantize": {"scheme": "static-int8"}}]}]
    smaller["spec"]["output"]["storageUri"] = "pvc://digits/larger-variants"
    variants = played(local, smaller, pods=1, timeout=3600)["status"]["variants"]
    baseline, int8 = (next(row for row in variants if row["name"] == name) for name in ("baseline", "int8"))
    assert baseline["quality"]["value"] == trained["evaluation"]["value"]
    assert float(int8["quality"]["value"]) > float(baseline["quality"]["value"]) - 0.02
    local.run("-n", data, "delete", "compressionjob/larger", "trainingjob/larger")
    start_python(
        local,
        data,
        "sweep-larger",
        "import glob, shutil\nfor p in glob.glob('/mnt/pvc/digits/larger*'): shutil.rmtree(p)",
    )
    python_said(local, data, "sweep-larger")
