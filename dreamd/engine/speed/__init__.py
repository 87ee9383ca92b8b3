"""The same values in less time: number formats, folded norms, Winograd's way, recordings, copies, repeatable bits.

Knows a network's modules and the device. Knows no picture and no schedule.
"""
