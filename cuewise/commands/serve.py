"""`cuewise serve`: the REST endpoint, in this process or as Ray deployments."""

import argparse
from pathlib import Path

from cuewise.errors import EXIT_OK, UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to listen, what to serve, and any other setting by name."""
    parser.add_argument("--host", help="address to bind (default 127.0.0.1; others need a key)")
    parser.add_argument("--port", type=int, help="port (default 8000)")
    parser.add_argument("--model", help="nano (default), nano-research, or the folder of a model")
    parser.add_argument("--adapter", metavar="NAME", help="adapter to load on the model: a folder, or a training run")
    parser.add_argument("--device", help="cpu (default), cuda, cuda:1 …")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings as YAML (docs/serving.md lists them)")
    parser.add_argument("--ray", action="store_true", help="as Ray Serve deployments that scale out")
    parser.add_argument("--new-key", metavar="NAME", help="make a key for a client, print it once, and end")
    parser.add_argument("settings", nargs="*", metavar="NAME=VALUE", help="any setting, e.g. limits.body_mb=16")


def run(args: argparse.Namespace) -> int:
    """Serve until stopped."""
    try:
        from cuewise.serve.settings import SettingsError, load_settings
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    if args.new_key:
        return _show_key(args.new_key)
    named = {"host": args.host, "port": args.port, "model": args.model, "adapter": args.adapter,
             "device": args.device}  # fmt: skip
    overrides = [*args.settings, *(f"{name}={value}" for name, value in named.items() if value is not None)]
    try:
        settings = load_settings(args.config, overrides)
        settings.check_bind()
        if args.ray:
            from cuewise.serve.ray_app import run as serve
        else:
            from cuewise.serve.local import run as serve
        serve(settings)
    except SettingsError as error:
        raise UserError(str(error)) from error
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    return EXIT_OK


def _show_key(name: str) -> int:
    from cuewise.serve.auth import hash_key, new_key

    key = new_key()
    print(
        f"key (shown once, give it to the client): {key}\n\nfor the settings file:\nkeys:\n  - name: "
        f"{name}\n    sha256: {hash_key(key)}"
    )
    return EXIT_OK


def _missing(error: ModuleNotFoundError) -> UserError:
    return UserError(f"serving needs the package {error.name!r}; install it with `pip install cuewise[serve]`")
