"""The recipes live at the top of the repository and travel inside the wheel as `flowkit/recipes`."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["flowkit", "flowkit.*"]), "flowkit.recipes"],
    package_dir={"flowkit.recipes": "recipes"},
    package_data={"flowkit": ["py.typed", "weights/*.safetensors"], "flowkit.recipes": ["*.yaml"]},
)
