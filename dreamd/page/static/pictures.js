// Where the pictures of results are.

/** A small picture of a result (`kind` is "after") or of its original ("before"); `size` is small, medium or large. */
export const thumbnailOf = (job, kind, size) => `thumbnails/${job}/${kind}/${size}`;

/** The result itself. */
export const resultOf = (job) => `results/${job}`;

/** The original itself. */
export const originalOf = (job) => `api/v1/jobs/${job}/original`;
