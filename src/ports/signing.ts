/** Signs with the device's own key, which stays inside (ECDSA P-256 with SHA-256, signature r || s, 64 bytes). */
export interface Signing {
  /** SHA-256 of the public key's SubjectPublicKeyInfo, upper-case hexadecimal */
  keyId(): string;
  /** SubjectPublicKeyInfo, DER */
  publicKey(): Uint8Array;
  sign(message: Uint8Array): Promise<Uint8Array>;
}
