"""What each command of the command line does. The package's modules are imported when their command is called.

Knows everything below. Knows no other way to print than click, and nothing below knows of a command.
"""
