"""Which names in an inbox are left alone: what other programs put beside pictures, and what the config adds.

A file or folder whose name begins with a dot is always left alone: that alone covers dreamd's own folder, `.DS_Store`,
`._IMG_1.jpg`, `.snapshot`, `.Trash-1000`, `.nfs0001`, the drafts of rsync, Syncthing and Nextcloud, and more. `LITTER`
holds all other names, by who makes them. To leave more alone, add a name to its group, or a pattern to `watch.ignore`.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dreamd.inbox.recipes import is_recipe

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, kw_only=True)
class Litter:
    """The names that programs of one sort give to what is no picture, all in lower case.

    Attributes:
        made_by: who makes them, as the documentation says it.
        names: whole names.
        beginnings: what names begin with.
        endings: what names end with.
        pattern: a regular expression of what names end with, where no list can say it.
        of_folders: whether folders have such names, too.
    """

    made_by: str
    names: tuple[str, ...] = ()
    beginnings: tuple[str, ...] = ()
    endings: tuple[str, ...] = ()
    pattern: str = r"(?!)"
    of_folders: bool = True


LITTER = (
    Litter(
        made_by="recycle bins",
        names=("$recycle.bin", "recycler", "recycled", "#recycle", "@recycle", "#sharebin", "@sharebin", "recycle bin",
               "recycle.bin", "network recycle bin", "network trash folder", "trashbox"),
        beginnings=("_nas_recycle_",),
    ),
    Litter(
        made_by="snapshots",
        names=("~snapshot", "~snapshots", "#snapshot", "#snapshots", "@snapshot", "@snapshots", "$snapshot",
               "@recently-snapshot", "@sharesnap"),
        beginnings=("@gmt-",),
    ),
    Litter(
        made_by="operating systems",
        names=("thumbs.db", "thumbs.db:encryptable", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "lost+found",
               "lost.dir", "system volume information", "icon\r", "__macosx", "temporary items",
               "thevolumesettingsfolder"),
        pattern=r"\A(?:found\.\d{3})",
    ),
    Litter(
        made_by="network disks and picture managers",
        names=("@eadir", "@tmp", "@__thumb", "@upload_cache", "picasa.ini", "zbthumbnail.info", "pspbrwse.jbf"),
        beginnings=("@syno",),
        endings=("@synoeastream", "@synoresource"),
    ),
    Litter(
        made_by="browsers and downloads that are not finished",
        # Safari, Chrome, Opera and many others call theirs .download, .crdownload, .opdownload and the like.
        endings=(".part", ".partial", ".filepart", ".aria2", ".aria2__temp", ".ytdl", ".dtapart", ".dap", ".getright",
                 ".unfinished", ".incomplete", ".part.met", ".td", ".td.cfg", ".xltd", ".xltd.cfg", ".bc!", ".jc!",
                 ".ob!", ".ut!", ".!ut", ".!qb", ".!bt", ".!bc", ".!sync", ".!dl"),
        pattern=r"\.(?:[\w-]*download(?:ing)?|part\d+|part-frag\d+)",
    ),
    Litter(
        made_by="uploads, copies and synchronisation that are not finished",
        # The last ones stand for a file that is in the cloud, and hold nothing of it.
        endings=(".tmp", ".temp", ".uploading", ".upload", ".copying", ".megatmp", ".lftp-pget-status",
                 ".nextcloud", ".owncloud", ".icloud", ".cloud", ".cloudf"),
        beginnings=("~syncthing~",),
        pattern=r"\.(?:tmp[\w-]+|~[0-9a-f]+|sb-[0-9a-f]{8}-\w{6})",
    ),
    Litter(
        made_by="editors' copies, locks and drafts",
        beginnings=("~$", "photoshop temp", "~pst"),
        endings=("~", ".bak", ".backup", ".old", ".orig", ".rej", ".save", ".sav", ".autosave", ".asv", ".lock", ".lck",
                 "_exiftool_tmp", "___jb_tmp___", "___jb_old___"),
        # Vim's, Emacs' and exiftool's.
        pattern=r"(?:\.sw[k-p]|\.bak\d+|\A#.+#|\.\w{2,4}_original)",
        of_folders=False,
    ),
    Litter(
        made_by="recipes under another name",
        pattern=r"(?<!\.dream)\.ya?ml(?:\.txt)?",  # a dream file asks for a picture
        of_folders=False,
    ),
)  # fmt: skip
"""Every name that is left alone in any inbox, besides those that begin with a dot."""


class _Names:
    """What several groups of litter have in common, so that a name is looked for once and not group by group."""

    def __init__(self, groups: Sequence[Litter]) -> None:
        self._names = frozenset(name for litter in groups for name in litter.names)
        self._beginnings = (".", *(beginning for litter in groups for beginning in litter.beginnings))
        self._endings = tuple(ending for litter in groups for ending in litter.endings)
        self._pattern = re.compile(rf"(?:{'|'.join(litter.pattern for litter in groups)})\Z")

    def __contains__(self, name: str) -> bool:
        low = name.lower()
        return (
            low.startswith(self._beginnings)
            or low.endswith(self._endings)
            or low in self._names
            or self._pattern.search(low) is not None
        )


_FILES = _Names(LITTER)
_FOLDERS = _Names([litter for litter in LITTER if litter.of_folders])


class Ignored:
    """The names to leave alone."""

    def __init__(self, patterns: Sequence[str]) -> None:
        """Leave alone what every inbox leaves alone, and what matches one of some patterns such as `*.part`."""
        self._patterns = re.compile("|".join(fnmatch.translate(pattern) for pattern in patterns) or r"(?!)")

    def file(self, name: str) -> bool:
        """Return whether a file of this name is left alone; a recipe is not."""
        return not is_recipe(name) and (name in _FILES or self._patterns.match(name) is not None)

    def folder(self, name: str) -> bool:
        """Return whether a folder of this name is left alone, with all that is in it."""
        return is_recipe(name) or name in _FOLDERS or self._patterns.match(name) is not None

    def path(self, path: str, *, is_folder: bool) -> bool:
        """Return whether a path relative to the inbox is left alone, for its own name or a folder's on the way."""
        folders, _, name = path.rpartition("/")
        if self.folder(name) if is_folder else self.file(name):
            return True
        return bool(folders) and any(self.folder(part) for part in folders.split("/"))
