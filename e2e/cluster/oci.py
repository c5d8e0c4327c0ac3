"""OCI image layouts: images of static binaries written from scratch, and what a layout's manifest refers to."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from e2e.cluster.places import cache

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_PASSWD = b"root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n"


@dataclass(frozen=True)
class Scratch:
    """An image with one layer of a few files, such as a static binary."""

    name: str
    files: dict[str, Path]  # path in the image, without a leading slash -> file that is copied there
    entrypoint: tuple[str, ...]
    user: str = "65532"
    links: dict[str, str] = field(default_factory=dict)

    def layout(self) -> Path:
        """The folder of the image's OCI layout in the cache, written if it is not there."""
        what = [
            sorted((at, str(source)) for at, source in self.files.items()),
            self.entrypoint,
            self.user,
            sorted(self.links.items()),
        ]
        key = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]
        target = cache() / "images" / "scratch" / f"{slug(self.name)}-{key}"
        if (target / "index.json").exists():
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".writing-") as folder:
            made = Path(folder) / "layout"
            self._write(made)
            shutil.rmtree(target, ignore_errors=True)
            made.rename(target)
        return target

    def _write(self, layout: Path) -> None:
        blobs = layout / "blobs" / "sha256"
        blobs.mkdir(parents=True)
        unnamed = blobs / ".layer"
        with tarfile.open(unnamed, "w", format=tarfile.PAX_FORMAT) as archive:
            _folder(archive, "tmp", 0o1777)
            _folder(archive, "etc", 0o755)
            _bytes(archive, "etc/passwd", _PASSWD, 0o644)
            for path, source in sorted(self.files.items()):
                _bytes(archive, path, source.read_bytes(), 0o755)
            for path, to in sorted(self.links.items()):
                entry = tarfile.TarInfo(path)
                entry.type, entry.linkname = tarfile.SYMTYPE, to
                archive.addfile(entry)
        with unnamed.open("rb") as file:
            layer = hashlib.file_digest(file, "sha256").hexdigest()
        size = unnamed.stat().st_size
        unnamed.rename(blobs / layer)
        config = {
            "architecture": _ARCHITECTURES.get(os.uname().machine, os.uname().machine),
            "os": "linux",
            "config": {
                "Entrypoint": list(self.entrypoint),
                "User": self.user,
                "Env": ["PATH=/usr/local/bin:/bin"],
                "WorkingDir": "/",
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer}"]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _blob(blobs, _CONFIG, config),
            "layers": [{"mediaType": _LAYER, "digest": f"sha256:{layer}", "size": size}],
        }
        index = {"schemaVersion": 2, "manifests": [_blob(blobs, MANIFEST, manifest)]}
        (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        (layout / "index.json").write_text(json.dumps(index))


def _blob(blobs: Path, media_type: str, content: dict[str, Any]) -> dict[str, Any]:
    data = json.dumps(content, sort_keys=True).encode()
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}


def _folder(archive: tarfile.TarFile, path: str, mode: int) -> None:
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    archive.addfile(entry)


def _bytes(archive: tarfile.TarFile, path: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))


def slug(name: str) -> str:
    """A name of an image as a name of a file."""
    return "".join(letter if letter.isalnum() or letter in ".-" else "_" for letter in name)


def reference(name: str) -> str:
    """The full reference that a kubelet makes of an image's name: Docker's rules for a missing registry and tag."""
    first, slash, _ = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif "." not in first and ":" not in first and first != "localhost":
        name = f"docker.io/{name}"
    tagged = ":" in name.rpartition("/")[2] or "@" in name
    return name if tagged else f"{name}:latest"


def manifest_of(layout: Path) -> dict[str, Any]:
    """The descriptor of the one image manifest in a layout."""
    found: list[dict[str, Any]] = json.loads((layout / "index.json").read_text())["manifests"]
    if len(found) != 1:
        raise ValueError(f"{layout} has {len(found)} images, one was expected")
    return found[0]


def blob_path(layout: Path, digest: str) -> Path:
    """The file of a blob in a layout."""
    return layout / "blobs" / digest.replace(":", "/")
