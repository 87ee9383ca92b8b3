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
unit_files="dreamd.service dreamd@.service dreamd-nvidia.service dreamd-prune.service dreamd-prune@.service dreamd-prune.timer dreamd-prune@.timer"

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

# What makes the folders of dreamd or dreamd-NAME, and at the first time a config. Weights are shared, in dreamd's.
install_tree() {
    tmpfiles=$DESTDIR/usr/local/lib/tmpfiles.d/$name.conf
    mkdir -p "$(dirname "$tmpfiles")" "$(dirname "$config")"
    sed "s|/dreamd|/$name|" "$here/tmpfiles.conf" >"$tmpfiles"
    [ "$name" = dreamd ] || echo "d /var/lib/dreamd 0750 dreamd dreamd" >>"$tmpfiles"
    [ -e "$config" ] || sed -E \
        -e "s|^(inbox\|outbox\|failed): +(\w+) +|\1: /srv/$name/\2  |" \
        -e "s|^originals: +done +|originals: /srv/$name/done  |" \
        -e "s|^state: +state +|state: /var/lib/$name  |" \
        "$templates/config.yaml" >"$config"
}

install_samples() {
    for folder in animals weave; do
        mkdir -p "$DESTDIR/srv/$name/inbox/$folder"
        sed "s|\.\./\.\./state/|/var/lib/$name/|" "$templates/inbox/$folder/recipe.yaml" \
            >"$DESTDIR/srv/$name/inbox/$folder/recipe.yaml"
        [ -n "$DESTDIR" ] || chown -R dreamd:dreamd "/srv/$name/inbox/$folder"
    done
}

make_user_and_folders() {
    systemd-sysusers dreamd.conf
    systemd-tmpfiles --create "$name.conf"
    systemctl daemon-reload
}

start_of() {
    [ "$1" = dreamd ] && echo dreamd || echo "dreamd@${1#dreamd-}"
}

install_all() {
    name=dreamd${1:+-$1}
    config=$DESTDIR/etc/$name/config.yaml
    templates=$source/dreamd/templates
    [ ! -e "$config" ] && is_new=yes || is_new=no
    [ -n "$DESTDIR" ] || install_software
    install_units
    install_tree
    [ -n "$DESTDIR" ] || make_user_and_folders
    [ $is_new = no ] || install_samples
    [ -z "$DESTDIR" ] || return 0
    echo "Installed. Next: edit $config, then"
    echo "  sudo dreamd doctor --user dreamd --config $config"
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
