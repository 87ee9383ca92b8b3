"""What ships with dreamd of its own plugins, so that the first command after an install need not load torch.

`python tests/shipped_catalogue.py` writes the files in dreamd/plugin_host/finding/shipped. `--catalogue` leaves the
networks as they are, which takes seconds instead of minutes: do it when a plugin that brings no network has changed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dreamd.commands.plugins.loading import bare_network
from dreamd.plugin_host.catalogue import Catalogue
from dreamd.plugin_host.finding.shipped import CATALOGUE, NETWORKS, SOURCES, digest_of_module, series_of
from dreamd.plugin_host.host import Plugins
from dreamd.plugin_host.kinds import Kind
from dreamd.settings.recipes.recipe import BackboneChoice
from dreamd.weights.sources import Source

NETWORKS_SHIPPED = (
    *("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", "alexnet", "googlenet", "inception_v3"),
    *("vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"),
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "wide_resnet50_2", "resnext50_32x4d"),
    *("mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small", "squeezenet1_0", "squeezenet1_1"),
    *("densenet121", "efficientnet_b0"),
)
"""The backbones whose layers ship: those that people dream with most, and that are built in seconds."""


def catalogue_text(plugins: Plugins) -> str:
    """The catalogue of dreamd's own plugins and a digest of each one's code, an entry a line for those who merge."""
    own = Catalogue(entries=tuple(entry for entry in plugins.catalogue.entries if entry.own))
    entries = [
        entry.model_dump(mode="json", exclude={"hook", "version"}, exclude_defaults=True) for entry in own.entries
    ]
    origins = {entry.plugin: entry.origin for entry in own.entries}
    code = {plugin: digest_of_module(origin) for plugin, origin in origins.items()}
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    return f'{{\n"code": {json.dumps(code, indent=0)},\n"entries": [\n{lines}\n]\n}}\n'


def sources_text(plugins: Plugins) -> str:
    """Where the weights of each backbone come from, and the series of torchvision that says so."""
    from pydantic import TypeAdapter

    backbones = [entry.name for entry in plugins.catalogue.entries if entry.own and entry.kind is Kind.BACKBONE]
    found = {name: plugins.get(Kind.BACKBONE, name).source(name) for name in sorted(backbones) if "*" not in name}
    sources = TypeAdapter(dict[str, Source | None]).dump_python(found, mode="json")
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(source)}" for name, source in sources.items())
    return f'{{\n"torchvision": {json.dumps(series_of("torchvision"))},\n"sources": {{\n{lines}\n}}\n}}\n'


def network(name: str, plugins: Plugins) -> dict[str, Any]:
    """The layers of a backbone as `dreamd layers` has them, its default layer, and the names of its classes."""
    backbone = bare_network(BackboneChoice(name=name), plugins)
    described = [asdict(layer) for layer in backbone.describe_layers()]
    return {"layers": described, "default": backbone.default_layer, "labels": backbone.class_labels()}


def write_networks(file: Path, networks: dict[str, dict[str, Any]]) -> None:
    """Write networks into a ZIP that has the same bytes each time. Equal names of classes are written once."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, text in sorted(dict(_members(networks)).items()):
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text, zipfile.ZIP_DEFLATED, 9)


def _members(networks: dict[str, dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for name, described in networks.items():
        labels = json.dumps(described["labels"], ensure_ascii=False)
        digest = f"labels-{hashlib.sha256(labels.encode()).hexdigest()[:8]}"
        yield f"{digest}.json", labels
        yield f"{name}.json", json.dumps({**described, "labels": digest}, separators=(",", ":"))


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--catalogue", action="store_true", help="leave the networks as they are")
    only_catalogue = parser.parse_args().catalogue
    plugins = Plugins("dreamd.engine", only=())
    CATALOGUE.write_text(catalogue_text(plugins), encoding="utf-8")
    SOURCES.write_text(sources_text(plugins), encoding="utf-8")
    if not only_catalogue:
        write_networks(NETWORKS, {name: network(name, plugins) for name in NETWORKS_SHIPPED})


if __name__ == "__main__":
    main()
