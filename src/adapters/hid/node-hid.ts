import { devicesAsync, HIDAsync } from 'node-hid';
import type { HidAccess } from './hid-access.ts';

/** HID devices through the kernel's hidraw, which needs no libusb and leaves the kernel driver in place. */
export const nodeHid: HidAccess = {
  list: (vendorId, productId) => devicesAsync(vendorId, productId),
  open: (path) => HIDAsync.open(path),
};
