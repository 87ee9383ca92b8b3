"""What the daemon shows of itself. `snapshot` is the file that `dreamd status` reads."""
