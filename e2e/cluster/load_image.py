"""Images into the cluster's containerd, of which only those layers travel that it lacks."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from e2e.cluster.binaries import binary
from e2e.cluster.buildah import buildah
from e2e.cluster.oci import blob_path, manifest_of, reference, slug
from e2e.cluster.places import RUN, cache, locked, logs
from e2e.cluster.progress import Failed, run, run_long, say

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
    if digests().get(target) == manifest["digest"]:
        say(f"image {name}: already in the cluster")
        return
    there = set(ctr("content", "ls", "--quiet").split())
    parts = json.loads(blob_path(layout, manifest["digest"]).read_text())
    blobs = [manifest, parts["config"], *(layer for layer in parts["layers"] if layer["digest"] not in there)]
    hollow = [blob["digest"] for blob in blobs if not _is_whole(layout, blob)]
    if hollow:
        raise Incomplete(f"{layout} lacks {', '.join(hollow)}")
    megabytes = sum(blob["size"] for blob in blobs) / 1e6
    say(f"image {name}: loading {len(blobs) - 2} of {len(parts['layers'])} layers, {megabytes:.0f} MB")
    index = {**manifest, "annotations": {"io.containerd.image.name": target, "org.opencontainers.image.ref.name": target.rpartition(":")[2]}}
    command = [str(part) for part in (binary("ctr"), "--address", SOCKET, "--namespace", NAMESPACE, "images", "import", "-")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        _write_archive(cast(IO[bytes], process.stdin), index, layout, {blob["digest"] for blob in blobs})
    except BrokenPipeError:
        pass  # its own words below say why
    process.stdin = None  # closed already, which communicate() does not expect
    output, _ = process.communicate()
    if process.returncode:
        raise Failed(f"importing {name} failed:\n{output.decode(errors='replace')[-3000:]}")
    if digests().get(target) != manifest["digest"]:
        raise Failed(f"containerd imported {name}, but not as {target}:\n{output.decode(errors='replace')[-3000:]}")


class Incomplete(Exception):
    """A layout no longer has a layer that containerd lacks; it must be written again."""


def _write_archive(pipe: IO[bytes], descriptor: dict[str, Any], layout: Path, digests: set[str]) -> None:
    with tarfile.open(fileobj=pipe, mode="w|") as archive:
        texts = {"oci-layout": '{"imageLayoutVersion": "1.0.0"}', "index.json": json.dumps({"schemaVersion": 2, "manifests": [descriptor]})}
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
        return load_built(name)
    if source.is_dir():
        return load_layout(name, source)
    if not source.is_file():
        raise Failed(f"there is no image at {source}")
    with tempfile.TemporaryDirectory(dir=cache(), prefix=".unpacking-") as folder:
        with tarfile.open(source) as archive:
            members = {member.name.removeprefix("./") for member in archive}
            if "index.json" in members:
                archive.extractall(folder, filter="data")
        if "index.json" in members:
            return load_layout(name, Path(folder))
    ctr("images", "import", source)
    say(f"image archive {source.name}: loaded under the names that it gives")


def load_built(name: str) -> None:
    """Import the image of that name from buildah's storage."""
    layout = cache() / "images" / "layouts" / slug(name)
    with locked(layout.with_suffix(".lock")):
        _export(name, layout)
        try:
            load_layout(name, layout)
        except Incomplete:
            # containerd's store is a new one: what was emptied here is needed again.
            for path in _hollow_blobs(layout):
                path.unlink()
            _export(name, layout)
            load_layout(name, layout)
        _empty(layout)


def _export(name: str, layout: Path) -> None:
    layout.mkdir(parents=True, exist_ok=True)
    # Else the layout would collect every image that ever had this name.
    (layout / "index.json").unlink(missing_ok=True)
    # Compression would take longer than all the rest, and nothing leaves this machine.
    command = [*buildah(), "push", "--disable-compression", reference(name), f"oci:{layout}:latest"]
    run_long(f"image {name}: writing new layers", command, logs() / f"push-{slug(name)}.log")


def _is_whole(layout: Path, blob: dict[str, Any]) -> bool:
    path = blob_path(layout, blob["digest"])
    return path.exists() and not _is_hollow(path)


def _is_hollow(path: Path) -> bool:
    status = path.stat()
    return status.st_size > 0 and status.st_blocks == 0


def _hollow_blobs(layout: Path) -> Iterator[Path]:
    yield from (path for path in (layout / "blobs" / "sha256").iterdir() if _is_hollow(path))


def _empty(layout: Path) -> None:
    """Give back the disk space of layers that containerd has now: a hole of the same size tells buildah not to write it again."""
    manifest = json.loads(blob_path(layout, manifest_of(layout)["digest"]).read_text())
    wanted = {layer["digest"].partition(":")[2] for layer in manifest["layers"]}
    kept = {manifest["config"]["digest"].partition(":")[2], manifest_of(layout)["digest"].partition(":")[2]}
    for path in (layout / "blobs" / "sha256").iterdir():
        if path.name in wanted:
            size = path.stat().st_size
            if size > 4096:  # a smaller one may be kept within its inode and look like a hole
                hole = path.with_suffix(".hole")
                with hole.open("wb") as file:
                    file.truncate(size)
                hole.rename(path)
        elif path.name not in kept:
            path.unlink()
