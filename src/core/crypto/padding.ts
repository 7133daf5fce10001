/** Appends 80 and zeros up to a whole number of blocks, always (ISO/IEC 9797-1, padding method 2). */
export function padIso9797(data: Uint8Array, blockLength: number): Uint8Array {
  const padded = new Uint8Array(data.length + blockLength - (data.length % blockLength));
  padded.set(data);
  padded[data.length] = 0x80;
  return padded;
}

/** Removes padding method 2; undefined unless the padding is whole and within the last block. */
export function unpadIso9797(padded: Uint8Array, blockLength: number): Uint8Array | undefined {
  if (padded.length % blockLength !== 0) return undefined;
  let end = padded.length - 1;
  const lowest = padded.length - blockLength;
  while (end > lowest && padded[end] === 0x00) end -= 1;
  return padded[end] === 0x80 ? padded.subarray(0, end) : undefined;
}
