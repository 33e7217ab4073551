#!/bin/bash
# A disposable container with a real systemd, to install a service in and use it.
#
#   systemd_container.sh make FOLDER             make a fresh root of this machine's release in FOLDER/root
#   systemd_container.sh boot FOLDER [BIND-RO]...  run it in the foreground until the caller ends; no network
#   systemd_container.sh wait FOLDER             wait until it is up (60 s at most)
#   systemd_container.sh inside FOLDER CMD...    run a command in it as root
#   systemd_container.sh limits FOLDER           make MemoryMax= and similar limits work in it
#   systemd_container.sh down FOLDER             power it off and delete it
#
# Needs root and the Debian packages systemd-container and mmdebstrap. The first `make` downloads the release (about a
# minute) into ${XDG_CACHE_HOME:-~/.cache}/docent-tests; FOLDER is fastest on a tmpfs.
set -euo pipefail

release() { sed -n "s/^VERSION_CODENAME=//p" /etc/os-release; }
pid_of_init() { pgrep -P "$(cat "$1/pid")" -x systemd; }

make() {
  local root=$1/root cache=${XDG_CACHE_HOME:-$HOME/.cache}/docent-tests base
  base=$cache/$(release).tar
  mkdir -p "$cache" "$root"
  if [ ! -s "$base" ]; then
    mmdebstrap --quiet --format=tar --mode=root --variant=apt --dpkgopt=force-unsafe-io \
      --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
      --aptopt='APT::Install-Recommends "false"' \
      --include=systemd,systemd-sysv,dbus,libnss-systemd,python3,python3-venv,libgomp1,procps \
      "$(release)" "$base.$$" && mv "$base.$$" "$base"
  fi
  tar -C "$root" --xattrs --xattrs-include='*' -xpf "$base"
  ln -sf /dev/null "$root/etc/systemd/system/systemd-sysctl.service" # it would set this machine's own /proc/sys
}

boot() {
  local folder=$1 bind options=(--quiet --boot --private-network --link-journal=no --console=pipe) own group
  for bind in "${@:2}"; do options+=("--bind-ro=$bind"); done
  options+=(-D "$folder/root" -M "docent-test-$$")
  if [ ! -d /run/systemd/system ]; then # no systemd here to register with, so make its control group by hand
    options+=(--register=no --keep-unit)
    for group in memory pids cpu blkio devices systemd unified; do
      [ -d /sys/fs/cgroup/$group ] || continue
      own=$(awk -F: -v name="$group" '{n = split($2, a, ","); for (i = 1; i <= n; i++) if (a[i] == name) print $3}' \
        /proc/self/cgroup)
      group=/sys/fs/cgroup/$group${own%/}/docent-test-$$
      mkdir "$group" 2>/dev/null && echo $$ >"$group/cgroup.procs" && echo "$group" >>"$folder/cgroups"
    done
  fi
  echo $$ >"$folder/pid"
  exec setpriv --pdeathsig TERM systemd-nspawn "${options[@]}" </dev/null >"$folder/console" 2>&1
}

wait_until_up() {
  for _ in $(seq 300); do
    if pid_of_init "$1" >/dev/null 2>&1 &&
      [ "$(inside "$1" systemctl is-system-running 2>/dev/null)" = running ]; then return 0; fi
    sleep 0.2
  done
  tail -n 20 "$1/console" >&2
  return 1
}

inside() {
  local folder=$1
  shift
  nsenter -t "$(pid_of_init "$folder")" -m -u -i -p -C -n -- \
    env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "$@"
}

limits() { # systemd-nspawn mounts the controllers of version 1 read-only, so limits would be silently ignored
  local controller
  for controller in memory pids cpu cpuacct blkio; do
    nsenter -t "$(pid_of_init "$1")" -m -C -- mount -o remount,bind,rw "/sys/fs/cgroup/$controller" 2>/dev/null || true
  done
  inside "$1" systemctl daemon-reexec
  wait_until_up "$1"
}

down() {
  local folder=$1 pid group
  [ -f "$folder/pid" ] || return 0
  pid=$(cat "$folder/pid")
  inside "$folder" systemctl poweroff >/dev/null 2>&1 || true
  for _ in $(seq 100); do grep -qs '^State:.[^ZX]' "/proc/$pid/status" || break; sleep 0.1; done
  kill -KILL "$pid" 2>/dev/null || true
  if [ -f "$folder/cgroups" ]; then
    while read -r group; do find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null || true; done <"$folder/cgroups"
  fi
  rm -rf --one-file-system "$folder/root"
}

case $1 in
  make | boot | inside | limits | down) "$@" ;;
  wait) wait_until_up "$2" ;;
  *) sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
