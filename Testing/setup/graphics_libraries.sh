#!/bin/sh
# Pictures are drawn off-screen with EGL, whose libraries a bare Linux machine may lack.
[ "$(uname)" = Linux ] || exit 0
PATH="$PATH:/sbin:/usr/sbin"
if ldconfig -p | grep -q 'libEGL\.so\.1' && ldconfig -p | grep -q 'libGL\.so\.1'; then
  exit 0
fi
packages="libegl1 libgl1 libegl-mesa0 libgl1-mesa-dri"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
else
  echo "Pictures need EGL. On Debian or Ubuntu: sudo apt-get install $packages" >&2
fi
