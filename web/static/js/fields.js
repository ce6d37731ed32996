// Whether somebody has changed a field from what it was sent as. A list without a choice of its own begins at its first.
export function dirty(field) {
  if (field.matches("[type=hidden]")) return false;
  if (field.matches("[type=checkbox], [type=radio]")) return field.checked !== field.defaultChecked;
  if (!field.matches("select")) return field.value !== field.defaultValue;
  const chosen = field.querySelector("option[selected]");
  return [...field.options].some((one, at) => one.selected !== (one.defaultSelected || (at === 0 && !chosen)));
}
