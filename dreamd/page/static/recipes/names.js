// Names of what a recipe lists: layers and plugins stand there as a name alone, or as a mapping with one.

export const nameOf = (entry) => (typeof entry === "object" ? entry.name : entry);
export const asMapping = (entry) => (typeof entry === "object" ? entry : { name: entry });
