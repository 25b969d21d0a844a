"""Writes a folder that runs a trained model: an HTTP service, a handler for AWS Lambda, a command.

`reference.export --serve DIR` calls it. In the folder are the model's file, `model.json` (classes,
image size, range), `app.py` (from `reference/served/`, where it is explained), `requirements.txt`
with the versions that are installed here, a `Dockerfile`, and `examples.npz`: photos drawn here,
their pixels and their logits, for the self-test that runs before the first answer.
"""

import importlib.metadata
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

import minicnn
from reference.model import Saved
from reference.served import app

Array = np.ndarray

# The packages that each file needs, and the version to install if it is not installed here.
NEEDED = {
    "keras": {"llvmlite": "0.46", "h5py": "3.11", "rich": "13"},
    "onnx": {"onnxruntime": "1.23.2"},
    "tflite": {"ai-edge-litert": "2.1.0"},
}

# The files of each folder: the model, its runtime, and files that running it adds.
ALWAYS = {
    "app.py", "model.json", "requirements.txt", "Dockerfile", ".dockerignore", "examples.npz",
}  # fmt: skip
OURS = ALWAYS | {*(f"model.{kind}" for kind in NEEDED), "kernels", "minicnn", "__pycache__"}


def write_folder(
    saved: Saved, model_file: Path, folder: Path, kind: str, input_range: str
) -> str | None:
    """Write a folder that serves `model_file`; return why its self-test did not run, if so.

    Raises `FileExistsError` for a folder with other files in it, and `ValueError` if the self-test
    fails; then nothing is written.
    """
    check_free(folder)
    about = saved.about
    told = {
        "file": f"model.{kind}",
        "class_names": about.class_names,
        "image_size": about.image_size,
        "interpolation": about.interpolation,
        "input_range": input_range,
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as made:
        new = Path(made) / folder.name
        new.mkdir()
        shutil.copyfile(model_file, new / f"model.{kind}")
        shutil.copyfile(app.__file__, new / "app.py")
        (new / "model.json").write_text(json.dumps(told, indent=2) + "\n", "utf-8")
        (new / "requirements.txt").write_text(requirements(kind), "utf-8")
        (new / "Dockerfile").write_text(dockerfile(kind), "utf-8")
        (new / ".dockerignore").write_text("kernels\n**/__pycache__\n", "utf-8")
        if kind == "keras":
            (new / "kernels").mkdir(mode=0o755)  # the self-test compiles into it
            _copy_minicnn(new / "minicnn")
        _write_examples(saved, new / "examples.npz", input_range)
        untested = _self_test(new, kind)
        check_free(folder)  # the self-test takes a while
        if folder.exists():  # it is one of ours, or empty
            shutil.rmtree(folder)
        new.replace(folder)
    return untested


def _copy_minicnn(folder: Path) -> None:
    """Copy the files of minicnn that a server needs; the first one that cannot be written ends it.

    `shutil.copytree` would try all others, and tell of each.
    """
    package, unneeded = Path(minicnn.__file__).parent, {"__pycache__", "lessons", "page"}
    for source in sorted(package.rglob("*")):
        place = source.relative_to(package)
        if source.is_file() and unneeded.isdisjoint(place.parts):
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, folder / place)


def check_free(folder: Path) -> None:
    """Raise `FileExistsError` if the folder has files that this command does not write."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if names and not ALWAYS <= names <= OURS:
        raise FileExistsError(
            f"--serve writes a new folder. {str(folder)!r} has other files in it: name another one."
        )


def examples() -> list[bytes]:
    """Draw photos of different sizes, colours and formats, as files."""
    rng = np.random.default_rng(0)
    found = []
    for (width, height), form, mode in (
        ((400, 300), "JPEG", "RGB"), ((90, 131), "PNG", "RGB"), ((64, 64), "JPEG", "L"),
    ):  # fmt: skip
        coarse = Image.fromarray(rng.integers(0, 256, (7, 9, 3), np.uint8))
        image = coarse.resize((width, height), Image.Resampling.BICUBIC).convert(mode)
        file = io.BytesIO()
        image.save(file, form)
        found.append(file.getvalue())
    return found


def _write_examples(saved: Saved, path: Path, input_range: str) -> None:
    photos, reader = examples(), saved.about.reader
    read = np.stack([reader(io.BytesIO(photo)) for photo in photos])
    logits = keras.ops.convert_to_numpy(saved.model.predict_on_batch(read))
    files: dict[str, Any] = {
        f"photo{i}": np.frombuffer(photo, np.uint8) for i, photo in enumerate(photos)
    }
    np.savez_compressed(path, pixels=app.scaled(read, input_range), logits=logits, **files)


def _self_test(folder: Path, kind: str) -> str | None:
    """Run the folder's self-test, in a process of its own as on a server."""
    missing = [name for name in NEEDED[kind] if _installed(name) is None]
    if missing:
        return f"{' and '.join(missing)} is not installed here"
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "KERAS_BACKEND")}
    done = subprocess.run(
        [sys.executable, "app.py", "--check"], cwd=folder, env=environment, text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"it ended with code {done.returncode}"]
        raise ValueError(f"The folder does not run here: {lines[-1].removeprefix('app.py: ')}")
    return None


# ---------------------------------------------------------------------------------------------
# What is installed on the server
# ---------------------------------------------------------------------------------------------


def requirements(kind: str) -> str:
    """Return all packages that the folder needs, in the versions that are installed here.

    Another Pillow may decode photos in another way, and another runtime may round differently.
    """
    wanted = {"numpy": "", "pillow": "", **NEEDED[kind]}
    found: dict[str, str] = {}
    waiting = list(wanted)
    while waiting:
        name = waiting.pop()
        version = _installed(name)
        if name in found or (version is None and name not in wanted):
            continue
        found[name] = version or wanted[name]
        waiting += _required_by(name)
    return "".join(f"{name}=={found[name]}\n" for name in sorted(found))


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _required_by(name: str) -> Sequence[str]:
    """Return the packages that an installed package always needs, without those of its extras."""
    from packaging.requirements import Requirement

    try:
        lines = importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    needed = [Requirement(line) for line in lines]
    return [
        re.sub(r"[-_.]+", "-", one.name).lower()
        for one in needed
        if one.marker is None or one.marker.evaluate({"extra": ""})
    ]


def dockerfile(kind: str) -> str:
    """Return a Dockerfile with two targets: the HTTP service, and AWS Lambda."""
    version = f"3.{sys.version_info.minor}"
    # Lambda's images of Python 3.11 and older have glibc 2.26, which is too old for the wheels of
    # NumPy, Pillow and ONNX Runtime.
    on_lambda = f"3.{max(12, sys.version_info.minor)}"
    # For every processor with AVX2; files of root are trusted by any user of the container.
    compiled = (
        "RUN python3 -m minicnn compile model.keras --output kernels --cpu x86-64-v3\n"
        if kind == "keras"
        else ""
    )
    steps = (
        "COPY requirements.txt ./\n"
        "RUN python3 -m pip --no-cache-dir install -r requirements.txt\n"
        "COPY . ./\n"
        f"{compiled}"
        "RUN python3 app.py --check\n"
    )
    return (
        "# The HTTP service:  docker build -t photos .\n"
        "#                    docker run -p 8080:8080 photos\n"
        "# AWS Lambda:        docker build -t photos --target lambda .\n"
        + ("# On ARM processors leave out --cpu x86-64-v3.\n" if compiled else "")
        + f"\nFROM public.ecr.aws/lambda/python:{on_lambda} AS lambda\nWORKDIR /var/task\n{steps}"
        'CMD ["app.handler"]\n'
        f"\nFROM python:{version}-slim AS service\nWORKDIR /app\n{steps}"
        "USER nobody\n"
        "EXPOSE 8080\n"
        'CMD ["python3", "app.py", "--host", "0.0.0.0"]\n'
    )
