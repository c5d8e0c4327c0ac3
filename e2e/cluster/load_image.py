"""Images into the cluster's containerd, of which only those layers travel that it lacks."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import IO, Any, cast

from e2e.cluster.binaries import binary
from e2e.cluster.buildah import release, storage
from e2e.cluster.oci import blob_path, manifest_of, reference, slug
from e2e.cluster.places import RUN, cache, logs
from e2e.cluster.progress import Failed, run, run_long, say
from e2e.cluster.record import Record

SOCKET = RUN / "containerd" / "containerd.sock"
NAMESPACE = "k8s.io"


def ctr(*arguments: str | Path) -> str:
    """Run ctr in the namespace of the kubelet's images."""
    return run(binary("ctr"), "--address", SOCKET, "--namespace", NAMESPACE, *arguments)


def digests() -> dict[str, str]:
    """The digest of each image in containerd, by reference."""
    rows = [line.split() for line in ctr("images", "ls").splitlines()[1:]]
    return {row[0]: row[2] for row in rows if len(row) > 2}


def load_layout(name: str, layout: Path) -> None:
    """Import the one image of an OCI layout under that name."""
    manifest = manifest_of(layout)
    target = reference(name)
    before = digests().get(target)
    if before == manifest["digest"]:
        say(f"image {name}: already in the cluster")
        return
    there = _content()
    parts = json.loads(blob_path(layout, manifest["digest"]).read_text())
    blobs = [manifest, parts["config"], *(layer for layer in parts["layers"] if layer["digest"] not in there)]
    megabytes = sum(blob["size"] for blob in blobs) / 1e6
    say(f"image {name}: loading {len(blobs) - 2} of {len(parts['layers'])} layers, {megabytes:.0f} MB")
    index = {
        **manifest,
        "annotations": {
            "io.containerd.image.name": target,
            "org.opencontainers.image.ref.name": target.rpartition(":")[2],
        },
    }
    command = [
        str(part) for part in (binary("ctr"), "--address", SOCKET, "--namespace", NAMESPACE, "images", "import", "-")
    ]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    with contextlib.suppress(BrokenPipeError):  # its own words below say why
        _write_archive(cast(IO[bytes], process.stdin), index, layout, {blob["digest"] for blob in blobs})
    process.stdin = None  # closed already, which communicate() does not expect
    output, _ = process.communicate()
    if process.returncode:
        raise Failed(f"importing {name} failed:\n{output.decode(errors='replace')[-3000:]}")
    if digests().get(target) != manifest["digest"]:
        raise Failed(f"containerd imported {name}, but not as {target}:\n{output.decode(errors='replace')[-3000:]}")
    _forget(before)


def _forget(digest: str | None) -> None:
    """Let go of an image that no name is left of, but the one that the kubelet's side gives each: it may be 7 GB."""
    names = [name for name, image in digests().items() if image == digest]
    if names and all(name.startswith("sha256:") for name in names):
        ctr("images", "rm", *names)


def _write_archive(pipe: IO[bytes], descriptor: dict[str, Any], layout: Path, digests: set[str]) -> None:
    with tarfile.open(fileobj=pipe, mode="w|") as archive:
        texts = {
            "oci-layout": '{"imageLayoutVersion": "1.0.0"}',
            "index.json": json.dumps({"schemaVersion": 2, "manifests": [descriptor]}),
        }
        for path, text in texts.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
        for digest in sorted(digests):
            archive.add(blob_path(layout, digest), arcname=f"blobs/{digest.replace(':', '/')}")
    pipe.close()


def load_image(name: str, source: Path | None = None) -> None:
    """Import an image from an OCI layout or an archive; without one, what `build-image` made under that name."""
    if not SOCKET.exists():
        raise Failed("the cluster is not up: run `python3 -m e2e.cluster up`")
    if source is None:
        load_built(name)
    elif source.is_dir():
        load_layout(name, source)
    elif source.is_file():
        _load_archive(name, source)
    else:
        raise Failed(f"there is no image at {source}")


def _load_archive(name: str, source: Path) -> None:
    with tempfile.TemporaryDirectory(dir=cache(), prefix=".unpacking-") as folder:
        with tarfile.open(source) as archive:
            members = {member.name.removeprefix("./") for member in archive}
            if "index.json" in members:
                archive.extractall(folder, filter="data")
        if "index.json" in members:
            load_layout(name, Path(folder))
            return
    ctr("images", "import", source)
    say(f"image archive {source.name}: loaded under the names that it gives")


def load_built(name: str) -> None:
    """Import the image of that name from buildah's storage."""
    store = Record().get("image-store", "containerd")
    if not store:
        raise Failed("the cluster is not up: run `python3 -m e2e.cluster up`")
    have = Path(store.about["path"]) / "io.containerd.content.v1.content" / "blobs"
    with tempfile.TemporaryDirectory(dir=cache(), prefix=".layout-") as folder:
        layout = Path(folder)
        (layout / "blobs" / "sha256").mkdir(parents=True)
        # A layer that is in the layout is not written again, and what containerd has may as well lie there.
        for digest in _content():
            blob_path(layout, digest).symlink_to(have / digest.replace(":", "/"))
        # Without compression: that would take longer than all the rest, and buildah itself can't leave it out here.
        command = [
            "skopeo",
            "copy",
            "--dest-oci-accept-uncompressed-layers",
            storage(reference(name)),
            f"oci:{layout}:latest",
        ]
        try:
            run_long(f"image {name}: reading new layers", command, logs() / f"export-{slug(name)}.log")
        finally:
            release()
        load_layout(name, layout)


def _content() -> set[str]:
    """The digests of all blobs in containerd."""
    return set(ctr("content", "ls", "--quiet").split())
