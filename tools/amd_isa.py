#!/usr/bin/env python3
"""Runs kernels of AMD code objects on the CPU, instruction by instruction, on an ISA emulator.

    CC=clang-22 python3 tools/amd_isa.py --tinygrad CHECKOUT --arch gfx1100 JOBS.json MEMORY.bin

CHECKOUT is a source checkout of tinygrad, whose test/mockgpu/amd/emu.py is the emulator; it compiles each instruction's
meaning with a C compiler (CC). JOBS.json is a list of launches:

    {"object": FILE.co, "kernel": NAME, "grid": [x, y, z] (workgroups), "threads": n, "lds": bytes of dynamic LDS,
     "buffers": [{"at": offset in MEMORY.bin, "size": bytes, "pointers": [{"at": offset, "buffer": index}]}],
     "args": [{"buffer": index or -1} | {"i32": n} | {"i64": n} | {"f32": x}
              | {"struct": hexadecimal bytes, "pointers": [{"at": offset, "buffer": index}]}]}

Arguments are packed with C alignment. MEMORY.bin holds all buffers and receives their contents after the runs. One line
of JSON per launch goes to stdout: {"kernel", "seconds"} or {"kernel", "error"}.

The emulator has no scratch (private arrays) and no ds_swizzle; it has one memory without caches, so that what empties
them is left out, and runs workgroups one after the other: it shows no missing fence. v_dot2 with an inline-constant
accumulator is silently wrong. The scaled matrix instruction of gfx950 is ours: tools/amd_isa_scaled.py. It runs about
half a million multiply-adds a second: use small shapes.
"""
import argparse
import ctypes
import inspect
import json
import mmap
import struct
import sys
import time

from amd_isa_scaled import compile_scaled

FAMILY = {"gfx1100": "rdna3", "gfx1200": "rdna4", "gfx1201": "rdna4",
          "gfx1151": "rdna3", "gfx90a": "cdna", "gfx942": "cdna", "gfx950": "cdna"}
# What fences of agent scope write back or invalidate caches with, as clang 22 has them: buffer_wbinvl1_vol (gfx90a),
# buffer_inv and buffer_wbl2 (gfx942), buffer_gl0_inv and buffer_gl1_inv (gfx11), global_inv (gfx12).
CACHES = [struct.pack(f"<{len(words)}I", *words) for words in (
    (0xE0FC0000, 0), (0xE0A48000, 0), (0xE0A08000, 0), (0xE0AC0000, 0), (0xE0B00000, 0), (0xEE0AC07C, 0x00080000, 0))]
S_NOP = struct.pack("<I", 0xBF800000)
SCALARS = {"i32": ("i", 4), "i64": ("q", 8), "f32": ("f", 4)}


class CodeObject:
    """An ELF file laid out at its virtual addresses."""

    def __init__(self, path):
        blob = open(path, "rb").read()
        if blob[:4] != b"\x7fELF":
            raise SystemExit(f"amd_isa: {path} is not an ELF file")
        phoff, shoff = struct.unpack_from("<QQ", blob, 32)
        phsize, phnum, shsize, shnum = struct.unpack_from("<HHHH", blob, 54)
        segments = [struct.unpack_from("<IIQQQQQQ", blob, phoff + i * phsize) for i in range(phnum)]
        loads = [(offset, vaddr, filesz, memsz)
                 for kind, _, offset, vaddr, _, filesz, memsz, _ in segments if kind == 1]
        image = bytearray(max(vaddr + memsz for _, vaddr, _, memsz in loads) + 4096)
        for offset, vaddr, filesz, _ in loads:
            image[vaddr:vaddr + filesz] = blob[offset:offset + filesz]
        self.symbols = {}
        sections = [struct.unpack_from("<IIQQQQIIQQ", blob, shoff + i * shsize) for i in range(shnum)]
        for _, kind, _, _, offset, size, link, _, _, entsize in sections:
            if kind in (2, 11):
                strings = sections[link][4]
                for at in range(offset, offset + size, entsize):
                    name, _, _, _, value, length = struct.unpack_from("<IBBHQQ", blob, at)
                    self.symbols[blob[strings + name:blob.index(b"\0", strings + name)].decode()] = (value, length)
            if kind == 4 and size:
                raise SystemExit(f"amd_isa: {path} has relocations, which this loader does not apply")
        for value, length in self.symbols.values():
            for at in range(value, value + length, 4):
                for words in CACHES:
                    if image[at:at + len(words)] == words:
                        image[at:at + len(words)] = S_NOP * (len(words) // 4)
        self.image = bytes(image)
        self.memory = (ctypes.c_char * len(image)).from_buffer_copy(self.image)


def prepare(emu):
    """Properties of a real GPU that our kernels rely on and the emulator lacks."""
    # It flushes subnormal float32 numbers, as its own compiler's kernels ask for; ours ask for them to be kept.
    emu._get_ftz_lib = lambda: (None, 0)
    # Lanes that are switched off access LDS, at whatever address is in their registers: give every 32-bit address
    # memory.
    space = mmap.mmap(-1, 1 << 32, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0))
    emu.lds_space = space  # keeps it mapped
    emu.lds_address = ctypes.addressof(ctypes.c_char.from_buffer(space))
    source = inspect.getsource(emu.run_asm)
    small = "lds_buf = Buffer('CPU', max(lds_size // 4, 1), dtypes.uint32)"
    if small not in source:
        raise SystemExit("amd_isa: this emulator allocates LDS in a way that is not known here")
    large = "lds_buf = Buffer('CPU', 1 << 30, dtypes.uint32, options=BufferSpec(external_ptr=lds_address))"
    exec(source.replace(small, large), emu.__dict__)
    # The same for ds_bpermute, whose lane number must be cut to the wave whatever a lane that is switched off holds.
    original = emu.get_pcode

    def get_pcode(op):
        text = original(op)
        if op.name == "DS_BPERMUTE_B32":
            lane = "((VGPR[i][ADDR].u32 + OFFSET.u32) >> 2U)"
            text = text.replace("(VGPR[i][ADDR].u32 + OFFSET.u32) / 4U % 64U", f"{lane} & 63U")
            text = text.replace("32'I(VGPR[i][ADDR] + OFFSET.b32) / 4 % 32", f"{lane} & 31U")
        return text

    emu.get_pcode = get_pcode
    # An atomic instruction returns what was there by a bit that only gfx11 calls glc.
    field = emu._iattr
    emu._iattr = lambda inst, name, *rest: field(inst, name, *rest) or (
        name == "glc" and bool(field(inst, "sc0", 0) or field(inst, "th", 0) & 1))
    # gfx90a's v_mfma_f32_16x16x16bf16_1k is gfx942's v_mfma_f32_16x16x16_bf16 under another number.
    decode = emu.decode_inst

    def decode_inst(data, arch):
        return decode(data[:2] + b"\xe1\xd3" + data[4:] if data[2:4] == b"\xe7\xd3" else data, arch)

    emu.decode_inst = decode_inst
    # The scaled matrix instruction: the emulator has no FP4, scales by block wrongly, and takes FP8 in another order.
    unscaled = emu._compile_mfma
    emu._compile_mfma = lambda inst, ctx: (
        compile_scaled(emu, inst, ctx) if isinstance(inst, emu.irc.VOP3PX2) else unscaled(inst, ctx))


def patched(data, pointers, addresses):
    data = bytearray(data)
    for pointer in pointers:
        struct.pack_into("<Q", data, pointer["at"], addresses[pointer["buffer"]])
    return bytes(data)


def pack(args, addresses):
    """Kernel arguments in C layout; a struct is aligned like a pointer."""
    packed = b""
    for arg in args:
        if "struct" in arg:
            packed += bytes(-len(packed) % 8) + patched(bytes.fromhex(arg["struct"]), arg["pointers"], addresses)
        elif "buffer" in arg:
            packed += bytes(-len(packed) % 8) + struct.pack("<Q", addresses[arg["buffer"]] if arg["buffer"] >= 0 else 0)
        else:
            kind, value = next(iter(arg.items()))
            fmt, size = SCALARS[kind]
            packed += bytes(-len(packed) % size) + struct.pack("<" + fmt, value)
    return packed


def user_registers(properties, kernargs):
    """
    What is in the first scalar registers, by the kernel_code_properties of a kernel's descriptor (LLVM's AMDGPU usage
    guide, "Initial Kernel Execution State"): gfx90a may have others ahead of the address of the arguments. These are
    zeros; a kernel that reads them touches memory that is not there.
    """
    registers = []
    for bit, count in ((0, 4), (1, 2), (2, 2), (3, 2), (4, 2), (5, 2), (6, 1)):
        if properties >> bit & 1:
            registers += [kernargs & 0xFFFFFFFF, kernargs >> 32] if bit == 3 else [0] * count
    return registers


def launch(run_asm, arch, objects, job, memory):
    code = objects.setdefault(job["object"], None) or CodeObject(job["object"])
    objects[job["object"]] = code
    kernel = job["kernel"]
    if kernel + ".kd" not in code.symbols:
        raise RuntimeError(f"no kernel {kernel} in {job['object']}")
    kd = code.symbols[kernel + ".kd"][0]
    group, private, _ = struct.unpack_from("<III", code.image, kd)
    entry_offset, = struct.unpack_from("<q", code.image, kd + 16)
    rsrc2, properties = struct.unpack_from("<IH", code.image, kd + 52)
    # 64-byte aligned copies.
    held, addresses = [], []
    for buffer in job["buffers"]:
        space = ctypes.create_string_buffer(buffer["size"] + 128)
        held.append(space)
        addresses.append((ctypes.addressof(space) + 63) & ~63)
    for buffer, address in zip(job["buffers"], addresses):
        data = patched(memory[buffer["at"]:buffer["at"] + buffer["size"]], buffer["pointers"], addresses)
        ctypes.memmove(address, data, len(data))
    packed = pack(job["args"], addresses)
    hidden = bytes(-len(packed) % 8) + struct.pack("<IIIHHH", *job["grid"], job["threads"], 1, 1) + bytes(256)
    kernargs = ctypes.create_string_buffer(packed + hidden)
    lds = group + job["lds"]
    rsrc2 = rsrc2 & ~(0x1ff << 15) | -(-lds // 512) << 15
    error = run_asm(ctypes.addressof(code.memory) + kd + entry_offset, code.symbols[kernel][1],
                    *job["grid"], job["threads"], 1, 1, ctypes.addressof(kernargs), rsrc2, private, FAMILY[arch],
                    user_registers(properties, ctypes.addressof(kernargs)))
    if error:
        raise RuntimeError(f"the emulator returned {error}")
    for buffer, address in zip(job["buffers"], addresses):
        if not buffer["pointers"]:
            memory[buffer["at"]:buffer["at"] + buffer["size"]] = ctypes.string_at(address, buffer["size"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tinygrad", required=True)
    parser.add_argument("--arch", required=True, choices=sorted(FAMILY))
    parser.add_argument("jobs")
    parser.add_argument("memory")
    args = parser.parse_args()
    sys.path.insert(0, args.tinygrad)
    from test.mockgpu.amd import emu
    prepare(emu)

    memory = bytearray(open(args.memory, "rb").read())
    objects = {}
    for job in json.load(open(args.jobs)):
        began = time.time()
        try:
            launch(emu.run_asm, args.arch, objects, job, memory)
            print(json.dumps({"kernel": job["kernel"], "seconds": round(time.time() - began, 2)}), flush=True)
        except Exception as error:  # one kernel's failure must not hide the others'
            print(json.dumps({"kernel": job["kernel"], "error": f"{type(error).__name__}: {error}"[:300]}), flush=True)
        open(args.memory, "wb").write(memory)


if __name__ == "__main__":
    main()
