"""Sheets: many small dreams side by side, to choose layers and settings by looking. `dreamd atlas` and `dreamd sweep`.

`atlas` and `axes` say which dreams, `dreaming` dreams those that are not kept yet, `keeping` keeps them, `drawing` lays
them out. Knows one process's session, recipes and pictures. Knows no command line, no daemon and no jobs.
"""
