"""Takes away what the record says is there: after `down`, or after a run that was killed."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
from pathlib import Path

from e2e.cluster import cgroups, node
from e2e.cluster.binaries import binary
from e2e.cluster.children import spawn, wait_until
from e2e.cluster.launch import Launch
from e2e.cluster.load_image import SOCKET, ctr
from e2e.cluster.places import STATE
from e2e.cluster.progress import Failed, say
from e2e.cluster.record import Record, stop

_MNT_DETACH = 2
_CRI = "io.containerd.grpc.v1.cri"


def clean(record: Record) -> None:
    """Remove everything that is written down. What can't be removed stays in the record, and is named."""
    processes = record.entries("process")
    # First those that would start others again. Nothing is asked to end by itself: its state goes anyway.
    stop([entry for entry in processes if entry.name != "containerd"], patience=0)
    stop(processes, patience=0)
    if record.entries("cgroup"):
        cgroups.destroy()
    folders = [Path(entry.about["path"]) for entry in record.entries() if entry.kind in ("folder", "image-store")]
    _remove_shim_sockets()
    for folder in folders:
        _unmount_below(folder)
    for entry in record.entries("link"):
        subprocess.run(["ip", "link", "delete", entry.name], capture_output=True)
    for entry in record.entries("nft"):
        subprocess.run(["nft", "delete", "table", entry.about["family"], entry.about["table"]], capture_output=True)
    for entry in record.entries("sysctl"):
        Path(entry.about["path"]).write_text(entry.about["value"])
    _remove_traces()
    for entry in record.entries("folder"):
        remove_tree(Path(entry.about["path"]))
    for entry in record.entries("image-store"):
        _purge_containers(record, Path(entry.about["path"]))
    left = cgroups.processes() if record.entries("cgroup") else set()
    if left:
        raise Failed(f"processes {sorted(left)} of the old cluster do not end; try again")
    record.clear()


def _mounts_below(folder: Path) -> list[str]:
    """The mount points in a folder, the latest first; not the folder itself, which somebody else may have mounted."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        path = re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), line.split()[4])
        if path.startswith(f"{folder}/"):
            found.append(path)
    return found[::-1]


def _unmount_below(folder: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for path in _mounts_below(folder):
        if libc.umount2(path.encode(), _MNT_DETACH):
            say(f"could not unmount {path}: {os.strerror(ctypes.get_errno())}")


def remove_tree(folder: Path) -> None:
    """Remove a folder, unless something is mounted in it, which would be emptied too. A mount point stays, empty."""
    if mounts := _mounts_below(folder):
        raise Failed(f"{mounts[0]} is still mounted, so {folder} is not removed")
    if folder.is_mount():
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        return
    shutil.rmtree(folder, ignore_errors=True)


def _remove_shim_sockets() -> None:
    """The sockets of shims lie in a folder that all containerds share; each bundle says which is its own."""
    for name in ("address", "bootstrap.json"):
        for file in node.CONTAINERD_STATE.glob(f"io.containerd.runtime.v2.task/*/*/{name}"):
            for found in re.finditer(r"unix://([^\"\s]+)", file.read_text()):
                Path(found[1]).unlink(missing_ok=True)


def _remove_traces() -> None:
    """Files that the kubelet and the plugins of the pods' network put into folders that may be others' too."""
    for link in Path("/var/log/containers").glob("*.log"):
        if link.is_symlink() and link.readlink().is_relative_to(STATE):
            link.unlink()
    for result in Path("/var/lib/cni/results").glob("*"):
        if str(node.CONTAINERD_STATE) in result.read_text():  # the namespace of the pod's network lies there
            result.unlink()


def _purge_containers(record: Record, root: Path) -> None:
    """Make containerd forget its containers, so that the next cluster starts with nothing but images."""
    if not (root / "io.containerd.metadata.v1.bolt").exists():
        return
    say("removing the containers of the last cluster, keeping its images")
    shutil.rmtree(root / _CRI, ignore_errors=True)
    STATE.mkdir(parents=True, exist_ok=True)
    record.add("folder", "state", path=str(STATE))
    record.add("folder", "containerd", path=str(node.CONTAINERD_STATE))
    config, log = STATE / "images-only.toml", STATE / "images-only.log"
    config.write_text(node.containerd_config(root, with_pods=False))
    command = [str(binary("containerd")), "--config", str(config)]
    process = spawn(Launch("containerd-images-only", command, str(log), record=str(record.folder)), node.environment())
    try:
        wait_until("containerd", lambda: SOCKET.exists() and bool(_answers()), process, log, 20)
        for name in ctr("containers", "ls", "--quiet").split():
            _forget("containers", "rm", name)
        for row in ctr("sandboxes", "ls").splitlines()[1:]:
            # What it stood for is dead, so asking it to shut down must fail.
            _forget("sandboxes", "rm", "--force", row.split()[0])
    finally:
        process.terminate()
        process.wait()
    for folder in (STATE, node.CONTAINERD_STATE):
        _unmount_below(folder)
        remove_tree(folder)


def _forget(*arguments: str) -> None:
    try:
        ctr(*arguments)
    except Failed as failure:
        say(f"containerd keeps something of the last cluster: {failure}")


def _answers() -> bool:
    try:
        ctr("version")
    except Failed:
        return False
    return True
