"""Seats on other machines: what is the same whatever carries the bytes between them.

A *bridge* is a process beside the daemon that has the library of a cluster, which the daemon shall not have: such a
library may end its process, and may run what it is sent. The daemon tells the bridge in lines of JSON what a seat shall
do (`words`, `bridged`). The bridge has a *carrier* for each seat (`carrier`), which sends pictures and brings back
results as bytes. On the seat's machine a *host* (`host`) runs dreamd's own worker and gives it files of that machine.
A cluster is an object that connects, knows places for seats, and opens them (`cluster`).

Knows messages, processes and bytes. Knows no Ray, nor any other cluster.
"""
