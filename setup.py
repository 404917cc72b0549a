"""The recipes live at the top of the repository and travel inside the wheel as `flowkit/recipes`.

An editable installation (`pip install -e`) reads them where they are, and adds the clone to Python's path.
By default, setuptools would install an import hook instead, which comes too late for a script that lies
beside the clone: there, Python takes the folder of the clone, `flowkit` by name, for the package.

Where there is a C++ compiler, an installation compiles the coupling for processors; that takes some seconds,
and no torch. Where there is none, or it fails, flowkit is pure Python. With FLOWKIT_BUILD_EXT=1 the
compiled affine op is part of the installation, too, for the CPU, and for CUDA where torch has it;
FLOWKIT_BUILD_EXT=cpu leaves CUDA out, and FLOWKIT_BUILD_EXT=0 compiles nothing.

On a package index, links of the README lead to the address "Source" of [project.urls]; without one they are
plain text there, and pictures are left out.
"""

import os
import re
import sys
import tempfile
import tomllib
from pathlib import Path
from types import ModuleType

from setuptools import Extension, find_packages, setup

DOORS = {"": (), "0": (), "cpu": ("cpu",), "1": ("cpu", "cuda")}


LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!\w+:|#)([^)\s]+)\)")


def readme():
    project = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["project"]
    source = project["urls"].get("Source")

    def moved(link):
        picture, text, place = link.groups()
        if source is None:
            return "" if picture else text
        return f"{picture}[{text}]({source}/{'raw' if picture else 'blob'}/HEAD/{place})"

    return LINK.sub(moved, Path("README.md").read_text("utf-8"))


def without_init(*names):
    """Let modules of these packages be imported without what their top levels import, such as torch."""
    sys.path.insert(0, "")
    for name in names:
        package = ModuleType(name)
        package.__path__ = [name.replace(".", "/")]
        sys.modules[name] = package


def coupling(optional):
    from flowkit.ops import coupling_source

    return Extension(
        f"flowkit.csrc.{coupling_source.module()}",
        [os.path.relpath(coupling_source.SOURCE)],
        language="c++",
        extra_compile_args=list(coupling_source.FLAGS),
        optional=optional,
        py_limited_api=True,
    )


def compiled(kinds, scratch):
    try:
        import torch
    except ImportError:
        raise SystemExit(
            "FLOWKIT_BUILD_EXT needs the torch that flowkit will run with, which an isolated build does not "
            "see; run: FLOWKIT_BUILD_EXT=1 pip install --no-build-isolation ."
        ) from None
    from flowkit.ops import build, build_tools

    os.environ.update(build.environment(kinds[-1], scratch))
    from torch.utils import cpp_extension

    extensions = [coupling(optional=False)]
    for kind in kinds:
        if kind == "cuda" and torch.version.cuda is None:
            continue  # never for want of a GPU: an image for one may be built without
        if why := build_tools.missing(kind):
            raise SystemExit(f"FLOWKIT_BUILD_EXT: the kernels for {kind} cannot be built: {why}")
        plan = build.plan(kind)
        make = cpp_extension.CUDAExtension if kind == "cuda" else cpp_extension.CppExtension
        flags = {"cxx": [*plan.cxx_flags, plan.target], "nvcc": [*plan.nvcc_flags, plan.target]}
        sources = [os.path.relpath(path) for path in plan.sources]
        extensions.append(
            make(f"flowkit.csrc.{plan.module}", sources, extra_compile_args=flags, py_limited_api=True)
        )
    command = cpp_extension.BuildExtension.with_options(no_python_abi_suffix=True)
    return {"ext_modules": extensions, "cmdclass": {"build_ext": command}}


def extensions(door, scratch):
    if door == "0" or (not DOORS[door] and sys.platform == "win32"):
        return {}
    without_init("flowkit", "flowkit.ops")
    found = compiled(DOORS[door], scratch) if DOORS[door] else {"ext_modules": [coupling(optional=True)]}
    return {**found, "options": {"bdist_wheel": {"py_limited_api": "cp311"}}}


door = os.environ.get("FLOWKIT_BUILD_EXT", "")
if door not in DOORS:
    raise SystemExit(f"FLOWKIT_BUILD_EXT must be 1, cpu or 0; got {door!r}")

packages = find_packages(include=["flowkit", "flowkit.*"])
editable = "editable_wheel" in sys.argv

with tempfile.TemporaryDirectory() as scratch:
    setup(
        long_description=readme(),
        long_description_content_type="text/markdown",
        packages=packages if editable else [*packages, "flowkit.recipes"],
        package_dir={"": "."} if editable else {"flowkit.recipes": "recipes"},
        package_data={
            "flowkit": ["py.typed", "weights/*.*", "csrc/*.cpp", "csrc/*.cu", "csrc/*.h", "csrc/*.cuh"],
            "flowkit.batch": ["*.j2"],
            "flowkit.ocrd": ["ocrd-tool.json"],
            "flowkit.recipes": ["*.yaml"],
            "flowkit.view": ["*.html"],
        },
        **extensions(door, Path(scratch)),
    )
