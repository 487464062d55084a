#!/bin/sh
# Runs the programs of docs/story.md, each with an empty cache of jedi's. python3 needs what requirements.txt lists.
set -e
here=$(dirname "$0")
package=$(python3 -c 'import jinja2, os; print(os.path.dirname(jinja2.__file__))')
export PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1

run() {
    XDG_CACHE_HOME=$(mktemp -d)
    export XDG_CACHE_HOME
    echo "python3 $*"
    python3 "$@"
    rm -r "$XDG_CACHE_HOME"
}

run "$here/before.py" "$package"
run "$here/early.py" "$package"
run "$here/swept.py" "$package"
run "$here/profiled.py" "$here/swept.py" "$package"
run "$here/after.py" "$package"
for program in before after; do
    run "$here/profiled.py" "$here/$program.py" "$package"
    run -m memray run -q -f --trace-python-allocators -o "$program.bin" "$here/$program.py" "$package"
done
