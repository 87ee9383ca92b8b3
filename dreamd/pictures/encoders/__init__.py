"""Encoders: a picture in the depth, the space and the channels that a format holds, and the library that writes it."""
