#!/bin/sh
# Make an environment for the tests: environment.sh NAME FOLDER.
#   newest       the newest version of everything, without Slicer
#   slicer       with slicer-core, which brings its own VTK, and Qt for the panels
#   slicer-5.10  the versions that 3D Slicer 5.10.0 ships
#   minimum      the oldest versions that pyproject.toml allows
set -e
name=$1 folder=$2
python=${SYSTEM_PYTHON:-python3}

# The wanted Python where this machine has it (Windows: by its launcher, py); otherwise the one that there is.
python_of() {
  for found in "$(command -v "python$1" 2>/dev/null)" "$(pyenv prefix "$(pyenv versions --bare 2>/dev/null |
    grep "^$1\." | tail -n 1)" 2>/dev/null)/bin/python" "$([ "$OS" = Windows_NT ] &&
    py "-$1" -c 'import sys; print(sys.executable, end="")' 2>/dev/null)"; do
    if [ -x "$found" ] && "$found" -c 'import venv, ensurepip' 2>/dev/null; then
      echo "$found"
      return
    fi
  done
  echo "$python"
}

extras=test,report pinned=
case $name in
newest) ;;
slicer) extras=test,report,slicer,panel ;;
slicer-5.10)
  python=$(python_of 3.12)
  pinned="numpy==2.0.2 scipy==1.13.1 vtk==9.4.2 SimpleITK==2.5.2"
  ;;
minimum)
  python=$(python_of 3.11)
  pinned=$("$python" -c 'import tomllib
with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
allowed = project["dependencies"] + project["optional-dependencies"]["report"]
print(*(one.replace(">=", "==") for one in allowed), end="")')
  ;;
*)
  echo "environment.sh: '$name' is not one of newest, slicer, slicer-5.10, minimum." >&2
  exit 2
  ;;
esac

scripts=$folder/bin
[ "$OS" != Windows_NT ] || scripts=$folder/Scripts

# Debian keeps ensurepip in a package of its own; where it is missing, the system's pip fills in.
"$python" -m venv --clear "$folder" 2>/dev/null || {
  "$python" -m venv --clear --without-pip "$folder"
  "$python" -m pip --python "$scripts/python" install --quiet pip
}
# shellcheck disable=SC2086 # several requirements
"$scripts/python" -m pip install --quiet --disable-pip-version-check --editable ".[$extras]" $pinned
"$scripts/python" -m pip --version >"$folder/ready"
