# Sourced by the scripts beside: podman and buildah in a store of their own, that needs no daemon and no systemd.
STORE=${ABUT_CONTAINER_STORE:-${TMPDIR:-/tmp}/abut-containers}
IMAGE=localhost/abut:test
PYTHON=$PWD/.venv/bin/python
mkdir -p "$STORE/networks"
cat >"$STORE/containers.conf" <<'CONF'
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=20000:20000"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
CONF
export CONTAINERS_CONF=$STORE/containers.conf
printf '{"default":[{"type":"insecureAcceptAnything"}]}\n' >"$STORE/policy.json"
mkdir -p /etc/containers
[ -e /etc/containers/policy.json ] || cp "$STORE/policy.json" /etc/containers/policy.json
podman() {
  command podman --root "$STORE/root" --runroot "$STORE/run" --storage-driver overlay \
    --network-config-dir "$STORE/networks" "$@"
}
buildah() { command buildah --root "$STORE/root" --runroot "$STORE/run" --storage-driver overlay "$@"; }
step() { # says how long what follows took
  local start=$SECONDS name=$1
  shift
  "$@" || return
  echo "$((SECONDS - start)) s  $name" >&2
}
require() { # the reason why containers can't run here, if there is one
  local reason=""
  [ "$(id -u)" -eq 0 ] || reason="only root can make networks and mounts"
  for name in podman buildah runc mmdebstrap; do
    command -v "$name" >/dev/null || reason="$name is absent (.ci/packages installs it)"
  done
  [ -z "$reason" ] && return
  echo "containers can't run here: $reason" >&2
  exit "$([ -n "${ABUT_REQUIRE_CONTAINERS:-}" ] && echo 1 || echo 77)"
}
