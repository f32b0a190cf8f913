"""Maps the top-level folders to one import root: `mllm/` is imported as `cuewise.mllm`, and so on."""

from setuptools import find_namespace_packages, setup

ROOMS = ("mllm", "data_recipes", "train", "eval", "serve")
PACKAGE_DIR = {"cuewise": "cuewise"} | {f"cuewise.{room}": room for room in ROOMS}

packages = ["cuewise", *(f"cuewise.{name}" for name in find_namespace_packages("cuewise"))]
for room in ROOMS:
    packages += [f"cuewise.{room}", *(f"cuewise.{room}.{name}" for name in find_namespace_packages(room))]
setup(packages=packages, package_dir=PACKAGE_DIR)
