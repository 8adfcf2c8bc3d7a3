"""The packages of the runtimes, and their folders.

    python -m tests.deploy.runtimes.packages

installs those that are missing, and asks for the compilers, which it leaves to the system's own
packages: clang with its sanitizers, too (of Debian: clang, libclang-rt-dev). Each runtime has a
folder of its own in build/runtimes, since they come in versions that exclude each other. The newest
onnxruntime is that of ul2q[dev].
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[3] / "build" / "runtimes"
COMPILERS = ("gcc", "clang")
PACKAGES = {
    # What ul2q itself writes and runs with; on the path of the tests, too.
    "extras": ("openvino==2026.4.1", "qonnx==1.0.0"),
    "onnxruntime-1.20": ("onnxruntime==1.20.1",),
    "opencv-4": ("opencv-python-headless==4.14.*",),
    "opencv-5": ("opencv-python-headless==5.*",),
    "mnn": ("MNN==3.6.1",),
}


def main() -> None:
    """Install what is not there.

    Raises:
        SystemExit: a compiler is missing; the message says how to install it.
    """
    if missing := [name for name in COMPILERS if not shutil.which(name)]:
        raise SystemExit(
            f"{' and '.join(missing)} not found, by which exported C is tested: "
            "apt-get install gcc clang libclang-rt-dev"
        )
    for name, packages in PACKAGES.items():
        folder = FOLDER / name
        mark = folder / "installed"
        wanted = "\n".join(packages)
        if mark.is_file() and mark.read_text(encoding="utf-8") == wanted:
            continue
        print(f"Installing {', '.join(packages)} into {folder}", flush=True)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade"]
        subprocess.run([*command, "--target", str(folder), *packages], check=True)
        mark.write_text(wanted, encoding="utf-8")


if __name__ == "__main__":
    main()
