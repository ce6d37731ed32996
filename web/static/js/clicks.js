// A click that follows a link in this page: not one that opens another tab or window, or saves.
export const plain = ({ button, ctrlKey, metaKey, shiftKey, altKey }) => !(button || ctrlKey || metaKey || shiftKey || altKey);
