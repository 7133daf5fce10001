/** Makes a key in a token of SoftHSM2 as another program would: node foreign-key.ts TOKEN PIN TEMPLATE, in JSON. */
import pkcs11js from 'pkcs11js';
import { softHsm } from './soft-token.ts';

const [label = '', pin = '', json = ''] = process.argv.slice(2);
const attributes = JSON.parse(json) as Record<string, string | number | boolean>;
const template = Object.entries(attributes).map(([name, value]) => {
  const type = (pkcs11js as unknown as Record<string, number>)[name];
  if (type === undefined) throw new Error(`no attribute ${name}`);
  return { type, value: name === 'CKA_VALUE' ? Buffer.from(String(value), 'hex') : value };
});
const pkcs11 = new pkcs11js.PKCS11();
pkcs11.load(softHsm);
pkcs11.C_Initialize();
const slot = pkcs11.C_GetSlotList(true).find((it) => pkcs11.C_GetTokenInfo(it).label.trim() === label);
if (!slot) throw new Error('no such token');
const session = pkcs11.C_OpenSession(slot, pkcs11js.CKF_SERIAL_SESSION | pkcs11js.CKF_RW_SESSION);
pkcs11.C_Login(session, pkcs11js.CKU_USER, pin);
if (attributes.CKA_VALUE === undefined) {
  pkcs11.C_GenerateKey(session, { mechanism: pkcs11js.CKM_AES_KEY_GEN }, template);
} else pkcs11.C_CreateObject(session, template);
pkcs11.C_Finalize();
