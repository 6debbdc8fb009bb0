"""What one thread of a compiled kernel executes, followed through its PTX without a GPU.

Which branch a kernel takes, and how often it loops, goes by its tables: those are in memory here, and
whatever is computed from them is computed. What comes of pixels is unknown, and no branch but a rare
one, such as an exact sine's of huge angles, goes by it.
"""

import re
import struct
from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

# Counted as what ptxas makes of it. What takes more than one instruction of the machine stands here; on
# 64 bits all takes two, since registers have 32; what becomes a part of another instruction is free: a
# constant offset of an address, a byte cut to its bits, a predicate that waits for another, and both halves
# of a clamp to [0, 1], by which a sum or product saturates.
DIVISION = 10
COSTS = {"div.rn": DIVISION, "sqrt.rn": DIVISION, "div.s32": 20, "rem.s32": 20, "div.u32": 20}
COSTS |= {"rem.u32": 20, "div.s64": 70, "rem.s64": 70, "mul.lo.s64": 4, "mad.lo.s64": 4}
FREE = ("mov.", "ld.param", "add.u64", "cvt.u64", "cvt.s64", "cvt.u32.u64")
SATURATING = ("add.rn.f32", "sub.rn.f32", "mul.rn.f32", "fma.rn.f32")
ZERO, ONE = "0f00000000", "0f3F800000"
INSTRUCTION = re.compile(r"^\t(?:@(!?%p\d+)\s+)?([a-z][\w.:]*)\s*([^;]*);")
OPERAND = re.compile(r"\$?[%\w.$]+|-\d+")


@dataclass(frozen=True)
class Instruction:
    """predicate: the register that it waits for, with a ! before it where it waits for its opposite."""

    predicate: str | None
    name: str
    operands: tuple[str, ...]
    cost: int


@dataclass
class Memory:
    """Tables by their addresses; what is written there and unknown, and what is anywhere else, is None."""

    tables: dict[int, np.ndarray]  # uint8
    unknown: set[int] = field(default_factory=set)

    def _table(self, address):
        for begin, table in self.tables.items():
            if begin <= address < begin + len(table):
                return table, address - begin
        return None, 0

    def load(self, address, size):
        table, at = self._table(address)
        if table is None or address in self.unknown:
            return None
        return int.from_bytes(table[at : at + size].tobytes(), "little")

    def store(self, address, size, value):
        table, at = self._table(address)
        if table is None:
            return
        if value is None:
            self.unknown.add(address)
            return
        self.unknown.discard(address)
        table[at : at + size] = np.frombuffer(value.to_bytes(size, "little"), np.uint8)


class Kernel:
    """PTX, read."""

    def __init__(self, text):
        self.instructions, self.labels, self.targets = [], {}, {}
        names = None  # of the table of a switch that is being read
        for line in text[text.index("\n{") :].split("\n"):
            if ".section" in line:
                break
            if label := re.match(r"^\s*(\$\w+):", line):
                self.labels[label[1]] = len(self.instructions)
                if ".branchtargets" in line:
                    names = self.targets[label[1]] = []
                    continue
            if names is not None:
                names += re.findall(r"\$L__BB\w+", line)
                names = None if ";" in line else names
                continue
            if found := INSTRUCTION.match(line):
                self._read(*found.groups())
        self.saturated = 0  # results that are clamped to [0, 1]
        self._saturate()

    def _read(self, predicate, name, operands):
        kind = name.split(".")[-1]
        cost = 2 if kind in ("s64", "b64", "u64", "f64") and not name.startswith("ld") else 1
        cost = next((c for start, c in COSTS.items() if name.startswith(start)), cost)
        listed = tuple(OPERAND.findall(operands))
        offset = name == "add.s64" and listed[-1].lstrip("-").isdigit()
        byte = name == "and.b16" and listed[-1] == "255"
        if offset or byte or kind == "pred" or name.startswith(FREE):
            cost = 0
        self.instructions.append(Instruction(predicate, name, listed, cost))

    def _saturate(self):
        """A clamp to [0, 1] costs nothing behind a sum or a product that nothing else reads, and one
        instruction behind anything else."""
        uses = Counter(o for i in self.instructions for o in i.operands[_writes(i.name) :])
        written = {i.operands[0]: at for at, i in enumerate(self.instructions) if i.operands}
        for at, low in enumerate(self.instructions):
            if low.name != "min.f32" or low.operands[2] != ONE or uses[low.operands[1]] != 1:
                continue
            before = written.get(low.operands[1], at)
            high = self.instructions[before]
            if high.name != "max.f32" or high.operands[2] != ZERO:
                continue
            source = self.instructions[written.get(high.operands[1], at)]
            alone = uses[high.operands[1]] == 1 and source.name.startswith(SATURATING)
            self.instructions[at] = replace(low, cost=0)
            self.instructions[before] = replace(high, cost=0 if alone else 1)
            self.saturated += 1


def _writes(name):
    """How many of its operands an instruction writes: a first one, as far as is asked here."""
    return 0 if name.startswith(("st.", "bra", "ret")) else 1


def executed(kernel, parameters, program, memory, thread=0):
    """The instructions that a thread of a program executes. parameters: of the kernel, as whole
    numbers. program: its number along each axis."""
    registers = {f"%ctaid.{axis}": number for axis, number in zip("xyz", program, strict=True)}
    registers["%tid.x"] = thread
    total, at = 0, 0
    while True:
        each = kernel.instructions[at]
        at += 1
        name, operands = each.name, each.operands
        total += each.cost
        holds = True
        if each.predicate:
            holds = registers[each.predicate.lstrip("!")]
            if holds is not None:
                holds = bool(holds) != each.predicate.startswith("!")
        if name.startswith("bra"):
            if holds is None:
                # By something unknown: past what has loops, which is a rare case such as the sine of an
                # angle of many turns; and into what is straight, a count of a histogram.
                end = kernel.labels[operands[0]]
                assert end >= at, f"a loop goes by pixels: {each}"
                holds = any(i.name.startswith("bra") for i in kernel.instructions[at:end])
            if holds is not False:
                at = kernel.labels[operands[0]]
        elif name == "brx.idx":
            at = kernel.labels[kernel.targets[operands[1]][registers[operands[0]]]]
        elif name == "ret":
            if holds:
                return total
        elif holds is not False:
            _execute(name, operands, registers, memory, parameters, holds is None)


def _execute(name, operands, registers, memory, parameters, perhaps):
    def value(operand):
        if operand[0] == "%":
            return registers.get(operand, 0)  # never written: whatever it is
        if operand.startswith("0f"):
            return int(operand[2:], 16)
        # No double, and no address in shared or local memory.
        known = operand.lstrip("-")[0].isdigit() and not operand.startswith("0d")
        return int(operand.rstrip("U"), 0) if known else None

    if name.startswith("ld.param"):
        registers[operands[0]] = parameters[int(operands[1].rsplit("_", 1)[1])]
    elif name.startswith("ld."):
        *into, base, offset = operands if len(operands) > 2 else (*operands, "0")
        address, size = value(base), int(name[-2:].lstrip("b")) // 8
        for i, register in enumerate(into):
            registers[register] = None
            if address is not None and name.startswith("ld.global") and not perhaps:
                registers[register] = memory.load(address + int(offset) + i * size, size)
    elif name.startswith("st.global"):
        base, offset, *values = operands
        if not offset.isdigit():
            offset, values = "0", [offset, *values]
        address, size = value(base), int(name[-2:].lstrip("b")) // 8
        if address is not None:
            for i, each in enumerate(values):
                memory.store(
                    address + int(offset) + i * size, size, None if perhaps else value(each)
                )
    elif name.startswith(("st.", "bar.", "membar", "fence")):
        pass
    elif name == "mov.b64" and len(operands) == 3:
        if operands[0].startswith("%rd"):  # two words become one
            low, high = (value(operand) for operand in operands[1:])
            known = not perhaps and None not in (low, high)
            registers[operands[0]] = low | high << 32 if known else None
        else:
            both = None if perhaps else value(operands[2])
            registers[operands[0]] = None if both is None else both & 0xFFFFFFFF
            registers[operands[1]] = None if both is None else both >> 32
    else:
        values = [value(operand) for operand in operands[1:]]
        registers[operands[0]] = None if perhaps else _computed(name, values)


def _computed(name, values):
    """The result of an operation, or None where it is unknown."""
    operation, *how = name.split(".")
    kind = how[-1] if how else ""
    if operation == "selp":
        return None if values[2] is None else values[0] if values[2] else values[1]
    if kind == "pred":
        return _logical(operation, values)
    if operation == "and" and 0 in values:
        return 0
    if any(value is None for value in values) or kind == "f64":
        return None
    if operation == "setp" and kind[0] == "f":
        return int(_compared(how[0].rstrip("u") if how[0] != "ltu" else "lt", *map(_float, values)))
    if operation == "cvt":
        return _converted(how, values[0])
    if kind == "f32":
        return _of_floats(operation, [_float(value) for value in values])
    return _of_integers(operation, how, values)


def _logical(operation, values):
    if operation == "not":
        return None if values[0] is None else 1 - (values[0] & 1)
    if operation == "mov":
        return values[0] if values[0] is None else values[0] & 1
    decisive = {"and": 0, "or": 1}.get(operation)
    if decisive in values:
        return decisive
    if None in values:
        return None
    return values[0] ^ values[1] if operation == "xor" else 1 - decisive


def _compared(how, a, b):
    return {
        "eq": a == b, "ne": a != b, "lt": a < b, "le": a <= b, "gt": a > b, "ge": a >= b,
        "lo": a < b, "ls": a <= b, "hi": a > b, "hs": a >= b,
    }[how]  # fmt: skip


def _float(bits):
    return struct.unpack("<f", struct.pack("<I", bits & 0xFFFFFFFF))[0]


def _bits(number):
    return int(np.float32(number).view(np.uint32))


def _signed(value, bits):
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def _converted(how, value):
    into, of = how[-2], how[-1]
    number = _float(value) if of == "f32" else value
    if of[0] == "s":
        number = _signed(value, int(of[1:]))
    if into == "f32":
        number = np.floor(number) if "rmi" in how else number
        return _bits(number)
    if into[0] == "f" or into.startswith("bf"):
        return None
    if of == "f32" and not np.isfinite(number):
        return None
    return int(number) & ((1 << int(into[1:])) - 1)


def _of_floats(operation, numbers):
    with np.errstate(all="ignore"):
        a, *more = map(np.float32, numbers)
        match operation:
            case "add":
                return _bits(a + more[0])
            case "sub":
                return _bits(a - more[0])
            case "mul":
                return _bits(a * more[0])
            case "min":
                return _bits(np.fmin(a, more[0]))
            case "max":
                return _bits(np.fmax(a, more[0]))
            case "abs":
                return _bits(abs(a))
            case "neg":
                return _bits(-a)
            case "div":
                return _bits(a / more[0])
            case "fma":
                return _bits(np.float64(a) * more[0] + more[1])
    return None


def _of_integers(operation, how, values):
    kind = how[-1]
    if not re.fullmatch(r"[subp]\d+", kind):
        return None
    bits = int(kind[1:])
    wide = "wide" in how
    a, b, c = (*values, 0, 0)[:3]
    if kind[0] == "s":
        a, b, c = _signed(a, bits), _signed(b, bits), _signed(c, 64 if wide else bits)
    match operation:
        case "add":
            out = a + b
        case "sub":
            out = a - b
        case "mul":
            out = (a * b) >> (bits if "hi" in how else 0)
        case "mad" if "cc" not in how:
            out = a * b + c
        case "and":
            out = a & b
        case "or":
            out = a | b
        case "xor":
            out = a ^ b
        case "not":
            out = ~a
        case "shl":
            out = a << b
        case "shr":
            out = a >> b
        case "min":
            out = min(a, b)
        case "max":
            out = max(a, b)
        case "abs":
            out = abs(a)
        case "neg":
            out = -a
        case "div" | "rem":
            quotient = abs(a) // abs(b) * (1 if a * b >= 0 else -1)
            out = quotient if operation == "div" else a - quotient * b
        case "setp":
            return int(_compared(how[0], a, b))
        case "bfe":
            out = (a >> b) & ((1 << c) - 1)
        case "mov" | "cvt":
            out = a
        case _:
            return None
    return out & ((1 << (64 if wide else bits)) - 1)
