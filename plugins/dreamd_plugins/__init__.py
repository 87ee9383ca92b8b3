"""The first-party plugins. Each is one self-contained file that imports `dreamd.api` alone: a template."""
