"""The kernel's table of mounts, read."""

from __future__ import annotations

import pytest

from dreamd.inbox.filesystems import filesystem_type


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
