#!/bin/sh
# What pip cannot install: system_packages.sh graphics, or system_packages.sh chromium.
# It installs only with apt-get, only where it already runs as root, and says so before it does; with
# CBM_SYSTEM_PACKAGES=no it installs nothing. Elsewhere it says what is missing and what follows. It never fails.

has() { command -v "$1" >/dev/null 2>&1; }

case $1 in
graphics) # pictures are drawn off-screen with EGL, whose libraries a bare Linux machine may lack
  packages="libegl1 libgl1 libegl-mesa0 libgl1-mesa-dri"
  missing="The EGL libraries are missing; without them no picture can be drawn, and tests of pictures fail."
  if [ "$(uname)" != Linux ]; then
    exit 0 # macOS and Windows draw with what they have
  fi
  PATH="$PATH:/sbin:/usr/sbin"
  if ldconfig -p | grep -q 'libEGL\.so\.1' && ldconfig -p | grep -q 'libGL\.so\.1'; then
    exit 0
  fi
  ;;
chromium)
  packages="chromium chromium-driver"
  missing="Chromium and chromedriver are not on the path; without them the tests of pages in a browser are skipped."
  if has chromedriver && { has chromium || has chromium-browser || has google-chrome || has chrome; }; then
    exit 0
  fi
  ;;
*)
  echo "system_packages.sh: 'graphics' or 'chromium' was expected, not '$1'." >&2
  exit 2
  ;;
esac

echo "$missing" >&2
if ! has apt-get; then
  exit 0
fi
command="apt-get install --yes --no-install-recommends $packages"
if [ "$(id -u)" != 0 ] || [ "$CBM_SYSTEM_PACKAGES" = no ]; then
  echo "They are not installed for you. To install them: sudo $command" >&2
  exit 0
fi
echo "Installing as root (CBM_SYSTEM_PACKAGES=no prevents it): apt-get update && $command" >&2
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # several packages
{ apt-get update --quiet=2 && $command --quiet=2 >/dev/null; } ||
  echo "They could not be installed." >&2
