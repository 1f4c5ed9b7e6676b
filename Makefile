# Each target sets up what it needs in .venv; Python 3.11 or newer with pip is all that has to be there.
SYSTEM_PYTHON ?= python3
BIN := .venv/bin
LIBRARY := CorticalBoneMapping/CorticalBoneMappingLib
TRIAL ?= --people 80 --months 0 12 24 36 --spacing 2
export OMP_NUM_THREADS ?= 1

.PHONY: help test lint demo bench bench-measurement bench-registration bench-segmentation bench-statistics \
	bench-trial atlas clean

help:
	@echo "make demo    simulate a small trial, map and test it, and write its report to demo/"
	@echo "make test    lint, import contracts and tests"
	@echo "make bench   accuracy and time against known truth, written to Docs/validation/"
	@echo "make bench-measurement  accuracy of every method on many simulated scans: hours; goes on where it was"
	@echo "make bench-registration  registration against known truth and against published methods: an hour or more"
	@echo "make bench-segmentation  the femur that is found against the true one, in two dozen simulated hips"
	@echo "make bench-statistics    false alarms of every test in a thousand null studies"
	@echo "make bench-trial         a whole simulated trial, from 640 scans to its effect: hours, 5 GB"
	@echo "make atlas   build the average femur that ships with the library (about ten minutes)"
	@echo "make clean   remove the environment and the demo"

test: lint
	$(BIN)/python -m pytest

lint: .venv/.tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

demo: .venv/.report
	$(BIN)/cbm demo --out demo

bench: .venv/.tools
	@set -e; for benchmark in Testing/benchmarks/*.py; do echo "$$benchmark"; $(BIN)/python $$benchmark; done

bench-measurement: .venv/.tools
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .[bench]
	nice $(BIN)/python -m Testing.benchmarks.measurement

bench-registration: .venv/.tools
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .[bench]
	nice $(BIN)/python -m Testing.benchmarks.registration
	nice $(BIN)/python -m Testing.benchmarks.registration.shape_model

bench-segmentation: .venv/.tools
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .[bench]
	nice $(BIN)/python -m Testing.benchmarks.segmentation

bench-statistics: .venv/.tools
	nice $(BIN)/python -m Testing.benchmarks.statistics.null

bench-trial: .venv/.tools
	nice $(BIN)/python -m Testing.benchmarks.trial $(TRIAL)

atlas: .venv/.library
	OMP_NUM_THREADS=1 $(BIN)/python -m CorticalBoneMappingLib.atlas.shipped

clean:
	rm -rf .venv demo build

# A stamp is older than pyproject.toml only when the dependencies may have changed.
.venv/.library: pyproject.toml | .venv/bin/pip
	@Testing/setup/graphics_libraries.sh
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/.report: pyproject.toml .venv/.library
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .[report]
	@touch $@

.venv/.tools: pyproject.toml .venv/.library
	@Testing/setup/chromium.sh
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .[test,slicer,panel,report]
	@touch $@

# Debian keeps ensurepip in a package of its own; where it is missing, the system's pip fills in.
.venv/bin/pip:
	$(SYSTEM_PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed.")'
	$(SYSTEM_PYTHON) -m venv .venv 2>/dev/null || { $(SYSTEM_PYTHON) -m venv --clear --without-pip .venv && \
	  $(SYSTEM_PYTHON) -m pip --python .venv/bin/python install --quiet pip; }
