# Sourced by the scripts beside it: makes .venv in the checkout, with the exact versions of constraints.txt.
#
#   make_environment [EXTRA ...]
#
# Quick when there is nothing to do: .venv/.installed says from what, and with which extras, it was made.

supported() { "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; }

find_python() {
    for python in python3 python3.13 python3.12 python3.11; do
        if command -v "$python" >/dev/null && supported "$python"; then
            command -v "$python"
            return
        fi
    done
    echo "error: no Python 3.11, 3.12 or 3.13 with its venv module is on the PATH" >&2
    echo "remedy: install one, on Debian and Ubuntu: apt install python3 python3-venv" >&2
    return 1
}

make_environment() {
    local venv=.venv stamp=.venv/.installed wanted made extras missing=0 extra
    # The folder counts too: a virtual environment does not work elsewhere.
    wanted=$(cat setup.cfg pyproject.toml scripts/constraints.txt | cksum; pwd)
    wanted=${wanted//$'\n'/ }
    made=$(sed -n 1p "$stamp" 2>/dev/null || true)
    extras=$(sed -n 2p "$stamp" 2>/dev/null || true)
    for extra in "$@"; do
        case " $extras " in *" $extra "*) ;; *) missing=1 extras="$extras $extra" ;; esac
    done
    if [ "$made" = "$wanted" ] && [ "$missing" = 0 ] && [ -x "$venv/bin/python" ]; then
        return
    fi
    if [ -z "$made" ] || [ ! -x "$venv/bin/python" ]; then
        local python
        python=$(find_python)
        echo "making $venv with $("$python" --version)"
        "$python" -m venv --clear "$venv"
    fi
    extras=$(echo $extras)  # white space folded
    echo "installing Hourglass${extras:+ with the extras $extras} (the first time, some minutes)"
    rm -f "$stamp"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --constraint scripts/constraints.txt --editable ".${extras:+[${extras// /,}]}"
    printf '%s\n%s\n' "$wanted" "$extras" >"$stamp"
}
