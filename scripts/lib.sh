# Shared by scripts/quickstart and scripts/test: messages, root, packages, the build. Sourced, never run.
# Callers set `root` (the checkout).

PGVERSION=15
PGBIN=/usr/lib/postgresql/$PGVERSION/bin

build_packages=(build-essential g++ make pkg-config postgresql-$PGVERSION postgresql-server-dev-$PGVERSION
  liblmdb-dev liblz4-dev libzstd-dev libxxhash-dev libssl-dev libhwy-dev libtbb-dev)
test_packages=(cmake postgresql-$PGVERSION-pgtap libgtest-dev libbenchmark-dev clang-format python3
  python3-psycopg2 libipc-run-perl)

say() { printf '%s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# as_root COMMAND...: run as root, through sudo where this is not root. Never asks for a password.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n -- "$@"; fi
}

have_root() { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }

# missing_packages PACKAGE...: prints those that are not installed, one per line
missing_packages() {
  local package
  for package; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
  done
}

# ensure_packages PACKAGE...: install what is missing, and nothing else. Needs no network and no root
# where everything is there already.
ensure_packages() {
  command -v dpkg-query >/dev/null || die "this needs Debian 12 (no dpkg found)"
  local missing
  mapfile -t missing < <(missing_packages "$@")
  [ "${#missing[@]}" -gt 0 ] || return 0
  have_root || die "these packages are missing and installing them needs root:
  ${missing[*]}
Run this script as root, or run 'sudo -v' first, or have them installed with
  apt-get install ${missing[*]}"
  # No server of Debian's own is started beside ours: the setting is taken back after the installation.
  local conf=/etc/postgresql-common/createcluster.conf hold=
  if [ ! -d "/usr/lib/postgresql/$PGVERSION/bin" ]; then
    apt_install postgresql-common || return
    if ! grep -qE '^[[:space:]]*create_main_cluster' "$conf"; then
      as_root pg_conftool "$conf" set create_main_cluster false && hold=1
    fi
  fi
  local status=0
  apt_install "${missing[@]}" || status=$?
  [ -z "$hold" ] || as_root pg_conftool "$conf" remove create_main_cluster
  return $status
}

apt_install() {
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120)
  local install=("${apt[@]}" install -y --no-install-recommends "$@")
  compgen -G '/var/lib/apt/lists/*Packages*' >/dev/null || as_root "${apt[@]}" update
  as_root "${install[@]}" || { as_root "${apt[@]}" update && as_root "${install[@]}"; }
}

# build_extension: make, then install the files that differ from the installed ones, and name them.
# Each is replaced by rename, so a running server keeps the library that it has mapped.
build_extension() {
  local make=(make -s -C "$root" PG_CONFIG="$PGBIN/pg_config") stage file target
  "${make[@]}" -j"$(nproc)" || return
  stage=$root/build/stage
  rm -rf "$stage"
  mkdir -p "$stage"
  "${make[@]}" install DESTDIR="$stage" >/dev/null || return
  while read -r file; do
    target=${file#"$stage"}
    cmp -s "$file" "$target" && continue
    have_root || { echo "installing $target needs root: run as root, or run 'sudo -v' first"; return 1; }
    as_root mkdir -p "$(dirname "$target")" &&
      as_root install -m "$(stat -c %a "$file")" "$file" "$target.new" &&
      as_root mv -f "$target.new" "$target" || return
    echo "installed $target"
  done < <(find "$stage" -type f)
}
