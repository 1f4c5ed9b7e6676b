#!/bin/sh
# Pages are tested in Chromium; where it cannot be had those tests are skipped and say so.
[ "$(uname)" = Linux ] || exit 0
if { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null &&
  command -v chromedriver >/dev/null; then
  exit 0
fi
packages="chromium chromium-driver"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null ||
    echo "Chromium could not be installed; the tests of pages are skipped." >&2
else
  echo "The tests of pages need Chromium. On Debian: sudo apt-get install $packages" >&2
fi
