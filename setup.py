"""Maps the top-level folders to one import root: `mllm/` is imported as `cuewise.mllm`, and so on."""

from setuptools import find_namespace_packages, setup

ROOMS = ("mllm", "data_recipes", "train", "eval", "serve")
PACKAGE_DIR = {"cuewise": "cuewise"} | {f"cuewise.{room}": room for room in ROOMS}


def inside(folder: str) -> list[str]:
    """Sub-packages of a folder, those that hold data only included."""
    return find_namespace_packages(folder, exclude=["*__pycache__*"])


packages = ["cuewise", *(f"cuewise.{name}" for name in inside("cuewise"))]
for room in ROOMS:
    packages += [f"cuewise.{room}", *(f"cuewise.{room}.{name}" for name in inside(room))]
setup(packages=packages, package_dir=PACKAGE_DIR)
