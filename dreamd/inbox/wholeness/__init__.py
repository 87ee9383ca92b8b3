"""Whether one file is whole: what its bytes say of themselves, and whether somebody writes it still.

Its face is `appearance.inspect`. Knows no event and no time; how long a file is waited for is `settling`'s.
"""
