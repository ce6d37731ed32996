// What matches in a part of a page, the part itself too.
export const within = (part, selector) => (part.matches?.(selector) ? [part, ...part.querySelectorAll(selector)] : part.querySelectorAll(selector));
// What a `refreshed` event tells of; all, where that has been replaced since.
export const renewed = (part) => (part?.isConnected ? part : document);
