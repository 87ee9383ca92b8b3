#!/bin/sh
# Installs dreamd as a systemd service, or takes it away again. Used by `make install-service` and `uninstall-service`.
#
#   install.sh install [NAME]    the software into /opt/dreamd, the units, and the config of dreamd (or of dreamd@NAME)
#   install.sh software          the software alone
#   install.sh rollback          the software that was there before; called again, that which was there after it
#   install.sh uninstall         everything but configs, pictures, the journal and the user
#
# Each release of the software has a folder of its own in /opt/dreamd-releases, and /opt/dreamd is a link to one of them,
# which changes in one step once the new one runs. The one before stays.
#
# PYTHON is the interpreter for it; one below /home or /root is of no use, since the service cannot read it.
# CONSTRAINTS is the file of the versions that it is built of; empty for the newest of each.
# EXTRAS are more extras of dreamd, such as ray, with commas between them.
# With DESTDIR only files are put there, for packages and tests: no software, no user, nothing started.
# OPT and BIN are for tests: where the software and the command go.
set -eu

DESTDIR=${DESTDIR:-}
PYTHON=${PYTHON:-python3}
here=$(cd "$(dirname "$0")" && pwd)
source=$(dirname "$here")
OPT=${OPT:-/opt}
BIN=${BIN:-/usr/local/bin}
CONSTRAINTS=${CONSTRAINTS-$here/constraints.txt}
home=$OPT/dreamd
releases=$OPT/dreamd-releases
lib=$DESTDIR/usr/local/lib
units=$DESTDIR/usr/local/lib/systemd/system
unit_files="dreamd.service dreamd@.service dreamd-nvidia.service dreamd-gpu.service dreamd-prune.service dreamd-prune@.service dreamd-prune.timer dreamd-prune@.timer"

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

install_software() {
    python=$("$PYTHON" -c 'import os, sys; print(os.path.realpath(sys.base_prefix))') || fail "$PYTHON does not run"
    case $python in
        /home/* | /root/*) fail "$python is below a home, which the service cannot read: PYTHON=/usr/bin/python3" ;;
    esac
    mkdir -p "$releases"
    new=$releases/$(date +%Y%m%d-%H%M%S)-$$
    build "$new" || { rm -rf "$new"; fail "$problem; $home is as it was"; }
    # A version that was installed into /opt/dreamd itself; it runs at that path only, which the link gives back to it.
    if [ -d "$home" ] && [ ! -L "$home" ]; then
        mv "$home" "$releases/before"
        ln -s "$releases/before" "$home"
    fi
    [ ! -L "$home" ] || switch "$releases/previous" "$(readlink "$home")"
    switch "$home" "$new"
    ln -sf "$home/bin/dreamd" "$BIN/dreamd"
    remove_older
}

# Make a release, and try whether it runs.
build() {
    problem="no venv can be made with $PYTHON: apt install python3-venv"
    "$PYTHON" -m venv "$1" || return 1
    problem="the software cannot be installed"
    "$1/bin/python" -m pip install --quiet ${CONSTRAINTS:+--constraint "$CONSTRAINTS"} "$source[service,heic${EXTRAS:+,$EXTRAS}]" || return 1
    problem="what was installed does not run"
    "$1/bin/dreamd" --version || return 1
    "$1/bin/python" -m pip freeze --exclude dreamd >"$1/constraints.txt"
}

# Have a link lead elsewhere, in one step.
switch() {
    ln -s "$2" "$1.new"
    mv -T "$1.new" "$1"
}

remove_older() {
    for release in "$releases"/*; do
        case $release in
            "$releases/previous" | "$(readlink "$home")" | "$(readlink "$releases/previous")") ;;
            *) rm -rf "$release" ;;
        esac
    done
}

roll_back() {
    [ -e "$releases/previous" ] || fail "there is no release before the one that is installed"
    before=$(readlink "$releases/previous")
    switch "$releases/previous" "$(readlink "$home")"
    switch "$home" "$before"
    "$home/bin/dreamd" --version
    echo "Back. Next: systemctl restart dreamd"
}

install_units() {
    mkdir -p "$units" "$DESTDIR/usr/local/lib/sysusers.d"
    for unit in $unit_files; do
        install -m 644 "$here/$unit" "$units/$unit"
    done
    mkdir -p "$lib/dreamd" "$lib/udev/rules.d" "$DESTDIR/usr/local/share/doc/dreamd"
    install -m 755 "$here/gpu-devices" "$lib/dreamd/gpu-devices"
    install -m 644 "$here/udev.rules" "$lib/udev/rules.d/90-dreamd.rules"
    install -m 644 "$source/docs/operations.md" "$source/docs/scaling.md" "$DESTDIR/usr/local/share/doc/dreamd"
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
    rm -rf "$lib/dreamd" "$lib/udev/rules.d/90-dreamd.rules" "$DESTDIR/usr/local/share/doc/dreamd"
    rm -rf "$DESTDIR$home" "$DESTDIR$releases"
    [ -n "$DESTDIR" ] || systemctl daemon-reload
    echo "Uninstalled. Left as they are: /etc/dreamd*, /srv/dreamd*, /var/lib/dreamd*, and the user dreamd."
}

case ${1:-} in
    install) install_all "${2:-}" ;;
    software) install_software ;;
    rollback) roll_back ;;
    uninstall) uninstall_all ;;
    *) fail "give install [NAME], software, rollback or uninstall" ;;
esac
