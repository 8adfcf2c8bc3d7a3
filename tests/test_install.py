"""What `pip install .` puts into a fresh environment."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# No LD_LIBRARY_PATH, no PYTHONPATH.
BARE = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}


def _run(*command: str | Path, cwd: Path, environment: dict[str, str] = BARE) -> str:
    run = subprocess.run(
        [*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree; what is built already is not built again."""
    if not (ROOT / "build/cmake/CMakeCache.txt").is_file():
        pytest.skip("ul2q was not built in this tree")
    # Of an earlier build, of a module that is gone since.
    earlier = ROOT / f"build/lib.{sysconfig.get_platform()}-{sys.implementation.cache_tag}/ul2q"
    earlier.mkdir(parents=True, exist_ok=True)
    (earlier / "gone.py").touch()
    folder = tmp_path_factory.mktemp("wheel")
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder)
    _run(sys.executable, "-m", "pip", "wheel", *options, ROOT, cwd=folder)
    (built,) = folder.glob("ul2q-*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment that has the wheel, and this one's other packages."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    pip = (sys.executable, "-m", "pip", "--python", folder / "bin" / "python")
    _run(*pip, "install", "--quiet", "--no-deps", wheel, cwd=folder)
    # After its own packages, as a path file comes after the folder it stands in; the editable
    # ul2q of this environment is a path file itself and is not followed from there.
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def test_the_wheel_holds_modules_libraries_tool_nets_and_pycaffe(wheel: Path) -> None:
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    modules = [p.relative_to(ROOT / "python") for p in (ROOT / "python/ul2q").rglob("*.py")]
    nets = [p.relative_to(ROOT) for p in (ROOT / "prototxt").rglob("*.prototxt")]
    expected = {
        *map(str, modules),
        *(f"caffe/{name}.py" for name in ("__init__", "pycaffe", "io", "net_spec", "classifier")),
        *(
            "caffe/proto/caffe_pb2.py",
            f"caffe/_caffe{suffix}",
            f"ul2q/_core{suffix}",
            f"ul2q/_runtime{suffix}",
        ),
        *(f"caffe/{name}.pyi" for name in ("__init__", "_caffe", "pycaffe", "io", "net_spec")),
        *(f"caffe/scripts/{name}.py" for name in ("classify", "detect", "draw_net", "train")),
        *("caffe/py.typed", "caffe/imagenet/ilsvrc_2012_mean.npy"),
        *(f"ul2q/lib/lib{name}.so" for name in ("caffe", "ul2q", "ul2q_core", "ul2q_runtime")),
        "ul2q/lib/libul2q_layers_of_forks.so",
        *("ul2q/bin/caffe", "ul2q/py.typed"),
        *(f"ul2q/{net}" for net in nets),
    }
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = next(name for name in names if name.endswith("/METADATA"))
        text = archive.read(metadata).decode()
    assert expected - names == set()
    assert not [name for name in names if "/test" in name or "/gone" in name]
    assert "License-Expression: BSD-2-Clause" in text


def test_the_modules_import_from_the_environment(environment: Path, tmp_path: Path) -> None:
    code = (
        "import caffe, ul2q, numpy;"
        "print(caffe.__file__, ul2q.__file__, ul2q.prototxt_path(), sep='\\n');"
        "assert 'QuantizedConvolution' in caffe.layer_type_list();"
        "print(ul2q.quantize(numpy.float32([1, 2]), bits=1).codes)"
    )
    lines = _run(environment / "python", "-W", "error", "-c", code, cwd=tmp_path).splitlines()
    assert all(line.startswith(str(environment.parent)) for line in lines[:3])
    assert lines[3] == "[0 1]"


def test_the_commands_run_from_the_environment(environment: Path, tmp_path: Path) -> None:
    assert _run(environment / "ul2q", "--version", cwd=tmp_path).startswith("ul2q ")
    net = tmp_path / "net.prototxt"
    net.write_text(
        'layer { name: "data" type: "DummyData" top: "data"'
        "  dummy_data_param { shape { dim: 2 dim: 3 } } }"
        'layer { name: "ip" type: "QuantizedInnerProduct" bottom: "data" top: "ip"'
        "  inner_product_param { num_output: 2 } quantization_param { weight { bits: 2 } } }"
    )
    output = _run(environment / "caffe", "time", "-model", net, "-iterations", "1", cwd=tmp_path)
    assert "ip\tforward" in output


def test_libraries_are_found_by_relative_path_and_blas_shares_openmp(environment: Path) -> None:
    package = next(environment.parent.glob("lib/python*/site-packages"))
    code = (
        "import caffe, ul2q.quantizers;"
        "maps = {line.split()[-1] for line in open('/proc/self/maps') if '/' in line};"
        "print(*sorted(maps), sep='\\n')"
    )
    loaded = _run(environment / "python", "-c", code, cwd=environment).splitlines()
    names = ("libcaffe.so", "libul2q.so", "libul2q_core.so", "libul2q_layers_of_forks.so")
    ours = [path for path in loaded if Path(path).name in names]
    assert sorted(ours) == [str(package / "ul2q/lib" / name) for name in names]
    # NumPy brings a BLAS of its own under another name; Caffe's is the one on OpenMP.
    system = [p for p in loaded if "/libopenblas" in p and not p.startswith(str(Path(sys.prefix)))]
    assert len(system) == 1
    assert "openmp" in system[0]
    assert [path for path in loaded if "libgomp" in path]


def test_a_source_distribution_has_all_that_the_build_reads(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "cmake")}
    code = f"import build_backend; build_backend.build_sdist({str(tmp_path)!r})"
    _run(sys.executable, "-c", code, cwd=ROOT, environment=environment)
    (archive,) = tmp_path.glob("ul2q-*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    source = tmp_path / archive.name.removesuffix(".tar.gz")
    for folder in ("cmake", "cpp", "prototxt", "python/ul2q"):
        suffixes = {".py", ".pyi", ".typed"} if folder == "python/ul2q" else None
        wanted = {
            path.relative_to(ROOT)
            for path in (ROOT / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
            if suffixes is None or path.suffix in suffixes
        }
        assert {path for path in wanted if not (source / path).is_file()} == set()
    # CMake finds all of its own files, and the patches: it applies them here.
    options = ("-DUL2Q_PYTHON=OFF", f"-DPython_EXECUTABLE={sys.executable}")
    build = tmp_path / "build"
    _run("cmake", "-S", source, "-B", build, *options, cwd=tmp_path, environment={**os.environ})
    proto = build / "caffe/src/caffe/proto/caffe.proto"
    assert "QuantizationParameter quantization_param" in proto.read_text()


# Options for CMake


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with ul2q's build backend, whose setup.py writes down CMAKE_ARGS."""
    (tmp_path / "cmake").mkdir()
    (tmp_path / "cmake/build_backend.py").write_bytes(
        (ROOT / "cmake/build_backend.py").read_bytes()
    )
    (tmp_path / "pyproject.toml").write_text(
        "[build-system]\nrequires = []\nbuild-backend = 'build_backend'\nbackend-path = ['cmake']\n"
        "[project]\nname = 'small'\nversion = '1'\n"
    )
    (tmp_path / "setup.py").write_text(
        "import os, pathlib, setuptools\n"
        "pathlib.Path('args').write_text(os.environ['CMAKE_ARGS'])\n"
        "setuptools.setup(py_modules=[])\n"
    )
    return tmp_path


def _wheel(project: Path, *settings: str) -> subprocess.CompletedProcess[str]:
    options = [f"--config-settings={setting}" for setting in settings]
    return subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"),
            *("--wheel-dir", str(project), *options, str(project)),
        ],
        env=BARE | {"CMAKE_ARGS": "-DFIRST=1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_pip_hands_options_to_cmake_after_those_of_the_environment(project: Path) -> None:
    run = _wheel(project, "cmake.define.FLAGS=-O2 -g", "cmake.define.UL2Q_CUDA=ON")
    assert run.returncode == 0, run.stdout + run.stderr
    assert (project / "args").read_text() == "-DFIRST=1 '-DFLAGS=-O2 -g' -DUL2Q_CUDA=ON"


def test_pip_tells_of_a_setting_that_is_none(project: Path) -> None:
    run = _wheel(project, "cmake.defines.UL2Q_CUDA=ON")
    assert run.returncode != 0
    message = "unknown config setting 'cmake.defines.UL2Q_CUDA'; write cmake.define.OPTION=VALUE"
    assert message in run.stdout + run.stderr
