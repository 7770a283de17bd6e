#!/bin/sh
# Chromium from Debian's packages, where it is not there yet. For containers: it needs root.
set -eu
command -v chromium > /dev/null && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
  echo "Chromium is not installed, and only root can install it, with apt-get; its tests will be skipped"
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq --no-install-recommends chromium > /dev/null
