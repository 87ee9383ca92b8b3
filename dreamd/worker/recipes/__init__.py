"""From a recipe to a `Dreamer`: the plugins, the network with its weights, and the files that the recipe names."""
