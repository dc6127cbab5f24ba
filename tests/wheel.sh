#!/bin/sh
# Build the wheel, unpack it beside the installed dependencies (not the source tree), and use it from an empty folder.
set -eu
python=${PYTHON:-python3}
root=$(cd "$(dirname "$0")/.." && pwd)
case $python in */*) python=$(cd "$(dirname "$python")" && pwd)/$(basename "$python") ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$root"
"$python" -m build --wheel --no-isolation --outdir "$work" . > "$work/log" 2>&1 || { cat "$work/log"; exit 1; }
"$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$work/site" "$work"/zansa-*.whl
cd "$work"
PYTHONPATH="$work/site" "$python" - "$work/site" <<'PY'
import sys
from importlib.metadata import version
import zansa
assert zansa.__file__.startswith(sys.argv[1]), zansa.__file__
assert zansa.cost(zansa.zoo.resnet(18)).params == 11_689_512
import zansa.report
from zansa.beginnings.weights import load
assert load(zansa.zoo.cifar_resnet(8)).share > 0
print("wheel: zansa", version("zansa"), "answers from the built package")
PY
PYTHONPATH="$work/site" "$work/site/bin/zansa" zoo resnet18 > /dev/null
