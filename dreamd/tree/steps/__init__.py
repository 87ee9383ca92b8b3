"""The steps of a picture between the folders: work, results, originals. `Spool` is their order.

Each may be tried again after a kill or an error. Knows open folders and jobs; knows no journal and no lock.
"""
