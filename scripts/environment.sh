# Sourced by the scripts beside it; sets checkout and python.
#
#   make_environment [EXTRA ...]   creates .venv in the checkout, with the exact versions of constraints.txt
#
# .venv/.installed records the inputs and the extras of the last installation, so that a second call returns at once.

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=$checkout/.venv/bin/python

is_supported() { "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; }

find_python() {
    for candidate in python3 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null && is_supported "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    echo "error: no Python 3.11, 3.12 or 3.13 with its venv module is on the PATH" >&2
    echo "remedy: install one, on Debian and Ubuntu: apt install python3 python3-venv" >&2
    return 1
}

make_environment() (
    cd "$checkout"
    stamp=.venv/.installed
    # Includes the folder, because a virtual environment cannot be moved.
    inputs=$(cat setup.cfg pyproject.toml scripts/constraints.txt | cksum; pwd)
    inputs=${inputs//$'\n'/ }
    installed=$(sed -n 1p "$stamp" 2>/dev/null || true)
    extras=$(sed -n 2p "$stamp" 2>/dev/null || true)
    missing=0
    for extra in "$@"; do
        case " $extras " in *" $extra "*) ;; *) missing=1 extras="$extras $extra" ;; esac
    done
    if [ "$installed" = "$inputs" ] && [ "$missing" = 0 ] && [ -x "$python" ]; then
        return
    fi
    if [ -z "$installed" ] || [ ! -x "$python" ]; then
        base=$(find_python)
        echo "creating .venv with $("$base" --version)"
        "$base" -m venv --clear .venv
    fi
    extras=$(echo $extras)  # normalizes white space
    echo "installing Hourglass${extras:+ with the extras $extras} (takes some minutes the first time)"
    rm -f "$stamp"
    "$python" -m pip install --quiet --disable-pip-version-check \
        --constraint scripts/constraints.txt --editable ".${extras:+[${extras// /,}]}"
    printf '%s\n%s\n' "$inputs" "$extras" >"$stamp"
)
