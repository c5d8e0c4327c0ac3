"""The Jobs of a file, which make an example's data: their programs, run in place of pods when that is asked for."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind_cli.manifests import BadManifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True)
class Program:
    """What a container runs."""

    container: str
    image: str  # which is not here: a file that only it has can't be read
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    folders: tuple[str, ...]  # where its claims are


def prepare(job: Mapping[str, Any], folder: Path) -> None:
    """Run the containers of a Job one after the other. Raises BadManifest where one can't run, or fails."""
    name = job["metadata"]["name"]
    for program in programs(job, folder):
        print(f"Job {name}, container {program.container}: {shlex.join(program.argv)[:100]}...", flush=True)
        try:
            code = subprocess.run(program.argv, env={**os.environ, **program.environment}).returncode
        except OSError as error:
            raise BadManifest(
                f"Job {name} runs {program.argv[0]}, which can't be started here ({error.strerror}): make the data in "
                "another way, and leave --prepare out."
            ) from None
        if code:
            raise BadManifest(
                f"Job {name}: its program ended with exit code {code}; what it printed says why. It is written for the "
                f"image {program.image}, whose files are not here: where it lacks one of them, put the data that it "
                f"makes into {' or '.join(program.folders) or folder} yourself, and leave --prepare out."
            )


def programs(job: Mapping[str, Any], folder: Path) -> Iterator[Program]:
    """The programs of a Job, with the folders of its claims in place of where a pod mounts them.

    Raises BadManifest where a container leaves it to its image what runs.
    """
    pod = job["spec"]["template"]["spec"]
    claims = {
        volume["name"]: volume["persistentVolumeClaim"]["claimName"]
        for volume in pod.get("volumes", ())
        if "persistentVolumeClaim" in volume
    }
    for container in (*pod.get("initContainers", ()), *pod["containers"]):
        if not container.get("command"):
            raise BadManifest(
                f"Job {job['metadata']['name']}: container {container['name']} has no command, so its image "
                f"{container.get('image')} says what runs, which isn't here: make the data in another way, and leave "
                "--prepare out."
            )
        places = {}
        for mount in container.get("volumeMounts", ()):
            if mount["name"] in claims:
                place = folder / claims[mount["name"]] / mount.get("subPath", "")
                place.mkdir(parents=True, exist_ok=True)
                places[mount["mountPath"].rstrip("/")] = str(place)
        program, *rest = (_placed(word, places) for word in (*container["command"], *container.get("args", ())))
        yield Program(
            container["name"],
            str(container.get("image", "that it names")),
            (_python(program), *rest),
            {
                "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))),
                **{
                    variable["name"]: _placed(str(variable["value"]), places)
                    for variable in container.get("env", ())
                    if "value" in variable
                },
            },
            tuple(places.values()),
        )


def _placed(text: str, places: Mapping[str, str]) -> str:
    for mounted in sorted(places, key=len, reverse=True):
        text = text.replace(mounted, places[mounted])
    return text


def _python(program: str) -> str:
    """The Python that has what our images have is the one that runs this."""
    return sys.executable if program in ("python", "python3") else shutil.which(program) or program
