"""The pages of a file that holds several pictures: found, read one by one, and joined into one TIFF again.

A page is a picture of its own: with its size, its depth, its profile and its description. Frames of an animation are
none, nor are what belongs to another picture: previews, masks, gain maps, and the sizes of an icon.

Its faces are `pages.open_pages` and `joining.join_pages`. Knows no recipe, no job and no torch.
"""
