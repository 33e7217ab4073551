#!/bin/bash
# Sets Docent up: in this checkout for a demonstration or the tests, or on this machine as a service.
# Everything goes into virtual environments of its own. A second run reuses what the first one installed.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
VENV=$HERE/.venv
PREFIX=/opt/docent
STATE=/var/lib/docent
CONFIG=/etc/docent
LINK=/usr/local/bin/docent
PACKAGES=(appliance ingest models tui)
MINIMUM=3.11
SECONDS_TO_START=180
CHANGED=no

usage() {
  cat <<EOF
Usage:
  ./install.sh demo               set up Docent in .venv here, and show it answering from sample documents
  ./install.sh test [--train] [-- PYTEST ARGUMENTS]
                                  set up .venv with the development tools, and run every check and test
  sudo ./install.sh               install Docent as a systemd service, or bring an installed one up to date
  sudo ./install.sh --uninstall   remove the service; documents, index and settings stay
  ./install.sh --help             this page

Needs Debian or Ubuntu with Python $MINIMUM or newer (with venv) and a C++ compiler; Tesseract for
scanned pages. As root it installs what is missing.
EOF
}

say() { printf '%s\n' "$*"; }
fail() {
  local line
  printf 'install.sh: %s\n' "$1" >&2
  for line in "${@:2}"; do printf '  %s\n' "$line" >&2; done
  exit 1
}

# ------------------------------------------------------------------------------------------------- prerequisites

suitable_python() { # the first Python that is new enough and can make virtual environments
  local candidate
  for candidate in "${DOCENT_PYTHON:-}" python3 python3.{14,13,12,11} /usr/bin/python3; do
    [ -n "$candidate" ] || continue
    "$candidate" -c "import sys, venv, ensurepip; sys.exit(sys.version_info < (${MINIMUM/./, }))" 2>/dev/null || continue
    command -v "$candidate"
    return
  done
  return 1
}

python_packages() { # the Debian packages with a suitable Python
  local newest
  if apt-cache show python3 2>/dev/null | grep -qE '^Version: 3\.([0-9]|10)\.'; then
    newest=$(apt-cache pkgnames python3. 2>/dev/null | grep -xE 'python3\.1[1-9]' | sort -V | tail -1)
    echo "${newest:-python$MINIMUM} ${newest:-python$MINIMUM}-venv"
  else
    echo python3 python3-venv
  fi
}

has_compiler() { command -v "${CXX:-c++}" >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null; }

# llama.cpp is the only library that comes as source; pip caches the compiled wheel
compiled_llama() { # PYTHON: the wheel's path, if there is one
  local folder
  for folder in ${PIP_FIND_LINKS:-}; do
    compgen -G "$folder/llama_cpp_python-*.whl" && return
  done
  "$1" -m pip cache list --format=abspath llama_cpp_python 2>/dev/null | grep -m1 '\.whl$'
}

require() { # NEEDS_COMPILER: sets PYTHON; as root installs what is missing, otherwise names it
  local missing
  find_missing "$1"
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || fail "missing: ${missing[*]} (Debian's package names)" \
    "Install Python $MINIMUM or newer with venv, and a C++ compiler, then run this again."
  if [ "$(id -u)" -ne 0 ]; then
    fail "missing: ${missing[*]}" "Run this, then ./install.sh again:" "sudo apt-get install -y ${missing[*]}"
  fi
  apt-get update -qq >/dev/null || true # without a network the old package lists may be enough
  find_missing "$1"
  say "Installing ${missing[*]} ..."
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
    fail "apt-get could not install ${missing[*]}" "Check the network and /etc/apt/sources.list, or install them by hand."
  find_missing "$1"
  [ ${#missing[@]} -eq 0 ] || fail "still missing after installing: ${missing[*]}" \
    "Set DOCENT_PYTHON=/path/to/python3 ($MINIMUM or newer), or CXX=/path/to/c++ for the compiler."
}

require_for_llama() { # needs a compiler too, unless pip has llama.cpp compiled already
  if PYTHON=$(suitable_python) && compiled_llama "$PYTHON" >/dev/null; then require no; else require yes; fi
}

find_missing() { # NEEDS_COMPILER: sets PYTHON, and the caller's `missing`
  missing=()
  PYTHON=$(suitable_python) || read -ra missing <<<"$(python_packages)"
  if [ "$1" = yes ] && ! has_compiler; then missing+=(g++); fi
}

has_text_recognition() { # for scanned pages: Tesseract's library and its English data
  compgen -G '/usr/lib/*/libtesseract.so.[45]' >/dev/null && compgen -G '/usr/share/tesseract-ocr/*/tessdata/eng.traineddata' >/dev/null
}

want_text_recognition() { # optional: Docent works without it, so a failure is only reported
  has_text_recognition && return
  local by_hand="Scanned pages are skipped until text recognition is installed: sudo apt-get install -y tesseract-ocr"
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then say "$by_hand"; return; fi
  say "Installing tesseract-ocr ..."
  apt-get update -qq >/dev/null 2>&1 || true # without a network the old package lists may be enough
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends tesseract-ocr >/dev/null || say "$by_hand"
}

# ------------------------------------------------------------------------------------------- pip, with its progress

patiently() { # LOG COMMAND...: runs it with its output in the log, reports every 30 s that it continues, explains a failure
  local log=$1 pid started=$SECONDS next=30 compiling=
  shift
  setsid "$@" >"$log" 2>&1 9<&- & # a process group of its own, so that compilers end with it
  pid=$!
  trap 'kill -- "-$pid" 2>/dev/null; say "Interrupted; run it again to continue."; exit 130' INT TERM HUP
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.2
    if [ -z "$compiling" ] && grep -q 'Building wheel for llama-cpp-python' "$log"; then
      compiling=yes
      say "Compiling llama.cpp, this once: 5 to 15 minutes on two cores ..."
    fi
    if [ $((SECONDS - started)) -ge $next ]; then
      say "  ... still working after $next s"
      next=$((next + 30))
    fi
  done
  trap - INT TERM HUP
  wait "$pid" || explain "$log"
}

explain() { # LOG: says in plain words why pip failed, and exits
  local hint="The whole log: $1"
  if grep -qiE 'no space left|disk quota' "$1"; then
    fail "the disk is full" "Docent needs about 1.5 GB for its environment; free some space and run this again." "$hint"
  elif grep -qiE 'name resolution|NewConnectionError|Network is unreachable|Connection refused|ConnectTimeout|ReadTimeout|connection broken|from versions: none|ProxyError|Could not fetch URL' "$1"; then
    fail "the Python packages could not be downloaded: no network, or the package index cannot be reached" \
      "Check the connection (behind a proxy, set https_proxy) and run this again: it continues where it stopped." \
      "Without a network, put the wheels into a folder and set PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER." "$hint"
  elif grep -qiE 'CMAKE_CXX_COMPILER|No CMAKE_C_COMPILER|could not find any.*compiler|Failed building wheel for llama' "$1"; then
    tail -n 15 "$1" >&2
    fail "llama.cpp could not be compiled" "Is a C++ compiler installed? sudo apt-get install -y g++ libc6-dev" "$hint"
  fi
  tail -n 15 "$1" >&2
  fail "pip failed" "$hint"
}

# llama.cpp is compiled without Intel's AMX. g++ 12 (Debian 12) miscompiles the set-up of AMX's registers, so a quantised
# model would kill its process (SIGILL) on processors that have them. -U works where -mno-amx-int8 would come too early.
WITHOUT_AMX=-U__AMX_INT8__

pip_in() { # VENV ARGUMENTS...: pip install, with its output in the log of that environment
  local venv=$1
  shift
  patiently "$venv/install.log" env PIP_ROOT_USER_ACTION=ignore CFLAGS="${CFLAGS:-} $WITHOUT_AMX" \
    CXXFLAGS="${CXXFLAGS:-} $WITHOUT_AMX" "$venv/bin/python" -m pip install --disable-pip-version-check --no-input "$@"
}

one_at_a_time() { # two runs in one checkout would overwrite each other's files
  exec 9<"$HERE/install.sh"
  flock -n 9 || { say "Another install.sh is running here; waiting for it ..."; flock 9; }
}

# ----------------------------------------------------------------------------------------------- the checkout's .venv

fingerprint() { # PYTHON: a hash of what the environment depends on
  { "$1" -c 'import sys; print(sys.version_info[:2], sys.prefix)'; sha256sum <"$HERE/pyproject.toml"; } | sha256sum | cut -c1-32
}

has_working_venv() { # false for one that was copied or moved here, or whose Python no longer exists
  "$VENV/bin/python" -c "import pip, sys; sys.exit(sys.version_info < (${MINIMUM/./, }))" 2>/dev/null &&
    grep -qF "$VENV/bin/python" "$VENV/bin/pip"
}

set_up() { # EXTRA...: makes .venv with the package, editable, and these extras. Writes the stamp last.
  local stamp=$VENV/docent-setup key='' done_extras='' wanted
  one_at_a_time
  want_text_recognition
  if has_working_venv && [ -f "$stamp" ]; then
    { read -r key; read -r done_extras; } <"$stamp" || true
    [ "$key" = "$(fingerprint "$VENV/bin/python")" ] || key=stale
  fi
  wanted=$(printf '%s\n' "$done_extras" "$@" | tr ' ' '\n' | sed '/^$/d' | sort -u | paste -sd' ')
  if [ "$key" = stale ] || [ -z "$key" ] || [ "$wanted" != "$done_extras" ]; then
    if ! has_working_venv; then
      require_for_llama
      say "Making the virtual environment .venv with $("$PYTHON" --version) ..."
      rm -rf "$VENV"
      "$PYTHON" -m venv "$VENV"
    fi
    rm -f "$stamp"
    "$VENV/bin/python" -c 'import llama_cpp' 2>/dev/null || require_for_llama
    say "Installing Docent and its libraries into .venv ..."
    pip_in "$VENV" --editable "$HERE${wanted:+[${wanted// /,}]}"
    printf '%s\n%s\n' "$(fingerprint "$VENV/bin/python")" "$wanted" >"$stamp"
  fi
  exec 9<&-
}

demo() {
  set_up
  exec "$VENV/bin/docent" demo "$@"
}

run_tests() {
  local extras=(dev) failed=()
  while [ $# -gt 0 ]; do case $1 in
    --train) extras+=(train); shift ;;
    --) shift; break ;;
    *) fail "unknown argument: $1" "Put arguments for pytest after --: ./install.sh test -- -k NAME" ;;
  esac; done
  set_up "${extras[@]}"
  cd "$HERE"
  export PATH=$VENV/bin:$PATH
  check ruff check . || failed+=("ruff check")
  check ruff format --check . || failed+=("ruff format")
  check mypy || failed+=(mypy)
  check python -m pytest -n auto "$@" || failed+=(pytest)
  [ ${#failed[@]} -eq 0 ] || fail "failed: $(printf '%s, ' "${failed[@]}" | sed 's/, $//')"
  say "All checks passed."
}

check() { say "== $*"; "$@"; }

# ------------------------------------------------------------------------------------------------------- the service

release_name() { # a hash of what would be installed: the packages' content and the Python
  (
    cd "$HERE"
    find "${PACKAGES[@]}" docs README.md LICENSE pyproject.toml -type f -not -path '*/__pycache__/*' -print0 |
      LC_ALL=C sort -z | xargs -0 sha256sum
    "$PYTHON" --version
  ) | sha256sum | cut -c1-12
}

build_release() { # FOLDER: makes an environment there; the file `complete` is written last
  local release=$1 source
  source=$(mktemp -d)
  (cd "$HERE" && cp -R "${PACKAGES[@]}" README.md LICENSE pyproject.toml "$source/")
  rm -rf "$release"
  mkdir -p "$release"
  "$PYTHON" -m venv "$release"
  borrow_wheel
  pip_in "$release" "$source"
  rm -rf "$source"
  mkdir -p "$release/share/doc/docent"
  cp -R --no-preserve=mode,ownership "$HERE"/{README.md,LICENSE,docs} "$release/share/doc/docent/"
  touch "$release/complete"
}

borrow_wheel() { # reuses the llama.cpp that the user who calls sudo has compiled before
  local wheel
  compiled_llama "$PYTHON" >/dev/null && return
  if [ -n "${SUDO_USER:-}" ] && [ -x "$VENV/bin/python" ]; then
    wheel=$(runuser -u "$SUDO_USER" -- env -u PIP_FIND_LINKS -u XDG_CACHE_HOME "$VENV/bin/python" -m pip cache list \
      --format=abspath llama_cpp_python 2>/dev/null | grep -m1 '\.whl$') || true
    if [ -n "$wheel" ]; then
      export PIP_FIND_LINKS="${PIP_FIND_LINKS:-} ${wheel%/*}"
      return
    fi
  fi
  require yes
}

put() { # FILE TARGET: installs it if it differs, and notes the change
  cmp -s "$1" "$2" || { install -D -m 644 "$1" "$2"; CHANGED=yes; }
}

point() { # LINK TARGET: points the link there in one step if it differs, and notes the change
  [ "$(readlink "$1" || true)" != "$2" ] || return 0
  mkdir -p "${1%/*}"
  ln -sfn "$2" "$1.new"
  mv -T "$1.new" "$1"
  CHANGED=yes
}

install_service() {
  local release
  [ -d /run/systemd/system ] || fail "this machine does not run systemd" \
    "Run Docent without it: ./install.sh demo sets it up, .venv/bin/docent serve starts it."
  umask 022
  one_at_a_time
  require no
  want_text_recognition
  release=$PREFIX/releases/$(release_name)
  if [ ! -e "$release/complete" ]; then
    say "Installing Docent into $release ..."
    build_release "$release"
  fi
  put_files
  point "$PREFIX/current" "$release"
  point "$LINK" "$PREFIX/current/bin/docent"
  start_service
  find "$PREFIX/releases" -mindepth 1 -maxdepth 1 -not -path "$release" -exec rm -rf {} +
  [ "$CHANGED" = yes ] || say "Nothing to do: this version is already installed."
  next_steps
}

put_files() { # units, users and folders; settings only if there are none
  put "$HERE/systemd/docent.sysusers" /etc/sysusers.d/docent.conf
  put "$HERE/systemd/docent.tmpfiles" /etc/tmpfiles.d/docent.conf
  put "$HERE/systemd/docent.service" /etc/systemd/system/docent.service
  # units for remote providers: installed, but not enabled
  put "$HERE/systemd/docent-egress@.socket" /etc/systemd/system/docent-egress@.socket
  put "$HERE/systemd/docent-egress@.service" /etc/systemd/system/docent-egress@.service
  [ -e "$CONFIG/docent.toml" ] || put "$HERE/systemd/docent.toml" "$CONFIG/docent.toml"
  systemd-sysusers /etc/sysusers.d/docent.conf
  systemd-tmpfiles --create /etc/tmpfiles.d/docent.conf
}

start_service() { # systemctl returns when the service has reported that it is ready
  systemctl daemon-reload
  systemctl -q enable docent.service
  systemctl reset-failed docent.service 2>/dev/null || true
  if [ "$CHANGED" = yes ] || ! systemctl -q is-active docent.service; then
    say "Starting the service ..."
    timeout "$SECONDS_TO_START" systemctl restart docent.service || {
      journalctl -u docent -n 20 --no-pager -o cat >&2 || true
      fail "the service does not start" "Its last messages are above. See all of them: journalctl -u docent"
    }
  fi
}

next_steps() {
  local user=${SUDO_USER:-USER}
  cat <<EOF
Docent is running.
  Users              members of the group docent:  sudo usermod -aG docent $user   (then log in again)
  Administrators     root and members of the group docent-admin
  Documents          put files into $STATE/library; a folder in it is a collection
  Ask                docent ask "..."    or    docent tui
  Settings           $CONFIG/docent.toml, then: sudo systemctl restart docent
EOF
}

uninstall() {
  local booted=no
  [ -d /run/systemd/system ] && booted=yes
  if [ $booted = yes ] && [ -e /etc/systemd/system/docent.service ]; then systemctl -q disable --now docent.service; fi
  if [ $booted = yes ]; then systemctl -q stop 'docent-egress@*'; fi
  rm -f /etc/systemd/system/docent-egress@.{socket,service} /etc/systemd/system/sockets.target.wants/docent-egress@*.socket
  rm -rf "$PREFIX" /etc/systemd/system/docent.service /etc/sysusers.d/docent.conf /etc/tmpfiles.d/docent.conf
  if [ "$(readlink "$LINK" || true)" = "$PREFIX/current/bin/docent" ]; then rm -f "$LINK"; fi
  if [ $booted = yes ]; then systemctl daemon-reload; fi
  cat <<EOF
Docent is removed. Kept:
  $STATE     documents, index and models
  $CONFIG         settings
  the user docent and the groups docent and docent-admin, which own them
To remove these too, as root:
  rm -rf $STATE $CONFIG; userdel docent; groupdel docent-admin
EOF
}

need_root() {
  [ "$(id -u)" -eq 0 ] || fail "$1 needs root" "Run: sudo ./install.sh${2:+ $2}" \
    "To try it without installing a service: ./install.sh demo"
}

main() {
  case ${1:-} in
    demo) shift; demo "$@" ;;
    test) shift; run_tests "$@" ;;
    -h | --help | help) usage ;;
    --uninstall) need_root "removing the service" --uninstall; uninstall ;;
    '') need_root "installing the service"; install_service ;;
    *) printf 'install.sh: unknown argument: %s\n\n' "$1" >&2; usage >&2; exit 2 ;;
  esac
}

main "$@"
