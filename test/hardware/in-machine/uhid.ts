import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import epoll from 'epoll';

/** include/uapi/linux/uhid.h: kinds of events */
const kinds = {
  destroy: 1,
  start: 2,
  stop: 3,
  open: 4,
  close: 5,
  getReport: 9,
  getReportReply: 10,
  create: 11,
  input: 12,
  setReport: 13,
  setReportReply: 14,
} as const;
/** sizeof(struct uhid_event): its kind, and the largest of its bodies, that of UHID_CREATE2 */
const eventBytes = 4_376;
/** in an event: behind its kind, and in the body of UHID_CREATE2 */
const body = 4;
const created = {
  name: 4,
  descriptorBytes: 260,
  bus: 262,
  vendor: 264,
  product: 268,
  descriptor: 280,
} as const;
/** include/uapi/linux/input.h: BUS_USB */
const usb = 3;

/** What a HID device is, and what it does when the machine turns to it. */
export interface HidDeviceDescription {
  readonly name: string;
  readonly vendorId: number;
  readonly productId: number;
  /** HID 1.11, 6.2.2 */
  readonly reportDescriptor: Uint8Array;
  /** a feature report, which begins with its number */
  readonly feature?: { get(): Uint8Array; set(report: Uint8Array): void };
  /** the first program has opened it, or the last has closed it */
  readonly used?: (open: boolean) => void;
}

/** A HID device that the kernel takes for one on USB, made by this process through /dev/uhid. It is plugged in until `unplug`. */
export class UhidDevice {
  readonly #description: HidDeviceDescription;
  readonly #file: number;
  readonly #poller: InstanceType<typeof epoll.Epoll>;

  constructor(description: HidDeviceDescription) {
    this.#description = description;
    this.#file = openSync('/dev/uhid', constants.O_RDWR | constants.O_NONBLOCK);
    this.#poller = new epoll.Epoll((error) => {
      if (error) throw error;
      this.#take();
    });
    this.#poller.add(this.#file, epoll.Epoll.EPOLLIN);
    this.#create();
  }

  /** Sends an input report. */
  input(report: Uint8Array): void {
    const event = eventOf(kinds.input, 2 + report.length);
    event.writeUInt16LE(report.length, body);
    event.set(report, body + 2);
    writeSync(this.#file, event);
  }

  unplug(): void {
    this.#poller.remove(this.#file);
    writeSync(this.#file, eventOf(kinds.destroy, 0));
    closeSync(this.#file);
  }

  #create(): void {
    const { name, vendorId, productId, reportDescriptor } = this.#description;
    const event = eventOf(kinds.create, eventBytes - body);
    event.write(name, created.name);
    event.writeUInt16LE(reportDescriptor.length, created.descriptorBytes);
    event.writeUInt16LE(usb, created.bus);
    event.writeUInt32LE(vendorId, created.vendor);
    event.writeUInt32LE(productId, created.product);
    event.set(reportDescriptor, created.descriptor);
    writeSync(this.#file, event);
  }

  #take(): void {
    const event = Buffer.alloc(eventBytes);
    readSync(this.#file, event);
    const { used, feature } = this.#description;
    const kind = event.readUInt32LE(0);
    if (kind === kinds.open) used?.(true);
    else if (kind === kinds.close) used?.(false);
    else if (kind === kinds.getReport) this.#answer(event, feature?.get());
    else if (kind === kinds.setReport) {
      const length = event.readUInt16LE(body + 6);
      feature?.set(Uint8Array.from(event.subarray(body + 8, body + 8 + length)));
      this.#acknowledge(event);
    }
  }

  #answer(request: Buffer, report: Uint8Array = new Uint8Array()): void {
    const event = eventOf(kinds.getReportReply, 8 + report.length);
    request.copy(event, body, body, body + 4);
    event.writeUInt16LE(report.length, body + 6);
    event.set(report, body + 8);
    writeSync(this.#file, event);
  }

  #acknowledge(request: Buffer): void {
    const event = eventOf(kinds.setReportReply, 6);
    request.copy(event, body, body, body + 4);
    writeSync(this.#file, event);
  }
}

function eventOf(kind: number, bodyBytes: number): Buffer {
  const event = Buffer.alloc(body + bodyBytes);
  event.writeUInt32LE(kind, 0);
  return event;
}
