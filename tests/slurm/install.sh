#!/bin/sh
# Slurm, its accounting and munge from Debian's packages, where they are not there yet. For containers: it needs root.
set -eu
command -v slurmctld > /dev/null && command -v slurmdbd > /dev/null && command -v mariadbd > /dev/null && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
  echo "Slurm is not installed, and only root can install it, with apt-get; its tests will be skipped"
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq --no-install-recommends slurm-wlm slurmdbd mariadb-server munge > /dev/null
