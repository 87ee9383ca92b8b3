"""The commands: one file each, with its options and its work. What several commands share has a file of its own.

A command's file is light, because `dreamd --help` imports all of them: what loads torch, pydantic or rich is imported
inside the function that needs it. Knows every room. Knows no other command line than click's, and no room knows a
command.
"""
