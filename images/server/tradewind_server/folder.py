"""Where a model lies: which file is served, what its manifest says, and whether it is what was accepted."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import from_json

from tradewind.api.artefact import MANIFEST, POINTER, SAMPLES, Manifest, Pointer
from tradewind_processors.tokenizing import MOST_BYTES

NORM = "model.onnx"
_RESTORE = "give the address of a model's own folder, in models/, or make the model again"
_CHUNK = 1 << 20


class Unservable(Exception):
    """The model can't be served; the text says why and what to do."""


@dataclass(frozen=True)
class Artefact:
    """A model as it lies on the volume, after every check of its bytes."""

    path: Path
    onnx: bytes
    manifest: Manifest | None
    digest: str
    # Where tensors outside of the file may lie; None where only the file itself is mounted.
    weights: Path | None
    # samples.json, if the folder has one that belongs to the model.
    samples: bytes | None = None
    # What the processors of the manifest name.
    processors: Mapping[str, bytes] = field(default_factory=dict)


def read(model_dir: Path, expected_digest: str | None) -> Artefact:
    """Reads the model. `model_dir` is an ONNX file, a folder with one, or the output folder of a job.

    The digest is `sha256:` and hex digits: of model.json, which has those of all files; where there is none, of the
    ONNX file; and where that keeps weights in files beside it, of the list of all these files with their own digests.
    Raises Unservable if anything is missing, or isn't what the manifest or `expected_digest` says.
    """
    model_dir, expected_digest = _follow(model_dir, expected_digest)
    path = _find(model_dir)
    onnx = _bytes(path)
    folder = model_dir if model_dir.is_dir() else None
    manifest_path = folder / MANIFEST if folder else None
    weights = _weights(onnx, folder) if folder else []
    manifest, identity = None, onnx
    if folder and weights:
        hashes = [[path.name, hashlib.sha256(onnx).hexdigest()]]
        hashes += [[name, _sha256(folder / name, f"has weights of {path.name}")] for name in weights]
        identity = json.dumps(hashes).encode()
    if manifest_path and manifest_path.exists():
        identity = _bytes(manifest_path)
        manifest = _manifest(identity, manifest_path)
    digest = _digest(identity)
    if expected_digest and digest != expected_digest:
        what = manifest_path if manifest else path
        raise Unservable(
            f"{what} has the digest {digest}, but {expected_digest} was accepted: the model was replaced since then."
            " Put the accepted model back, or let the new one be accepted"
        )
    samples = None
    if folder and (folder / SAMPLES).is_file() and (manifest is None or SAMPLES in manifest.files):
        samples = _bytes(folder / SAMPLES)
    processors: dict[str, bytes] = {}
    if manifest and folder:
        processors = {name: _processor(folder, name, manifest) for name in _processors(manifest)}
        known = {path.name: onnx, **processors} | ({SAMPLES: samples} if samples is not None else {})
        _check_files(manifest, folder, known)
        for name in (path.name, *weights):
            if name not in manifest.files:
                raise Unservable(
                    f"{folder / MANIFEST} does not list {name}: the folder holds a file that was never accepted"
                )
    return Artefact(path, onnx, manifest, digest, weights=folder, samples=samples, processors=processors)


def _processors(manifest: Manifest) -> set[str]:
    """The files that the manifest's processors name."""
    tokenizers = (tensor.processor.tokenizer for tensor in manifest.inputs if tensor.processor)
    return {tokenizer.file for tokenizer in tokenizers if tokenizer}


def _processor(folder: Path, name: str, manifest: Manifest) -> bytes:
    """A file that is never read where the manifest lists none of that name, nor where it is larger than any."""
    if name not in manifest.files:
        raise Unservable(f"{folder / MANIFEST} names {name!r} for a processor, but does not list it: make it again")
    if not name or Path(name).name != name:
        raise Unservable(f"{folder / MANIFEST} lists {name!r}: a file of the folder has a plain name")
    try:
        size = (folder / name).stat().st_size
    except OSError as error:
        raise Unservable(f"{folder / name} is listed in {MANIFEST}, but can't be read: {error.strerror}") from error
    if size > MOST_BYTES:
        raise Unservable(f"{folder / name} has {size} bytes, the limit is {MOST_BYTES}: use a smaller vocabulary")
    return _bytes(folder / name)


# How an ONNX file names the file of a tensor outside of it: an entry `location` of TensorProto.external_data.
_LOCATION = re.compile(rb"\n\x08location\x12([\x00-\x7f])|\n\x08location\x12([\x80-\xff][\x00-\x7f])")


def external(onnx: bytes) -> frozenset[str]:
    """The files, relative to the folder, in which an ONNX file says that its tensors lie."""
    found = set()
    for match in _LOCATION.finditer(onnx):
        short, long = match.groups()
        length = short[0] if short else (long[0] & 0x7F) | long[1] << 7
        found.add(onnx[match.end() : match.end() + length].decode(errors="replace"))
    return frozenset(found)


def _weights(onnx: bytes, folder: Path) -> list[str]:
    """Those of the files that are there; what is not, or leads out of the folder, ONNX Runtime refuses itself."""
    root = folder.resolve()
    found = set()
    for name in external(onnx):
        try:
            file = (root / name).resolve()
            if file.is_file() and root in file.parents:
                found.add(file.relative_to(root).as_posix())
        except (OSError, ValueError):
            continue  # no name of a file
    return sorted(found)


def _follow(model_dir: Path, expected_digest: str | None) -> tuple[Path, str | None]:
    """Where current.json of an output folder points to, and the digest that the model there must have.

    The accepted model goes first where it lies in the folder itself: an earlier version of Tradewind wrote it there.
    """
    path, beside = model_dir / POINTER, model_dir / MANIFEST
    if not path.is_file() or (expected_digest and beside.is_file() and _digest(_bytes(beside)) == expected_digest):
        return model_dir, expected_digest
    try:
        pointer = Pointer.read(from_json(_bytes(path)))
    except ValueError as error:
        raise Unservable(f"{path} does not say where a model is ({_first(error)}): {_RESTORE}") from error
    # KServe may have linked the pointer into this folder: its target lies beside what the link leads to.
    home = path.resolve().parent
    found = (home / pointer.folder).resolve()
    if not found.is_relative_to(home):
        raise Unservable(f"{path} leads out of its folder, to {found}: {_RESTORE}")
    if not found.is_dir():
        raise Unservable(f"{path} points to {pointer.folder}, which is not there: {_RESTORE}")
    return found, expected_digest or pointer.digest


def _find(model_dir: Path) -> Path:
    if model_dir.is_file():
        return model_dir
    if not model_dir.is_dir():
        raise Unservable(f"{model_dir} does not exist: is the volume mounted, and the path in storageUri right?")
    if (model_dir / NORM).is_file():
        return model_dir / NORM
    found = sorted(entry.name for entry in model_dir.iterdir() if entry.suffix == ".onnx" and entry.is_file())
    if len(found) == 1:
        return model_dir / found[0]
    if not found:
        raise Unservable(
            f"{model_dir} has no *.onnx file: export the model as {NORM}, or correct the path in storageUri"
        )
    raise Unservable(
        f"{model_dir} has {len(found)} ONNX files ({', '.join(found[:5])}): call the one to serve {NORM},"
        " or give its own path in storageUri"
    )


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unservable(f"{path} can't be read: {error.strerror}. Files must be readable by user 10001") from error


def _manifest(content: bytes, path: Path) -> Manifest:
    try:
        document = from_json(content)
    except ValueError as error:
        raise Unservable(f"{path} is not a manifest: {error}") from error
    # Fields that this version does not know are passed over, but a version of the format says that they matter.
    version = document.get("formatVersion", 1) if isinstance(document, dict) else 1
    if version != 1:
        raise Unservable(
            f"{path} has formatVersion {str(version)[:20]}, and this server reads 1: use a server of the version that "
            "wrote the model, or make the model again"
        )
    try:
        return Manifest.read(document)
    except ValidationError as error:
        raise Unservable(f"{path} is not a manifest of version 1: {_first(error)}") from error


def _first(error: ValueError) -> str:
    """The first mistake in a document."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the document'}: {first['msg']}"


def _check_files(manifest: Manifest, folder: Path, read: Mapping[str, bytes]) -> None:
    """Files that were read are compared as they were, so that what is checked is what is loaded."""
    for name, file in manifest.files.items():
        if not name or Path(name).name != name:
            raise Unservable(f"{folder / MANIFEST} lists {name!r}: a file of the folder has a plain name")
        found = (
            hashlib.sha256(read[name]).hexdigest()
            if name in read
            else _sha256(folder / name, f"is listed in {MANIFEST}")
        )
        if found != file.sha256:
            raise Unservable(
                f"{folder / name} has the sha256 {found}, but {MANIFEST} says {file.sha256}: it was changed or cut off"
            )


def _sha256(path: Path, what: str) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise Unservable(f"{path} {what}, but can't be read: {error.strerror}") from error
    return digest.hexdigest()
