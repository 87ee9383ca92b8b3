"""Where plugins are found, and what is already known of those that were found. Calls none of their functions."""
