#!/bin/sh
# Installs dreamd as a systemd service, or takes it away again. Used by `make install-service` and `uninstall-service`.
#
#   install.sh install [NAME]    the software into /opt/dreamd, the units, and the config of dreamd (or of dreamd@NAME)
#   install.sh uninstall         everything but configs, pictures, the journal and the user
#
# PYTHON is the interpreter for /opt/dreamd; one below /home or /root is of no use, since the service cannot read it.
# With DESTDIR only files are put there, for packages and tests: no software, no user, nothing started.
set -eu

DESTDIR=${DESTDIR:-}
PYTHON=${PYTHON:-python3}
here=$(cd "$(dirname "$0")" && pwd)
source=$(dirname "$here")
home=/opt/dreamd
units=$DESTDIR/usr/local/lib/systemd/system
unit_files="dreamd.service dreamd@.service dreamd-prune.service dreamd-prune@.service dreamd-prune.timer dreamd-prune@.timer"

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

install_software() {
    python=$("$PYTHON" -c 'import os, sys; print(os.path.realpath(sys.base_prefix))') || fail "$PYTHON does not run"
    case $python in
        /home/* | /root/*) fail "$python is below a home, which the service cannot read: PYTHON=/usr/bin/python3" ;;
    esac
    "$PYTHON" -m venv "$home" || fail "no venv can be made with $PYTHON: apt install python3-venv"
    "$home/bin/python" -m pip install --quiet --upgrade "$source[service]"
    ln -sf "$home/bin/dreamd" /usr/local/bin/dreamd
}

install_units() {
    mkdir -p "$units" "$DESTDIR/usr/local/lib/sysusers.d"
    for unit in $unit_files; do
        install -m 644 "$here/$unit" "$units/$unit"
    done
    install -m 644 "$here/sysusers.conf" "$DESTDIR/usr/local/lib/sysusers.d/dreamd.conf"
}

# The tree of dreamd or dreamd-NAME: its folders, and at the first time a config and two sample recipes.
install_tree() {
    name=$1
    templates=$source/dreamd/templates
    config=$DESTDIR/etc/$name/config.yaml
    mkdir -p "$DESTDIR/usr/local/lib/tmpfiles.d" "$DESTDIR/etc/$name"
    sed "s|/dreamd|/$name|" "$here/tmpfiles.conf" >"$DESTDIR/usr/local/lib/tmpfiles.d/$name.conf"
    [ ! -e "$config" ] || return 0
    sed -E \
        -e "s|^(inbox\|outbox\|failed): +(\w+) +|\1: /srv/$name/\2  |" \
        -e "s|^originals: +done +|originals: /srv/$name/done  |" \
        -e "s|^state: +state +|state: /var/lib/$name  |" \
        "$templates/config.yaml" >"$config"
    for folder in animals weave; do
        mkdir -p "$DESTDIR/srv/$name/inbox/$folder"
        sed "s|\.\./\.\./state/|/var/lib/$name/|" "$templates/inbox/$folder/recipe.yaml" \
            >"$DESTDIR/srv/$name/inbox/$folder/recipe.yaml"
    done
}

start_of() {
    [ "$1" = dreamd ] && echo dreamd || echo "dreamd@${1#dreamd-}"
}

install_all() {
    name=dreamd${1:+-$1}
    [ -n "$DESTDIR" ] || install_software
    install_units
    install_tree "$name"
    [ -z "$DESTDIR" ] || return 0
    systemd-sysusers dreamd.conf
    systemd-tmpfiles --create "$name.conf"
    for folder in animals weave; do
        [ ! -d "/srv/$name/inbox/$folder" ] || chown -R dreamd:dreamd "/srv/$name/inbox/$folder"
    done
    systemctl daemon-reload
    echo "Installed. Next: edit /etc/$name/config.yaml, then"
    echo "  sudo dreamd doctor --user dreamd --config /etc/$name/config.yaml"
    echo "  sudo systemctl enable --now $(start_of "$name")"
}

uninstall_all() {
    if [ -z "$DESTDIR" ]; then
        systemctl disable --now 'dreamd*.timer' dreamd.service 2>/dev/null || true
        systemctl stop 'dreamd@*.service' 2>/dev/null || true
    fi
    for unit in $unit_files; do
        rm -f "$units/$unit"
    done
    rm -f "$DESTDIR/usr/local/lib/sysusers.d/dreamd.conf" "$DESTDIR"/usr/local/lib/tmpfiles.d/dreamd.conf \
        "$DESTDIR"/usr/local/lib/tmpfiles.d/dreamd-*.conf "$DESTDIR/usr/local/bin/dreamd"
    rm -rf "$DESTDIR$home"
    [ -n "$DESTDIR" ] || systemctl daemon-reload
    echo "Uninstalled. Left as they are: /etc/dreamd*, /srv/dreamd*, /var/lib/dreamd*, and the user dreamd."
}

case ${1:-} in
    install) install_all "${2:-}" ;;
    uninstall) uninstall_all ;;
    *) fail "give install [NAME] or uninstall" ;;
esac
