"""Names that are no pictures, by who makes them, and names that are."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamd.inbox.ignored import LITTER, Ignored, Litter

OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"


def words(text: str) -> list[str]:
    return text.split()


FILES = words("""
    .DS_Store ._cat.jpg .nfs000000012 .fuse_hidden0001 .cat.jpg.AbC123 .syncthing.cat.jpg.tmp .goutputstream-X1Y2Z3
    .cat.jpg.swp .#cat.jpg .~lock.cat.odg# .pending-1700000000-cat.jpg .com.google.Chrome.AbCdEf .cat.jpg.icloud
    Thumbs.db THUMBS.DB ehthumbs.db desktop.ini Picasa.ini ZbThumbnail.info pspbrwse.jbf
    cat.jpg.part cat.part cat.jpg.crdownload cat.jpg.opdownload cat.jpg.download cat.jpg.fdmdownload cat.jpg.partial
    cat.jpg.filepart cat.jpg.aria2 cat.jpg.!ut cat.jpg.!qB cat.jpg.!bt cat.jpg.bc! cat.jpg.!sync cat.jpg.xltd
    cat.jpg.td cat.jpg.td.cfg cat.jpg.jc! cat.jpg.ytdl cat.jpg.part-Frag12 cat.jpg.part3 cat.jpg.dtapart 001.part.met
    cat.jpg.unfinished cat.jpg.incomplete cat.jpg.baiduyun.downloading cat.jpg.baiduyun.p.downloading
    cat.tmp cat.jpg.temp cat.jpg.tmp1a2b cat.jpg.1a2b3c4d.partial ~syncthing~cat.jpg cat.jpg.ocTransferId77.part
    cat.jpg.~1a2b3c cat.jpg.sb-1a2b3c4d-XyZ012 cat.jpg.uploading cat.jpg.nextcloud cat.jpg.cloudf
    cat.jpg~ cat.jpg.~1~ #cat.jpg# cat.jpg.swp cat.jpg.swo cat.jpg.bak cat.jpg.BAK cat.jpg.bak2 cat.jpg.backup
    cat.jpg.old cat.jpg.orig cat.jpg.rej cat.jpg.save cat.jpg.autosave cat.psd.lock cat.jpg.lck ~$cat.docx ~$cat.jpg
    cat.jpg_original cat.jpg_exiftool_tmp cat.jpg___jb_tmp___ cat.jpg___jb_old___
    recipe.yaml~ #recipe.yaml# recipe.yaml.bak .recipe.yaml.swp Recipe.yaml RECIPE.YML recipe-old.yaml config.yml
    dream.yaml .dream.yaml cat.dreams.yaml cat.dream.yaml~ cat.dream.yaml.bak .cat.dream.yaml
""")

FOLDERS = [
    *("#recycle", "@Recycle", "$RECYCLE.BIN", "RECYCLER", "Recycle Bin", "Network Trash Folder", "trashbox"),
    *(".Trash-1000", ".Trashes", ".recycle", "#snapshot", "~snapshot", ".snapshot", ".snapshots", ".zfs"),
    *("@Recently-Snapshot", "@GMT-2026.11.25-12.00.00", "@eaDir", "@tmp", "@SynoResource", "@__thumb", "lost+found"),
    *("LOST.DIR", "System Volume Information", "FOUND.000", "__MACOSX", "Temporary Items", ".stfolder", ".stversions"),
    *("album.part", "album.download", "recipe.yaml"),
]

PICTURES = words("""
    cat.jpg CAT.JPG cat cat.jpeg.png part.jpg download.jpg tmp.png recipe.jpg #1.jpg @home.png ~cat.png $5.png
    cat.tmp.jpg cat.bak.png snapshot.jpg recycle.png cat~1.jpg found.0001.png found.000.png IMG_original.jpg old.gif
    cat.sync-conflict-20260101-120000-ABCDEFG.jpg cat.swf.png backup part1.jpg sb-1a2b3c4d-XyZ012.jpg a@eadir.png
    cat.dream.yaml cat.dream.yml CAT.DREAM.YAML recipe.dream.yaml
""")

ALBUMS = ["trips", "recycle", "2026.old", "pictures.bak", "snapshots", "@home", "#1", "yaml", "holiday.backup"]


@pytest.fixture
def ignored() -> Ignored:
    return Ignored(())


@pytest.mark.parametrize("name", FILES)
def test_a_name_that_other_programs_give_is_left_alone(ignored: Ignored, name: str) -> None:
    assert ignored.file(name)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_that_other_programs_make_is_left_alone_with_all_that_is_in_it(ignored: Ignored, name: str) -> None:
    assert ignored.folder(name)
    assert ignored.path(f"trips/{name}/deep/cat.jpg", is_folder=False)
    assert ignored.path(f"trips/{name}", is_folder=True)


@pytest.mark.parametrize("name", [*PICTURES, "recipe.yaml", "recipe.yml"])
def test_a_pictures_name_and_a_recipes_are_not(ignored: Ignored, name: str) -> None:
    assert not ignored.file(name)
    assert not ignored.path(f"trips/{name}", is_folder=False)


@pytest.mark.parametrize("name", ALBUMS)
def test_an_albums_name_is_not(ignored: Ignored, name: str) -> None:
    assert not ignored.folder(name)
    assert not ignored.path(f"{name}/cat.jpg", is_folder=False)


def test_the_configs_patterns_are_added_for_files_and_folders() -> None:
    ignored = Ignored(["*.CR3", "skip-*"])
    assert ignored.file("cat.CR3")
    assert ignored.folder("skip-me")
    assert ignored.path("skip-me/cat.jpg", is_folder=False)
    assert not ignored.file("cat.jpg")
    assert not ignored.file("recipe.yaml")


@pytest.mark.parametrize("litter", LITTER, ids=lambda litter: litter.made_by)
def test_the_documentation_tells_of_every_group(litter: Litter) -> None:
    assert f"| {litter.made_by} |" in OPERATIONS.read_text(encoding="utf-8")
