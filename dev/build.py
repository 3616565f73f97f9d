"""Builds the Go programs of the cluster from the module proxy, once per version.

No image registry and no release page is needed: a throw-away module requires the wanted version and
builds the programs out of it. All builds share the same flags, because Go's build cache is keyed by them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dev.console import DevError, run, say
from dev.packages import go_program
from dev.paths import cache_dir, finished_folder

GO_LANGUAGE = "1.26.0"
SOURCES = Path(__file__).resolve().parent / "gosrc"


@dataclass(frozen=True)
class Recipe:
    """One module and the programs that are built from it.

    `source` is a file of `gosrc` to build as the only program; otherwise `packages` are built as they are.
    `names` are further names (links) of that one program. `stamps` are variables set by the linker.
    """

    name: str
    module: str
    version: str
    packages: tuple[str, ...] = ()
    source: str = ""
    names: tuple[str, ...] = ()
    stamps: Mapping[str, str] = field(default_factory=dict)
    staging: str = ""  # the version of the modules that `module` keeps in its own tree (Kubernetes)

    @property
    def key(self) -> str:
        """Return the folder's name in the cache."""
        return f"{self.name}-{self.version}"


KUBERNETES = Recipe(
    "kube",
    "k8s.io/kubernetes",
    "v1.36.3",
    source="kube.go",
    names=("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl"),
    stamps={
        "k8s.io/component-base/version.gitVersion": "v1.36.3",
        "k8s.io/component-base/version.gitMajor": "1",
        "k8s.io/component-base/version.gitMinor": "36",
        "k8s.io/client-go/pkg/version.gitVersion": "v1.36.3",
    },
    staging="v0.36.3",
)
ETCD = Recipe("etcd", "go.etcd.io/etcd/server/v3", "v3.6.16", packages=("go.etcd.io/etcd/server/v3",), names=("etcd",))
CNI = Recipe(
    "cni",
    "github.com/containernetworking/plugins",
    "v1.9.1",
    packages=tuple(
        f"github.com/containernetworking/plugins/plugins/{plugin}"
        for plugin in ("main/bridge", "main/loopback", "ipam/host-local", "meta/portmap")
    ),
)
COREDNS = Recipe("coredns", "github.com/coredns/coredns", "v1.15.0", source="coredns.go")
HELM = Recipe(
    "helm",
    "helm.sh/helm/v4",
    "v4.3.1",
    packages=("helm.sh/helm/v4/cmd/helm",),
    stamps={
        "helm.sh/helm/v4/internal/version.version": "v4.3.1",
        "helm.sh/helm/v4/pkg/chart/common.k8sVersionMajor": "1",
        "helm.sh/helm/v4/pkg/chart/common.k8sVersionMinor": "36",
    },
)
PAUSE = Recipe("pause", "", "v1", source="pause.go")
RECIPES = (KUBERNETES, ETCD, CNI, COREDNS, PAUSE, HELM)


def go_mod(recipe: Recipe, staged: tuple[str, ...] = ()) -> str:
    """Render the throw-away module's `go.mod`; `staged` modules are pinned to the recipe's staging version."""
    lines = ["module tools", f"go {GO_LANGUAGE}"]
    lines += [f"replace {module} => {module} {recipe.staging}" for module in staged]
    if recipe.module:
        lines.append(f"require {recipe.module} {recipe.version}")
    return "\n".join(lines) + "\n"


def staged_modules(text: str) -> tuple[str, ...]:
    """Read from a `go.mod` which modules live in the module's own `staging` folder."""
    return tuple(re.findall(r"^\s*(?:replace\s+)?(\S+) => \./staging/\S+", text, re.MULTILINE))


def linker_flags(recipe: Recipe) -> str:
    """Return what `-ldflags` gets: no symbol tables, and the recipe's stamps."""
    return " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in sorted(recipe.stamps.items()))])


def programs(recipe: Recipe) -> Path:
    """Return the folder with the recipe's programs, building them first if the cache has none."""
    target = cache_dir() / "bin" / recipe.key
    if target.is_dir():
        return target
    say(f"building {recipe.name} {recipe.version} (once; minutes)")
    with finished_folder(target) as scratch:
        _build(recipe, scratch)
    say(f"built {recipe.name}")
    return target


def _build(recipe: Recipe, out: Path) -> None:
    go = go_program(GO_LANGUAGE)
    env = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=mod -buildvcs=false", "GOWORK": "off", "GOTOOLCHAIN": "local"}
    work = out / "module"
    work.mkdir()
    staged: tuple[str, ...] = ()
    if recipe.staging:
        (work / "go.mod").write_text(go_mod(Recipe("empty", "", "")))
        download: list[str | Path] = [go, "mod", "download", "-json", f"{recipe.module}@{recipe.version}"]
        facts = run(download, env=env, cwd=work, timeout=900)
        staged = staged_modules(Path(json.loads(facts.stdout)["GoMod"]).read_text())
    (work / "go.mod").write_text(go_mod(recipe, staged))
    if recipe.source:
        # One folder per program: the output is named after it.
        shutil.copy(SOURCES / recipe.source, work / "main.go")
    targets = ["."] if recipe.source else list(recipe.packages)
    to = f"{out}{os.sep}{recipe.name}" if len(targets) == 1 else f"{out}{os.sep}"
    argv: list[str | Path] = [go, "build", "-trimpath", "-ldflags", linker_flags(recipe), "-o", to, *targets]
    run(argv, env=env, cwd=work, timeout=3600)
    shutil.rmtree(work)
    for name in recipe.names:
        if name != recipe.name:
            (out / name).symlink_to(recipe.name)
    if not any(out.iterdir()):
        raise DevError(f"building {recipe.name} left no program behind")
