/** A HID device as listed: `path` is its /dev/hidrawN. */
interface HidDeviceInfo {
  readonly path?: string | undefined;
  readonly usagePage?: number | undefined;
  readonly usage?: number | undefined;
}

/** An open HID device: the part of node-hid in use. */
export interface HidDevice {
  sendFeatureReport(data: number[]): Promise<number>;
  getFeatureReport(reportId: number, length: number): Promise<Uint8Array>;
  on(event: 'data', listener: (report: Uint8Array) => void): unknown;
  on(event: 'error', listener: (error: unknown) => void): unknown;
  close(): Promise<void>;
}

/** HID devices of this machine; node-hid in production (node-hid.ts). */
export interface HidAccess {
  list(vendorId: number, productId: number): Promise<readonly HidDeviceInfo[]>;
  open(path: string): Promise<HidDevice>;
}
