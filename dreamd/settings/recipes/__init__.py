"""Recipes: their fields, how one goes over another, where each field came from, and what is wrong with one."""
