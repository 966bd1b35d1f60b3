"""Compiles the tests' native parts, and the receiver with sanitizers, outside the tree."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(tempfile.gettempdir()) / f"asr-gateway-native-{os.getuid()}"
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer", "-g", "-O1"]


def build(source: Path, *flags: str) -> Path:
    """Compiles a Cython file to an extension module; returns it, made anew only when something changed."""
    text = b"".join(path.read_bytes() for path in [source, *sorted(source.parent.glob("*.pxi"))])
    key = hashlib.sha256(text + repr((flags, sys.version)).encode()).hexdigest()[:16]
    folder = CACHE / key
    module = folder / f"{source.stem}{sysconfig.get_config_var('EXT_SUFFIX')}"
    if not module.exists():
        folder.mkdir(parents=True, exist_ok=True)
        code = folder / f"{source.stem}.c"
        subprocess.run([sys.executable, "-m", "cython", "-3", str(source), "-o", str(code)], check=True, cwd=ROOT)
        include = f"-I{sysconfig.get_path('include')}"
        compiler = os.environ.get("CC", "cc")
        made = module.with_suffix(".tmp")
        optimise = [] if flags else ["-O3"]
        subprocess.run(
            [compiler, "-shared", "-fPIC", *optimise, *flags, include, str(code), "-o", str(made)], check=True
        )
        made.rename(module)
    return module


def load(name: str, module: Path) -> ModuleType:
    """Imports an extension module from its file under a name."""
    spec = importlib.util.spec_from_file_location(name, module)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


def rtp_native() -> ModuleType:
    """Returns the fast sender, bare loop and fuzzer."""
    return load("rtp_native", build(Path(__file__).with_name("rtp_native.pyx")))


def runtime(name: str) -> str:
    """Returns the path of a sanitizer's library, such as ``libasan.so``."""
    found = subprocess.run(
        [os.environ.get("CC", "cc"), f"-print-file-name={name}"], capture_output=True, text=True, check=True
    )
    return found.stdout.strip()
