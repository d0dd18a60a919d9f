# Sourced by the other scripts: finds Python, makes a virtual environment, installs the pinned packages into it.
# Uses nothing but Python 3.11+ and pip.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_USER=0 PIP_NO_INPUT=1
unset PYTHONHOME PYTHONPATH PIP_TARGET PIP_PREFIX

say() { printf '%s\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# The first Python of at least 3.11 is printed; $PYTHON is asked first.
find_python() {
    local candidate seen=""
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.11 python3.12 python3.13 python; do
        command -v "$candidate" >/dev/null 2>&1 || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            printf '%s\n' "$candidate"
            return
        fi
        seen="$seen, $candidate ($("$candidate" -c 'import platform; print(platform.python_version())' 2>/dev/null || echo "does not run"))"
    done
    seen="${seen#, }"
    fail "Python 3.11 or newer is needed; found ${seen:-none}. Install one, or name it: PYTHON=/path/to/python3.11 $0"
}

# make_venv FOLDER: a virtual environment that runs.
make_venv() {
    local venv="$1" python output
    if [ -x "$venv/bin/python" ] && "$venv/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        return
    fi
    if [ -e "$venv" ] && [ ! -f "$venv/pyvenv.cfg" ] && [ -n "$(ls -A "$venv" 2>/dev/null)" ]; then
        fail "$venv exists and is no virtual environment; name another folder"
    fi
    python="$(find_python)" || exit 1
    "$python" -c 'import venv' 2>/dev/null || fail "this Python has no venv module; on Debian and Ubuntu: apt install python3-venv"
    say "making $venv with $("$python" --version 2>&1)"
    if output="$("$python" -m venv --clear "$venv" 2>&1)"; then
        return
    fi
    # Debian's Python may have venv without ensurepip: pip itself can fill the gap.
    if "$python" -m venv --clear --without-pip "$venv" >/dev/null 2>&1 &&
        "$python" -m pip --python "$venv/bin/python" install --quiet pip >/dev/null 2>&1; then
        return
    fi
    say "$output"
    case "$output" in
        *ensurepip*) fail "this Python cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv" ;;
        *) fail "could not make $venv" ;;
    esac
}

# require_disk FOLDER MEGABYTES
require_disk() {
    local folder="$1" needed="$2" free
    while [ ! -d "$folder" ]; do folder="$(dirname "$folder")"; done
    free="$(df -Pm "$folder" | awk 'NR == 2 { print $4 }')"
    case "$free" in
        '' | *[!0-9]*) return ;;
    esac
    [ "$free" -ge "$needed" ] || fail "$folder has $free MB free and the packages need about $needed MB; free some space, or put the environment elsewhere"
}

# install_packages VENV EXTRA [CONSTRAINTS]: `pip install -c constraints.txt -e .[EXTRA]`, skipped when nothing changed since.
install_packages() {
    local venv="$1" extra="$2" constraints="${3:-constraints.txt}" stamp wanted log line
    stamp="$venv/.vasari-installed"
    wanted="$ROOT [$extra] $(cat "$ROOT/pyproject.toml" "$ROOT/$constraints" | cksum)"
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
        return
    fi
    rm -f "$stamp"
    [ -d "$venv/lib" ] && "$venv/bin/python" -c 'import importlib.util as u, sys; sys.exit(u.find_spec("torch") is None)' 2>/dev/null ||
        require_disk "$venv" 2500
    log="$venv/install.log"
    say "installing vasari[$extra] with the versions of $constraints; the first time takes minutes (log: $log)"
    if ! "$venv/bin/python" -m pip install --progress-bar off -c "$ROOT/$constraints" -e "$ROOT[$extra]" \
        ${VASARI_TORCH_INDEX:+--extra-index-url "$VASARI_TORCH_INDEX"} 2>&1 | tee "$log" | show_progress; then
        grep -E '^(ERROR|error)' "$log" | tail -5 >&2
        grep -qiE 'No space left|Errno 28' "$log" && fail "the disk is full; free some space and run the same command again"
        grep -qE 'NewConnectionError|ConnectTimeout|Temporary failure in name resolution|ProxyError' "$log" &&
            fail "pip could not reach the package index; check the connection or PIP_INDEX_URL, and run the same command again"
        fail "pip could not install the packages; the whole log is in $log"
    fi
    printf '%s\n' "$wanted" >"$stamp"
}

show_progress() {
    local line
    while IFS= read -r line; do
        case "$line" in
            *Downloading*.metadata* | *'Using cached'*.metadata*) ;;
            *Downloading* | *'Using cached'* | Processing* | 'Installing collected'*) printf '  %.110s\n' "${line#"${line%%[![:space:]]*}"}" >&2 ;;
        esac
    done
}
