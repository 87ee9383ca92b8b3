"""The kernel's table of mounts, read."""

from __future__ import annotations

import pytest

from dreamd.inbox.filesystems import filesystem_type, path_on_device


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/home/ann/inbox", "ext4"),
        ("/mnt/share", "cifs"),
        ("/mnt/share/inbox", "cifs"),
        ("/mnt/shared", "ext4"),
        ("/mnt/my disk/inbox", "fuse.sshfs"),
        ("/mnt/twice/inbox", "nfs"),
    ],
)
def test_the_filesystem_of_a_path_is_that_of_its_nearest_and_latest_mount(path, expected):
    mountinfo = (
        "20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "21 20 0:40 / /mnt/share rw - cifs //host/share rw\n"
        r"22 20 0:41 / /mnt/my\040disk rw master:2 - fuse.sshfs host: rw" + "\n"
        "23 20 0:42 / /mnt/twice rw - xfs /dev/sdb rw\n"
        "24 20 0:43 / /mnt/twice rw - nfs host:/x rw\n"
    )
    assert filesystem_type(path, mountinfo) == expected


def test_a_folder_that_is_mounted_twice_has_one_path_on_its_device():
    mountinfo = (
        "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        r"21 20 8:1 /srv/in\040box /out rw - ext4 /dev/sda1 rw" + "\n"
        "22 20 8:2 /@home /home rw - btrfs /dev/sdb rw\n"
    )
    assert str(path_on_device("/srv/in box/trips", mountinfo)) == "/8:1/srv/in box/trips"
    assert path_on_device("/out/trips", mountinfo) == path_on_device("/srv/in box/trips", mountinfo)
    assert path_on_device("/out", mountinfo) == path_on_device("/srv/in box", mountinfo)
    assert str(path_on_device("/home/ann", mountinfo)) == "/8:2/@home/ann"
    assert str(path_on_device("/", mountinfo)) == "/8:1"
    assert str(path_on_device("/anywhere", "")) == "/anywhere"
