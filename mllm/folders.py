"""Where models lie: the shipped ones by name, any other by its folder."""

from pathlib import Path

SHIPPED = Path(__file__).parent / "pretrained"


class ModelNotFoundError(ValueError):
    """No model of that name; the message names the shipped ones."""


def shipped_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.parent.name for path in SHIPPED.glob("*/config.json"))


def model_folder(model: str | Path) -> Path:
    """Folder of a shipped model name or a path. Raises ModelNotFoundError."""
    for folder in (SHIPPED / str(model), Path(model)):
        if (folder / "config.json").is_file():
            return folder
    known = ", ".join(shipped_models()) or "none"
    raise ModelNotFoundError(
        f"model {str(model)!r} is neither a shipped model ({known}) nor a folder with config.json"
    )
