/** Name of vpcd's readers, from its FRIENDLYNAME in /etc/reader.conf.d/vpcd; pcscd appends two numbers. */
const virtualName = /^Virtual PCD\b/;

/** Whether a reader is software: on a real door it would let a program be a card. */
export function isVirtualReader(name: string): boolean {
  return virtualName.test(name);
}
