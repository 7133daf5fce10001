"""Starts the electronic passport of Debian's python3-virtualsmartcard (vicc, type ePass) on a port of vpcd.

Usage: /usr/bin/python3 vicc-epass.py PORT MRZ [--protected-status]

The card program is vicc's own: file system, commands, basic access control, secure messaging and link to vpcd. As
Debian ships it (3.3+dfsg-2), `vicc --type ePass` does not start, so this script supplies what is missing:

- the package lies outside of Debian's module path, and looks for PyCrypto, which Debian has as Cryptodome;
- its generator of passports asks its questions by Python 2's raw_input, and loads an image library for the face;
- in places it still writes byte strings as Python 2 did; `literals` lists each and what is read there instead;
- its proprietary template has no key version: here A5 { C0 01 }, as a card of ours would say it.

Its secure messaging does not protect the status word. With --protected-status it does, as ICAO Doc 9303-11, 9.8.4
demands: DO'99' before the MAC.
"""

import builtins
import importlib.util
import sys
import types

sys.path.insert(0, "/usr/lib/python3/site-packages/virtualsmartcard")

import Cryptodome.Cipher  # noqa: E402
import Cryptodome.Hash  # noqa: E402

sys.modules["Crypto"] = Cryptodome
sys.modules["Crypto.Cipher"] = Cryptodome.Cipher
sys.modules["Crypto.Hash"] = Cryptodome.Hash

# module: [(as it stands, as it is read)]; a module comes after those it takes names from
literals = {
    "TLVutils": [('return b"".join(result)', "return result")],
    "CryptoUtils": [
        ("result.append(chr(op(ord(string1[i]), ord(string2[i]))))", "result.append(op(string1[i], string2[i]))"),
        ('return "".join(result)', "return bytes(result)"),
        # a counter that begins with a zero byte keeps it
        ("inttostring(ssc) + data", "inttostring(ssc, 8) + data"),
    ],
    "SEutils": [
        ('return_data = ["", ]', "return_data = []"),
        ("padding_indicator = stringtoint(value[0])", "padding_indicator = value[0]"),
        ('data="".join(return_data))', 'data=b"".join(return_data))'),
        ('return_data = ""\n', 'return_data = b""\n'),
        ('if result != "":  # Encrypt', 'if result != b"":  # Encrypt'),
        ('encrypted = "\\x01" + encrypted', 'encrypted = b"\\x01" + encrypted'),
    ],
    "CardGenerator": [("df = DF(parent=mf, fid=4, dfname='", "df = DF(parent=mf, fid=4, dfname=b'")],
}
protected_status = (
    'if sw == SW["NORMAL"]:\n            if self.cct.algorithm is None:',
    "return_data += pack([(0x99, 2, inttostring(sw, 2))])\n"
    '        if sw == SW["NORMAL"]:\n            if self.cct.algorithm is None:',
)


def load(name, replacements):
    """Imports a module of vicc with some of its text replaced; fails where the text is not there once."""
    spec = importlib.util.find_spec("virtualsmartcard." + name)
    source = open(spec.origin, encoding="utf-8").read()
    for old, new in replacements:
        if source.count(old) != 1:
            sys.exit("another %s than of 3.3+dfsg-2: %r occurs %d times" % (name, old, source.count(old)))
        source = source.replace(old, new)
    module = types.ModuleType(spec.name)
    module.__file__ = spec.origin
    sys.modules[spec.name] = module
    setattr(sys.modules["virtualsmartcard"], name, module)
    exec(compile(source, spec.origin, "exec"), module.__dict__)


class NoImages(types.ModuleType):
    """Stands for the image library: there is no picture of a face."""

    @staticmethod
    def open(_path):
        raise IOError("no picture")


def main(port, mrz, options):
    import virtualsmartcard  # noqa: F401

    if "--protected-status" in options:
        literals["SEutils"].append(protected_status)
    for name, replacements in literals.items():
        load(name, replacements)
    answers = [mrz.encode("ascii"), ""]
    builtins.raw_input = lambda _question: answers.pop(0)
    sys.modules["PIL"] = types.ModuleType("PIL")
    sys.modules["PIL"].Image = NoImages("PIL.Image")

    from virtualsmartcard.VirtualSmartcard import VirtualICC

    card = VirtualICC(None, "ePass", "127.0.0.1", port)
    card.os.mf.named_dfs[0].extra_fci_data = b"\xa5\x03\xc0\x01\x01"
    card.run()


main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
