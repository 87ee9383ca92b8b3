"""The worker's own process: decodes, dreams and encodes pictures on one device.

Here the engine meets recipes and files.

Knows no journal, no queue and no daemon: it is given batches of pictures, and answers with messages.
"""
