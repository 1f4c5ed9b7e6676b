# Each target sets up what it needs; Python 3.11 or newer with pip is all that has to be there. What is made for users
# (`make demo`) is in .venv, what is made for tests in .environments, so that neither changes the other's versions.
# On Windows: in Git's bash, with GNU make.
WINDOWS := $(filter Windows_NT,$(OS))
export SYSTEM_PYTHON ?= $(if $(WINDOWS),python,python3)
SCRIPTS := $(if $(WINDOWS),Scripts,bin)
BIN := .venv/$(SCRIPTS)
TESTED := .environments/newest/$(SCRIPTS)
LIBRARY := CorticalBoneMapping/CorticalBoneMappingLib
TRIAL ?= --people 80 --months 0 12 24 36 --spacing 2
# Two workers; the tests of one file share what they make.
PYTEST := -m pytest -n 2 --dist loadfile
# The part of the tests that is run in the older versions too: the main job from CT to files, and what each room
# asks of numpy, SciPy, VTK and SimpleITK. At most two minutes a set of versions.
REPRESENTATIVE := $(addprefix Testing/library/,$(addsuffix .py,atlas/test_atlas cli/test_cli cli/test_cli_map \
  cortex/test_cortex io/test_volume_dicom io/test_volume_files mesh/test_closest mesh/test_meshing \
  mesh/test_smoothing registration/test_registration_parts \
  segmentation/test_segmentation segmentation/test_segmentation_voxelised statistics/test_inference \
  statistics/test_least_squares statistics/test_mixed_model study/test_study_statistics))
export OMP_NUM_THREADS ?= 1

.PHONY: help test test-all test-fast test-slow coverage test-newest test-slicer test-slicer-5.10 test-minimum \
	lint demo bench bench-measurement bench-registration bench-segmentation bench-statistics bench-trial bench-inputs bench-real-bones atlas docs package clean
.SECONDARY:

help:
	@echo "make demo    simulate a small trial, map and test it, and write its report to demo/"
	@echo "make test    lint, import contracts, every test with the newest versions, and a part with older ones"
	@echo "make test-fast  the tests without a browser and without long simulations: at most 90 s on two cores"
	@echo "make coverage   which part of the library the tests run through, module by module"
	@echo "make test-all   every test with the newest versions, with those of 3D Slicer 5.10, and with the oldest"
	@echo "make bench   accuracy and time against known truth, written to Docs/validation/"
	@echo "make bench-real-bones  the average femur and simulated people against real bones"
	@echo "make bench-inputs  what people hand in: every kind of input with its answer"
	@echo "make bench-measurement  accuracy of every method on many simulated scans: hours; goes on where it was"
	@echo "make bench-registration  registration against known truth and against published methods: 20 minutes"
	@echo "make bench-segmentation  the femur that is found against the true one, in two dozen simulated hips"
	@echo "make bench-statistics    false alarms of every test in a thousand null studies"
	@echo "make bench-trial         a whole simulated trial, from 640 scans to its effect: hours, 5 GB"
	@echo "make atlas   build the average femur that ships with the library (needs the thirteen people's surfaces)"
	@echo "make docs    build the reference for Python users in build/docs"
	@echo "make package build wheel and source distribution, check them, and use each in an empty environment"
	@echo "make clean   remove the environments and the demo"

test: lint test-fast test-slow test-slicer test-slicer-5.10 test-minimum

# No browser and no long simulation: at most 90 s on two cores.
test-fast: .environments/newest/ready
	$(TESTED)/python $(PYTEST) -m "not slow" Testing/library

# Whether another Python hashes the source alike is tested with that of Slicer 5.10.
test-slow: .environments/newest/ready | .environments/slicer-5.10/ready
	@sh Testing/setup/system_packages.sh chromium
	$(TESTED)/python $(PYTEST) -m slow Testing/library

test-newest: test-fast test-slow

coverage: .environments/newest/ready
	$(TESTED)/python $(PYTEST) --cov --cov-report=term Testing/library

test-slicer: .environments/slicer/ready
	.environments/slicer/$(SCRIPTS)/python $(PYTEST) Testing/slicer

test-slicer-5.10: .environments/slicer-5.10/ready
	.environments/slicer-5.10/$(SCRIPTS)/python $(PYTEST) $(REPRESENTATIVE)

test-minimum: .environments/minimum/ready
	.environments/minimum/$(SCRIPTS)/python $(PYTEST) $(REPRESENTATIVE)

test-all: REPRESENTATIVE := Testing/library
test-all: test

lint: .environments/newest/ready
	$(TESTED)/ruff check .
	$(TESTED)/ruff format --check .
	$(TESTED)/codespell
	$(TESTED)/python Testing/setup/words.py
	$(TESTED)/lint-imports

demo: .venv/.report
	$(BIN)/cbm demo --out demo

docs: .environments/newest/ready
	$(TESTED)/python -m pip install --quiet --disable-pip-version-check --editable .[docs]
	$(TESTED)/python -m tools.reference build/docs

package: .environments/newest/ready
	$(TESTED)/python -m pip install --quiet --disable-pip-version-check --editable .[package]
	rm -rf dist
	$(TESTED)/python -m build --outdir dist
	$(TESTED)/python -m twine check --strict dist/*
	$(TESTED)/python Testing/setup/installed.py dist

bench: .environments/newest/ready
	@set -e; for benchmark in $(basename $(notdir $(wildcard validation/*.py))); do \
	  echo "$$benchmark"; $(TESTED)/python -m validation.$$benchmark; done

bench-measurement: .environments/newest/ready
	$(TESTED)/python -m pip install --quiet --disable-pip-version-check --editable .[bench]
	nice $(TESTED)/python -m validation.measurement

bench-registration: .environments/newest/ready
	$(TESTED)/python -m pip install --quiet --disable-pip-version-check --editable .[bench]
	nice $(TESTED)/python -m validation.registration
	nice $(TESTED)/python -m validation.registration.shape_model

bench-segmentation: .environments/newest/ready
	$(TESTED)/python -m pip install --quiet --disable-pip-version-check --editable .[bench]
	nice $(TESTED)/python -m validation.segmentation

bench-statistics: .environments/newest/ready
	nice $(TESTED)/python -m validation.statistics.null

bench-trial: .environments/newest/ready
	nice $(TESTED)/python -m validation.trial $(TRIAL)

bench-real-bones: .environments/newest/ready
	$(TESTED)/python -m pip install --quiet --disable-pip-version-check --editable .[bench]
	nice $(TESTED)/python -m validation.real_bones --simulated

bench-inputs: .environments/newest/ready
	nice $(TESTED)/python -m validation.inputs

atlas: .venv/.library
	OMP_NUM_THREADS=1 $(BIN)/python -m tools.mean_femur
	OMP_NUM_THREADS=1 $(BIN)/python -m tools.shipped_atlas

clean:
	rm -rf .venv .environments demo build dist

# A stamp is older than pyproject.toml only when the dependencies may have changed.
.venv/.library: pyproject.toml | .venv/.python
	@sh Testing/setup/system_packages.sh graphics
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/.report: pyproject.toml .venv/.library
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .[report]
	@touch $@

.environments/%/ready: pyproject.toml Testing/setup/environment.sh
	@sh Testing/setup/system_packages.sh graphics
	sh Testing/setup/environment.sh $* .environments/$*

# Debian keeps ensurepip in a package of its own; where it is missing, the system's pip fills in.
.venv/.python:
	$(SYSTEM_PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed.")'
	$(SYSTEM_PYTHON) -m venv .venv 2>/dev/null || { $(SYSTEM_PYTHON) -m venv --clear --without-pip .venv && \
	  $(SYSTEM_PYTHON) -m pip --python $(BIN)/python install --quiet pip; }
	@touch $@
